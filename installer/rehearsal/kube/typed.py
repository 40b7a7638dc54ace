"""Typed values: validate, list, merge, compare and cut objects along their field tables.

The rules are those of structured merge (Kubernetes' server-side apply): structs and maps merge
field by field, keyed lists element by element, everything else is a leaf.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from installer.rehearsal.kube.fields import ANY, ListOf, MapOf, Node, Scalar, Struct, Untyped
from installer.rehearsal.kube.paths import Element, Path, PathSet, path_text


@dataclass
class Difference:
    """What changed between two values, as paths."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def is_granular(node: Node, value: Any) -> bool:
    """Whether server-side apply looks inside this value instead of owning it as a whole."""
    match node:
        case Struct() | MapOf() | Untyped():
            return isinstance(value, dict) and not node.atomic
        case ListOf():
            return isinstance(value, list) and node.relation != "atomic"
        case _:
            return False


def child_node(node: Node, element: Element) -> Node:
    """The node below `node` at one path element."""
    match node:
        case Struct():
            return node.fields.get(element[1], ANY)
        case MapOf() | ListOf():
            return node.element
        case _:
            return ANY


def element_of(node: ListOf, item: Any) -> Element:
    """The path element that tells this item of a list from its neighbours."""
    if node.relation == "set":
        return ("v", item)
    defaults = dict(node.defaults)
    values = {key: item.get(key, defaults.get(key)) for key in node.keys}
    return ("k", tuple(sorted((key, value) for key, value in values.items() if value is not None)))


