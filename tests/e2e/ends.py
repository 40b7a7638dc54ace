"""What an install came to, without what differs between any two clusters."""

import json
import re
from typing import Any

from tests.e2e.product import Product

# What clusters give out by themselves, or controllers count.
_GIVEN_OUT = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "clusterIP",
    "clusterIPs",
    "status",
    "time",
    "at",
}
_PLAYED = ("pods.", "replicasets.", "controllerrevisions.", "events.", "endpoints", "nodes.")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def end_of(product: Product) -> dict[str, Any]:
    """All objects but those that controllers play, and the names of the directory's files."""
    end = {
        f"{plural} {namespace}/{name}": _plain(obj)
        for (plural, namespace, name), obj in product.objects().items()
        if not plural.startswith(_PLAYED)
    }
    files = sorted(path.name for path in product.directory.iterdir() if path.name != "lock")
    return {**end, "files": files}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _GIVEN_OUT}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        if value.startswith(("{", "[")):
            try:
                return _plain(json.loads(value))
            except ValueError:
                pass
        return _UID.sub("UID", _TIME.sub("TIME", value))
    return value
