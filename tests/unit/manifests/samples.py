"""Settings and renderings that the tests of this room start from."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from installer.core.objects import Manifest, ObjectWave
from installer.core.settings import Settings
from installer.core.settings_validation import validate_settings
from manifests.component import Component
from manifests.registry import all_components, settings_model
from manifests.rendering import Renderer

ROWS = ("trial", "100", "1k", "5k", "10k", "20k")
KEY = b"\x07" * 32


def tree(row: str = "100", **parts: Any) -> dict[str, Any]:
    """Plain data of valid settings; ``parts`` replace whole sections."""
    return {
        "version": 1,
        "server": {
            "name": "example.org",
            "organisation": "Example",
            "admin_contact": "admin@example.org",
        },
        "scale": {"row": row},
        "cluster": {"kubeconfig": "kubeconfig"},
        "load_balancer": "existing",
        **parts,
    }


def settings(row: str = "100", **parts: Any) -> Settings:
    return validate_settings(settings_model(), tree(row, **parts))


def digest(name: str) -> str:
    """What stands for a secret in a plan."""
    return f"hmac:{name}"


def value(name: str) -> str:
    """A made-up secret, recognisable anywhere."""
    return f"canary0{name.replace('-', '0')}0canary"


def renderer(of: Settings, components: Sequence[Component] | None = None) -> Renderer:
    return Renderer(of, components or all_components(), install_uid="uid-1", key=KEY)


def waves(row: str = "100", **parts: Any) -> tuple[ObjectWave, ...]:
    """Planned; those of a plain row are made once, so leave them as they are."""
    return renderer(settings(row, **parts)).waves(digest) if parts else _plain_waves(row)


@cache
def _plain_waves(row: str) -> tuple[ObjectWave, ...]:
    return renderer(settings(row)).waves(digest)


def flat(of: Sequence[ObjectWave]) -> list[Manifest]:
    return [manifest for wave in of for manifest in wave.objects]


def objects(row: str = "100", **parts: Any) -> list[Manifest]:
    """All objects in their planned form, the caller's own."""
    return deepcopy(flat(waves(row, **parts)))


def revealed(row: str = "100", **parts: Any) -> list[Manifest]:
    """All objects with made-up secrets in place."""
    made = renderer(settings(row, **parts))
    made.waves(digest)
    return [m for objects in made.revealed(value).values() for m in objects]


def named(of: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    (found,) = [m for m in of if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def key_of(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = manifest["metadata"]
    return manifest["kind"], meta.get("namespace", ""), meta["name"]
