"""Sets of field paths, and their wire form in `metadata.managedFields` (FieldsV1).

A path is a tuple of elements: `("f", name)` for a field or map key, `("k", ((key, value), ...))`
for an element of a keyed list and `("v", value)` for an element of a set.
"""

import json
from collections.abc import Iterable
from typing import Any

Element = tuple[str, Any]
Path = tuple[Element, ...]
PathSet = frozenset[Path]

EMPTY: PathSet = frozenset()


def element_text(element: Element) -> str:
    """One element as the API server prints it in conflicts and errors."""
    mark, value = element
    if mark == "f":
        return f".{value}"
    if mark == "k":
        inner = ",".join(f"{key}={json.dumps(part)}" for key, part in value)
        return f"[{inner}]"
    return f"[={json.dumps(value)}]"


def path_text(path: Path) -> str:
    """`.spec.containers[name="web"].image`."""
    return "".join(element_text(element) for element in path)


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """The nested FieldsV1 form; a member that also has children carries the key `.`."""
    root: dict[str, Any] = {}
    for path in sorted(paths, key=len):
        node = root
        for depth, element in enumerate(path):
            key = _wire(element)
            last = depth == len(path) - 1
            fresh = key not in node
            node = node.setdefault(key, {})
            if last and not fresh and node:
                node["."] = {}
            elif last:
                node["\0"] = True
            elif "\0" in node:
                del node["\0"]
                node["."] = {}
    return _tidy(root)


def _tidy(node: dict[str, Any]) -> dict[str, Any]:
    return {key: _tidy(node[key]) for key in sorted(node) if key != "\0" and key != "."} | (
        {".": {}} if "." in node else {}
    )


def _wire(element: Element) -> str:
    mark, value = element
    if mark == "f":
        return f"f:{value}"
    if mark == "k":
        return "k:" + json.dumps(dict(value), separators=(",", ":"), sort_keys=True)
    return "v:" + json.dumps(value, separators=(",", ":"))


def from_fields_v1(fields: dict[str, Any]) -> PathSet:
    """Read FieldsV1 back into paths."""
    found: set[Path] = set()
    _collect(fields, (), found)
    return frozenset(found)


def _collect(node: dict[str, Any], path: Path, found: set[Path]) -> None:
    if not node and path:
        found.add(path)
    for key, child in node.items():
        if key == ".":
            found.add(path)
        else:
            _collect(child, (*path, _element(key)), found)


def _element(key: str) -> Element:
    mark, _, rest = key.partition(":")
    if mark == "f":
        return ("f", rest)
    value = json.loads(rest)
    if mark == "k":
        return ("k", tuple(sorted(value.items())))
    return ("v", value)