def children(node: Node, value: Any) -> Iterator[tuple[Element, Any]]:
    """The items one level below a granular value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield ("f", key), item
    elif isinstance(node, ListOf):
        for item in value:
            yield element_of(node, item), item


def check(node: Node, value: Any, path: Path = ()) -> list[str]:
    """Every way in which the value does not fit its table, worded as the API server does."""
    match node:
        case Scalar():
            return _check_scalar(node.kind, value, path)
        case Struct():
            return _check_struct(node, value, path)
        case MapOf():
            return _check_map(node, value, path)
        case ListOf():
            return _check_list(node, value, path)
        case _:
            return []


def _expected(path: Path, what: str, value: Any) -> list[str]:
    return [f"{path_text(path)}: expected {what}, got {value_text(value)}"]


def value_text(value: Any) -> str:
    """The form by which the API server names a value that does not fit."""
    return f"&value.valueUnstructured{{Value:{json.dumps(value)}}}"


def _check_scalar(kind: str, value: Any, path: Path) -> list[str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("str", "time") and not isinstance(value, str):
        return _expected(path, "string", value)
    if kind == "num" and not number:
        return _expected(path, "numeric (int or float)", value)
    if kind == "bool" and not isinstance(value, bool):
        return _expected(path, "boolean", value)
    if kind in ("qty", "intstr") and not (isinstance(value, str) or number):
        return _expected(path, "string or number", value)
    return []


def _check_struct(node: Struct, value: Any, path: Path) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, dict):
        return _expected(path, "map", value)
    found: list[str] = []
    for key, item in value.items():
        below = (*path, ("f", key))
        if key not in node.fields:
            if not node.open_:
                found.append(f"{path_text(below)}: field not declared in schema")
        elif item is not None:
            found += check(node.fields[key], item, below)
    return found


def _check_map(node: MapOf, value: Any, path: Path) -> list[str]:
    if not isinstance(value, dict):
        return [] if value is None else _expected(path, "map", value)
    found: list[str] = []
    for key, item in value.items():
        found += check(node.element, item, (*path, ("f", key)))
    return found


def _check_list(node: ListOf, value: Any, path: Path) -> list[str]:
    if not isinstance(value, list):
        return [] if value is None else _expected(path, "list", value)
    found: list[str] = []
    seen: set[Element] = set()
    for index, item in enumerate(value):
        if node.relation == "atomic":
            found += check(node.element, item, (*path, ("f", str(index))))
            continue
        if node.relation == "keys":
            if not isinstance(item, dict):
                found += _expected((*path, ("v", index)), "map", item)
                continue
            known = dict(node.defaults)
            if all(key not in item and key not in known for key in node.keys):
                found.append(
                    f"{path_text(path)}: element {index}: associative list with keys has an "
                    "element that omits all key fields "
                    f"{list(node.keys)} (and doesn't have default values for any key fields)"
                )
                continue
        element = element_of(node, item)
        if element in seen:
            found.append(f"{path_text(path)}: duplicate entries for key {path_text((element,))}")
        seen.add(element)
        found += check(node.element, item, (*path, element))
    return found


def field_set(node: Node, value: Any) -> PathSet:
    """The paths that somebody who applies this value owns."""
    found: set[Path] = set()
    _collect(node, value, (), found)
    return frozenset(found)


def _collect(node: Node, value: Any, path: Path, found: set[Path]) -> None:
    if not is_granular(node, value):
        if value is not None or path:
            found.add(path)
        return
    for element, item in children(node, value):
        below = (*path, element)
        declared = isinstance(node, Struct) and element[1] in node.fields
        if item is None or item == {} or not declared:
            found.add(below)
        if item is not None:
            _collect(child_node(node, element), item, below, found)


def merge(node: Node, live: Any, applied: Any) -> Any:
    """The live value with everything that is applied laid over it."""
    if applied is None:
        return live
    if live is None or not (is_granular(node, applied) and is_granular(node, live)):
        return applied
    if isinstance(applied, dict):
        merged = dict(live)
        for key, item in applied.items():
            merged[key] = merge(child_node(node, ("f", key)), live.get(key), item)
        return merged
    assert isinstance(node, ListOf)
    return _merge_lists(node, live, applied)


def _merge_lists(node: ListOf, live: list[Any], applied: list[Any]) -> list[Any]:
    """Applied items keep their order; live-only items stay where they stood among them."""
    lefts = {element_of(node, item): item for item in live}
    rights = {element_of(node, item): item for item in applied}
    order: list[Element] = []
    pending = list(rights)
    for element in lefts:
        if element not in rights:
            order.append(element)
            continue
        while pending and element in pending:
            order.append(pending.pop(0))
    order += pending
    return [
        lefts[element]
        if element not in rights
        else merge(node.element, lefts.get(element), rights[element])
        for element in order
    ]


def compare(node: Node, old: Any, new: Any) -> Difference:
    """What is added, modified and removed on the way from `old` to `new`."""
    found = Difference()
    _compare(node, old, new, (), found)
    return found


def _compare(node: Node, old: Any, new: Any, path: Path, found: Difference) -> None:
    if old is None and new is None:
        return
    if not (_descends(node, old) and _descends(node, new)) or (not old and not new):
        if old is None:
            found.added.add(path)
        elif new is None:
            found.removed.add(path)
        elif old != new:
            found.modified.add(path)
        return
    lefts = dict(children(node, old)) if old is not None else {}
    rights = dict(children(node, new)) if new is not None else {}
    for element in lefts.keys() | rights.keys():
        below = (*path, element)
        left, right = lefts.get(element), rights.get(element)
        declared = isinstance(node, Struct) and element[1] in node.fields
        if not declared and left is None and right is not None:
            found.added.add(below)
        elif not declared and right is None and left is not None:
            found.removed.add(below)
        _compare(child_node(node, element), left, right, below, found)
    if path and old is None and not isinstance(node, Struct):
        found.added.add(path)
    elif path and new is None:
        found.removed.add(path)


def _descends(node: Node, value: Any) -> bool:
    return value is None or is_granular(node, value)


def ensure_named(node: Node, paths: PathSet) -> PathSet:
    """The set, with the declared fields on the way to each member made members themselves."""
    found = set(paths)
    for path in paths:
        current = node
        for depth, element in enumerate(path):
            if isinstance(current, Struct) and element[0] == "f" and element[1] in current.fields:
                found.add(path[: depth + 1])
            current = child_node(current, element)
    return frozenset(found)


def remove_items(node: Node, value: Any, gone: PathSet) -> Any:
    """The value without the items at these paths (and without what lies below them)."""
    prefixes = {path[:depth] for path in gone for depth in range(1, len(path))}
    return _remove(node, value, (), gone, prefixes)


def _remove(node: Node, value: Any, path: Path, gone: PathSet, prefixes: set[Path]) -> Any:
    if not is_granular(node, value):
        return value
    kept: list[tuple[Element, Any]] = []
    for element, item in children(node, value):
        below = (*path, element)
        if below in gone:
            continue
        if below in prefixes:
            item = _remove(child_node(node, element), item, below, gone, prefixes)
        kept.append((element, item))
    if isinstance(value, dict):
        return {element[1]: item for element, item in kept}
    return [item for _, item in kept]
