"""The form in which the API server keeps an object: canonical amounts, nothing empty."""

import base64
from typing import Any

from installer.rehearsal.kube.fields import ListOf, MapOf, Node, Scalar, Struct
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.quantity import canonical

# Fields whose Go form has no "unset": their zero value is not kept.
_ZERO_DROPPED = frozenset(
    {
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "publishNotReadyAddresses",
        "tty",
        "stdin",
        "stdinOnce",
        "paused",
        "globalDefault",
        "readOnly",
        "minReadySeconds",
        "initialDelaySeconds",
        "nodePort",
        "clusterName",
        "nodeName",
        "hostname",
        "subdomain",
        "subPath",
        "value",
        "medium",
        "image",
        "workingDir",
        "serviceAccountName",
        "priorityClassName",
        "generateName",
        "description",
    }
)
# Lists that are kept though empty.
_EMPTY_KEPT = frozenset({"rules", "endpoints"})


def normal(schema: Node, value: Any) -> Any:
    """A copy of the value as the server would send it back."""
    match schema:
        case Struct() if isinstance(value, dict):
            return _struct(schema, value)
        case MapOf() if isinstance(value, dict):
            return {key: normal(schema.element, item) for key, item in value.items()}
        case ListOf() if isinstance(value, list):
            return [normal(schema.element, item) for item in value]
        case Scalar() if schema.kind == "qty":
            return canonical(value)
        case _:
            return value


def _struct(schema: Struct, value: Json) -> Json:
    found: Json = {}
    for key, item in value.items():
        node = schema.fields.get(key)
        if item is None:
            continue
        if node is None:
            if schema.open_:
                found[key] = item
            continue
        if item in ([], {}) and isinstance(node, ListOf | MapOf) and key not in _EMPTY_KEPT:
            continue
        if key in _ZERO_DROPPED and isinstance(node, Scalar) and item in (False, 0, ""):
            continue
        found[key] = normal(node, item)
    return found


def encode_secret(obj: Json) -> Json:
    """A Secret with its `stringData` moved into `data`, which is how it is kept."""
    plain = obj.get("stringData")
    if not plain:
        return {key: value for key, value in obj.items() if key != "stringData"}
    data = dict(obj.get("data") or {})
    for key, text in plain.items():
        data[key] = base64.b64encode(str(text).encode()).decode()
    return {**{key: value for key, value in obj.items() if key != "stringData"}, "data": data}
