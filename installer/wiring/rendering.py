"""The objects of an install as files: with placeholders, or with the real secrets on request."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from installer.core.objects import (
    ANNOTATION_HASH,
    ANNOTATION_OWNER,
    Manifest,
    ObjectWave,
)
from installer.core.settings import Settings
from installer.wiring.render_files import write_objects
from installer.wiring.workspace import Workspace
from manifests import registry
from manifests.rendering import Renderer, readable_secret

_NO_KEY = bytes(32)  # before an install has a key of its own; its hashes are left out then


def placeholder(name: str) -> str:
    """What stands for a secret in files that people read."""
    return f"<secret {name}>"


def render_workspace(workspace: Workspace, directory: Path, *, secrets: bool) -> tuple[Path, ...]:
    """The objects as the engine applies them, hashes and all."""
    renderer = workspace.renderer()
    waves = renderer.waves(workspace.sealed.hmac)
    objects = renderer.revealed(workspace.sealed.value if secrets else placeholder)
    return _write(directory, waves, objects, secret=secrets)


def render_settings(settings: Settings, directory: Path) -> tuple[Path, ...]:
    """The objects before there is an install: without the marks that need its key and uid."""
    renderer = Renderer(settings, registry.all_components(), install_uid="", key=_NO_KEY)
    waves = renderer.waves(placeholder)
    objects = {
        wave: tuple(_unmarked(manifest) for manifest in manifests)
        for wave, manifests in renderer.revealed(placeholder).items()
    }
    return _write(directory, waves, objects, secret=False)


def _unmarked(manifest: Manifest) -> Manifest:
    plain = deepcopy(manifest)
    for mark in (ANNOTATION_HASH, ANNOTATION_OWNER):
        plain["metadata"]["annotations"].pop(mark, None)
    if not plain["metadata"]["annotations"]:
        del plain["metadata"]["annotations"]
    return plain


def _write(
    directory: Path,
    waves: Sequence[ObjectWave],
    objects: Mapping[str, Sequence[Manifest]],
    *,
    secret: bool,
) -> tuple[Path, ...]:
    readable = {wave: [readable_secret(m) for m in of] for wave, of in objects.items()}
    return write_objects(directory, waves, readable, secret=secret)
