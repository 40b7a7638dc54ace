"""The cache of built programs, with a stand-in for the compiler."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import builds
from tests.lab.builds import Build, BuildError, ensure

TINY = Build(name="etcd", version="1", packages=("example.org/tiny",), programs=("tiny",))
# Notes each call, and takes its time over a build so that two could meet.
GO = """#!/bin/sh
echo "$1" >> "$GO_CALLS"
case "$1" in
env) echo "$GO_VERSION" ;;
build) shift; while [ "$1" != -o ]; do shift; done
    mkfifo "$2.gate"; (sleep 0.2; echo > "$2.gate") & read -r _ < "$2.gate"; rm "$2.gate"
    [ -z "$GO_FAILS" ] || exit 1
    echo program > "$2" ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a `go` of one's own; the file lists what was asked of it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    go = folder / "go"
    go.write_text(GO)
    go.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GO_VERSION", "go1.26.8")
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("GO_FAILS", "")
    return tmp_path / "calls"


def test_a_build_is_made_once(calls: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: ensure(TINY), range(4)))
    assert [folder.name[:7] for folder in folders] == ["etcd-1-"]
    assert calls.read_text().split().count("build") == 1
    assert [path.name for path in folders.pop().iterdir()] == ["tiny"]


def test_another_compiler_makes_another_build(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure(TINY)
    monkeypatch.setenv("GO_VERSION", "go1.27.0")
    assert ensure(TINY) != first
    assert first.is_dir()


def test_a_failed_build_leaves_nothing(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO_FAILS", "yes")
    with pytest.raises(BuildError, match="failed with 1"):
        ensure(TINY)
    left = list((calls.parent / "cache/matrix-install/lab").iterdir())
    assert {path.suffix for path in left} == {".lock"}


@pytest.mark.parametrize("version", ["go1.25.9", "devel"])
def test_an_old_compiler_is_refused_in_a_line(
    calls: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("GO_VERSION", version)
    with pytest.raises(BuildError, match=f"Go 1.26 or later .*{version}"):
        ensure(TINY)


def test_a_missing_compiler_is_told_in_a_line(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.builds", "etcd"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "lab: Go 1.26 or later is needed to build the lab: install it\n"


def test_given_assets_are_used(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "ensure", lambda build: tmp_path / build.name)
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    found = builds.programs()
    assert found.etcd == tmp_path / "etcd"
    assert found.kube_apiserver == tmp_path / "kube-apiserver"
    assert found.kube_scheduler == tmp_path / "controlplane" / "kube-scheduler"
    (tmp_path / "etcd").unlink()
    with pytest.raises(BuildError, match="KUBEBUILDER_ASSETS"):
        builds.programs()
