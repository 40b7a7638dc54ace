"""``--render``: the objects as files, for eyes, for review and for another team to apply.

``cluster-admin/`` holds what needs rights on the whole cluster, ``namespace/`` the rest. Both are
numbered in apply order, so that ``kubectl apply --server-side -R -f`` takes them as the engine
would.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from installer.core.errors import ExitCode, InstallError
from installer.core.objects import Manifest, ObjectWave
from manifests.readable import readable_yaml

ADMIN = "cluster-admin"
NAMESPACE = "namespace"


def write_objects(
    directory: Path,
    waves: Sequence[ObjectWave],
    objects: Mapping[str, Sequence[Manifest]],
    *,
    secret: bool,
) -> tuple[Path, ...]:
    """Writes one file an object and returns the paths in apply order.

    ``objects`` are the manifests by wave id. With ``secret`` the files are 0600 and their folders
    0700. Raises InstallError RENDER-NOT-EMPTY when ``directory`` holds something already.
    """
    _refuse_leftovers(directory)
    written: list[Path] = []
    for number, wave in enumerate(waves, start=1):
        folder = f"{number:02}-{wave.id.replace('/', '-')}"
        for manifest in objects[wave.id]:
            side = NAMESPACE if manifest["metadata"].get("namespace") else ADMIN
            path = directory / side / folder / _file_name(manifest)
            _make_folder(path.parent, 0o700 if secret else 0o755)
            _write(path, readable_yaml(manifest), 0o600 if secret else 0o644)
            written.append(path)
    return tuple(written)


def _file_name(manifest: Manifest) -> str:
    meta = manifest["metadata"]
    return f"{manifest['kind'].lower()}-{meta['name']}.yaml".replace("/", "-").replace(":", "-")


def _refuse_leftovers(directory: Path) -> None:
    leftovers = sorted(p.name for p in directory.iterdir()) if directory.is_dir() else []
    if leftovers:
        raise InstallError(
            code="RENDER-NOT-EMPTY",
            title="The folder for the rendered objects is not empty",
            cause=f"{directory} holds {leftovers[0]}; old files would look like current ones.",
            remedy="Give --render a new folder, or remove this one first.",
            exit_code=ExitCode.REFUSED,
        )


def _make_folder(folder: Path, mode: int) -> None:
    """With its parents, all of that mode (``Path.mkdir`` gives it to the last one only)."""
    missing = [folder, *folder.parents]
    for path in reversed([path for path in missing if not path.exists()]):
        path.mkdir(mode=mode)


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
