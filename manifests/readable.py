"""Kubernetes objects as YAML that a person likes to read: the same bytes each time."""

from typing import Any

import yaml

from installer.core.objects import Manifest

_FIRST = ("apiVersion", "kind", "metadata", "name", "namespace", "labels", "annotations")


class _Readable(yaml.SafeDumper):
    """Block style, lists indented under their key, texts of several lines as literals."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True  # anchors are for programs, not for readers


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Readable.add_representer(str, _text)


def readable_yaml(manifest: Manifest) -> str:
    """One document, names first, other keys as the object has them."""
    return yaml.dump(
        _ordered(manifest), Dumper=_Readable, sort_keys=False, allow_unicode=True, width=100
    )


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        first = [key for key in _FIRST if key in value]
        rest = [key for key in value if key not in _FIRST]
        return {key: _ordered(value[key]) for key in (*first, *rest)}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value
