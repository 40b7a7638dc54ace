"""A component's settings as tests need them, and a tree of settings that is valid."""

import copy
from itertools import pairwise
from typing import Any

from pydantic import Field

from installer.core.settings import build_settings_model
from installer.core.settings_types import SecretReference, SettingsSection


class Cache(SettingsSection):
    """A cache that exists for these tests only."""

    memory_mb: int = Field(default=64, ge=16, description="Memory.", examples=[64])
    password: SecretReference | None = Field(
        default=None, description="Its password.", examples=["secret:cache"]
    )
    mode: SecretReference | None = Field(
        default=None, description="A secret under a harmless name.", examples=["secret:cache-mode"]
    )
    tokens: list[SecretReference] = Field(
        default_factory=list, description="Secrets in a list.", examples=[["secret:a"]]
    )
    headers: dict[str, SecretReference] = Field(
        default_factory=dict, description="Secrets in a mapping.", examples=[{"x": "secret:a"}]
    )
    limit: int | list[int] = Field(default=1, description="One or several.", examples=[1])
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels.", examples=[{"a": "b"}]
    )


MODEL = build_settings_model({"cache": Cache, "web-client": Cache}, {"cache": ("proxy",)})

_TREE: dict[str, Any] = {
    "version": 1,
    "server": {
        "name": "example.org",
        "organisation": "Example Organisation",
        "admin_contact": "admin@example.org",
    },
    "scale": {"row": "100"},
    "hosts": [
        {"name": f"{role}-{number}", "address": f"10.10.0.{block + number}", "roles": [role]}
        for role, block in (("control", 10), ("app", 20), ("db", 30), ("storage", 40), ("call", 50))
        for number in (1, 2, 3)
    ],
    "networks": {
        "nodes": ["10.10.0.0/24"],
        "pods": "10.244.0.0/16",
        "services": "10.96.0.0/16",
        "pools": ["10.10.0.200-10.10.0.220"],
        "virtual_addresses": {"api": "10.10.0.10", "edge": "10.10.0.200"},
    },
    "components": {"cache": {"memory_mb": 128}},
}


def valid_tree(**sections: Any) -> dict[str, Any]:
    """A fresh copy of the tree with whole sections replaced; None takes a section away."""
    tree = copy.deepcopy(_TREE)
    for name, section in sections.items():
        if section is None:
            del tree[name]
        else:
            tree[name] = section
    return tree


def changed(path: str, value: object) -> dict[str, Any]:
    """The valid tree with one value set; a number in the path is a place in a list."""
    tree: Any = valid_tree()
    parts = path.split(".")
    node = tree
    for part, after in pairwise(parts):
        empty: Any = [None] if after == "0" else {}
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, empty)
    last = parts[-1]
    node[int(last) if isinstance(node, list) else last] = value
    return dict(tree)
