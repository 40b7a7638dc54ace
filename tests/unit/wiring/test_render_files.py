"""Objects as files: numbered, sorted by who may apply them, private where they hold secrets."""

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.core.errors import ExitCode, InstallError
from installer.core.objects import Manifest, ObjectWave
from installer.wiring.render_files import write_objects


def manifest(kind: str, name: str, namespace: str = "") -> Manifest:
    meta: dict[str, Any] = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": kind, "metadata": meta}


OBJECTS = {
    "base/1-foundation": (manifest("Namespace", "a"), manifest("Secret", "s", "a")),
    "base/2-rest": (manifest("ClusterRole", "system:x/y"),),
}
WAVES = [ObjectWave(name, "base", name, "one", (), objects) for name, objects in OBJECTS.items()]


def test_files_stand_in_apply_order_under_who_may_apply_them(tmp_path: Path) -> None:
    to = tmp_path / "out"
    written = write_objects(to, WAVES, OBJECTS, secret=False)
    assert [str(path.relative_to(to)) for path in written] == [
        "cluster-admin/01-base-1-foundation/namespace-a.yaml",
        "namespace/01-base-1-foundation/secret-s.yaml",
        "cluster-admin/02-base-2-rest/clusterrole-system-x-y.yaml",
    ]
    assert [yaml.safe_load(path.read_text()) for path in written] == [
        *OBJECTS["base/1-foundation"],
        *OBJECTS["base/2-rest"],
    ]


@pytest.mark.parametrize(
    ("secret", "folder", "file"), [(True, 0o700, 0o600), (False, 0o755, 0o644)]
)
def test_modes_hold_for_every_folder(tmp_path: Path, secret: bool, folder: int, file: int) -> None:
    to = tmp_path / "deep" / "out"
    write_objects(to, WAVES, OBJECTS, secret=secret)
    for path in [to, *to.rglob("*")]:
        wanted = folder if path.is_dir() else file
        assert stat.S_IMODE(path.stat().st_mode) & ~wanted == 0, path
        assert stat.S_IMODE(path.stat().st_mode) & 0o700 == wanted & 0o700, path


def test_a_folder_that_holds_something_is_refused_and_left(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("x")
    with pytest.raises(InstallError) as refused:
        write_objects(tmp_path, WAVES, OBJECTS, secret=False)
    assert refused.value.code == "RENDER-NOT-EMPTY"
    assert refused.value.exit_code is ExitCode.REFUSED
    assert "old.yaml" in refused.value.cause
    assert [path.name for path in tmp_path.iterdir()] == ["old.yaml"]
