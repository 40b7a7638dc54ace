"""Custom resources: the types that a CustomResourceDefinition adds, their defaults and checks."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from installer.rehearsal.kube.fields import (
    ANY,
    ListOf,
    MapOf,
    Node,
    Scalar,
    Struct,
    Untyped,
    struct,
)
from installer.rehearsal.kube.problems import Json, cause
from installer.rehearsal.kube.resources import ResourceType

_SCALARS = {"string": "str", "integer": "num", "number": "num", "boolean": "bool"}


def types_of(definition: Json) -> list[ResourceType]:
    """The resource types that an established definition serves, the storage version first."""
    spec = definition["spec"]
    names = spec["names"]
    served = [version for version in spec.get("versions") or [] if version.get("served")]
    served.sort(key=lambda version: not version.get("storage"))
    return [
        ResourceType(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            spec.get("scope") == "Namespaced",
            tuple(names.get("shortNames") or ()),
            frozenset(version.get("subresources") or {}) & {"status", "scale"},
            True,
            schema=_root(names["kind"], _schema(version)),
            custom=_schema(version),
        )
        for version in served
    ]


def _schema(version: Json) -> Json:
    found: Json = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return found


def _root(kind: str, schema: Json) -> Struct:
    node = _node(schema)
    fields: dict[str, Node] = dict(node.fields) if isinstance(node, Struct) else {}
    fields |= {
        "apiVersion": Scalar("str"),
        "kind": Scalar("str"),
        "metadata": struct("ObjectMeta"),
    }
    open_ = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return Struct(kind, open_=open_, made=tuple(fields.items()))


def _node(schema: Json) -> Node:
    """The merge behaviour of one structural schema."""
    if schema.get("x-kubernetes-int-or-string"):
        return Scalar("intstr")
    kind = schema.get("type")
    if kind == "array":
        return _list(schema)
    if kind == "object" or "properties" in schema:
        return _object(schema)
    if kind in _SCALARS:
        return Scalar(_SCALARS[kind])
    return ANY


def _list(schema: Json) -> Node:
    element = _node(schema.get("items") or {})
    relation = schema.get("x-kubernetes-list-type", "atomic")
    if relation == "map":
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        return ListOf(element, "keys", keys, _key_defaults(schema, keys))
    return ListOf(element, relation)


def _key_defaults(schema: Json, keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    properties = (schema.get("items") or {}).get("properties") or {}
    return tuple(
        (key, properties[key]["default"]) for key in keys if "default" in properties.get(key, {})
    )


def _object(schema: Json) -> Node:
    atomic = schema.get("x-kubernetes-map-type") == "atomic"
    open_ = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    properties = schema.get("properties")
    extra = schema.get("additionalProperties")
    if properties:
        made = tuple((name, _node(part)) for name, part in properties.items())
        return Struct("", atomic=atomic, open_=open_, made=made)
    if isinstance(extra, dict):
        return MapOf(_node(extra), atomic)
    if open_ or extra:
        return Untyped(atomic)
    return Struct("", atomic=atomic, made=())


def with_defaults(kind: ResourceType, obj: Json) -> Json:
    """A copy of a custom resource with its schema's defaults and without undeclared fields."""
    found = copy.deepcopy(obj)
    if kind.custom is not None:
        _default(kind.custom, found, root=True)
    return found


def _default(schema: Json, value: Any, *, root: bool = False) -> None:
    if isinstance(value, list):
        for item in value:
            _default(schema.get("items") or {}, item)
        return
    if not isinstance(value, dict):
        return
    properties = schema.get("properties") or {}
    for name, part in properties.items():
        if name not in value and "default" in part:
            value[name] = copy.deepcopy(part["default"])
        if name in value:
            _default(part, value[name])
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        for item in value.values():
            _default(extra, item)
    elif not extra and not schema.get("x-kubernetes-preserve-unknown-fields"):
        known = set(properties) | ({"apiVersion", "kind", "metadata"} if root else set())
        for name in [name for name in value if name not in known]:
            if properties or root:
                del value[name]


def problems_of(kind: ResourceType, obj: Json) -> list[Json]:
    """Every way in which a custom resource breaks its schema, as causes of a 422."""
    if kind.custom is None:
        return []
    found: list[Json] = []
    for name, part in (kind.custom.get("properties") or {}).items():
        if name in obj and name not in ("apiVersion", "kind", "metadata"):
            found += _check(part, obj[name], name)
    for name in kind.custom.get("required") or []:
        if name not in obj:
            found.append(cause("FieldValueRequired", "Required value", name))
    return found


def _check(schema: Json, value: Any, path: str) -> Iterator[Json]:
    if value is None:
        return
    wrong = _type_problem(schema, value)
    if wrong:
        text = f'Invalid value: "{_type_name(value)}": {path} in body must be of type {wrong}: '
        text += json.dumps(_type_name(value))
        yield cause("FieldValueTypeInvalid", text, path)
        return
    if "enum" in schema and value not in schema["enum"]:
        known = ", ".join(json.dumps(item) for item in schema["enum"])
        text = f"Unsupported value: {json.dumps(value)}: supported values: {known}"
        yield cause("FieldValueNotSupported", text, path)
    yield from _limits(schema, value, path)
    if isinstance(value, dict):
        yield from _check_object(schema, value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check(schema.get("items") or {}, item, f"{path}[{index}]")


def _check_object(schema: Json, value: Json, path: str) -> Iterator[Json]:
    for name in schema.get("required") or []:
        if name not in value:
            yield cause("FieldValueRequired", "Required value", f"{path}.{name}")
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        part = properties.get(name, extra if isinstance(extra, dict) else None)
        if part is not None:
            yield from _check(part, item, f"{path}.{name}")


def _limits(schema: Json, value: Any, path: str) -> Iterator[Json]:
    why = ""
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            why = f"should match '{schema['pattern']}'"
        elif "minLength" in schema and len(value) < schema["minLength"]:
            why = f"should be at least {schema['minLength']} chars long"
        elif "maxLength" in schema and len(value) > schema["maxLength"]:
            why = f"may not be longer than {schema['maxLength']}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            why = f"should be greater than or equal to {schema['minimum']}"
        elif "maximum" in schema and value > schema["maximum"]:
            why = f"should be less than or equal to {schema['maximum']}"
    if why:
        text = f"Invalid value: {json.dumps(value)}: {path} in body {why}"
        yield cause("FieldValueInvalid", text, path)


def _type_problem(schema: Json, value: Any) -> str:
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return "" if isinstance(value, int | str) else "integer or string"
    if kind is None or _type_name(value) == kind:
        return ""
    if kind == "number" and _type_name(value) == "integer":
        return ""
    return str(kind)


def _type_name(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
