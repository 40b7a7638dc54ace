"""Manifests as flat mappings from paths to leaf values; lists are leaves."""

import copy
from collections.abc import Mapping
from typing import Any

Leaves = dict[tuple[Any, ...], Any]


def leaves_of(value: Any, path: tuple[Any, ...] = ()) -> Leaves:
    if isinstance(value, Mapping) and value:
        found: Leaves = {}
        for name, below in value.items():
            found.update(leaves_of(below, (*path, name)))
        return found
    return {path: value}


def set_leaf(target: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    for part in path[:-1]:
        target = target.setdefault(part, {})
    if value == {} and isinstance(target.get(path[-1]), dict):
        return
    target[path[-1]] = copy.deepcopy(value)


def unset_leaf(target: dict[str, Any], path: tuple[Any, ...]) -> None:
    for part in path[:-1]:
        if part not in target:
            return
        target = target[part]
    target.pop(path[-1], None)
