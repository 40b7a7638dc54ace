"""Merge patches and JSON patches, each as a function from the old object to the new one."""

import json
from collections.abc import Callable
from typing import Any

from installer.rehearsal.kube.problems import ApiError, Json

Change = Callable[[Any], Any]


def json_patch(operations: list[Json]) -> Change:
    """A function that carries out a JSON patch (add, replace, remove, test)."""

    def change(obj: Json) -> Json:
        for operation in operations:
            _step(obj, operation)
        return obj

    return change


def _step(obj: Any, operation: Json) -> None:
    *way, last = [
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
    ]
    target = obj
    try:
        for part in way:
            target = target[int(part)] if isinstance(target, list) else target[part]
        _act(target, last, operation)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ApiError(
            422,
            "Invalid",
            f"the server rejected our request due to an error in our request: {error}",
        ) from None


def _act(target: Any, last: str, operation: Json) -> None:
    what = operation["op"]
    at: Any = last
    if isinstance(target, list):
        at = len(target) if last == "-" else int(last)
    if what == "test":
        if target[at] != operation["value"]:
            raise ValueError(f"testing value {json.dumps(operation['path'])} failed")
    elif what == "remove":
        del target[at]
    elif what == "add" and isinstance(target, list):
        target.insert(at, operation["value"])
    else:
        target[at] = operation["value"]


def merge_patch(change: Any) -> Change:
    """A function that carries out a JSON merge patch (RFC 7396)."""
    return lambda obj: _merged(obj, change)


def _merged(target: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found
