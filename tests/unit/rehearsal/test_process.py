"""The simulated API server as a process of its own."""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from installer.rehearsal.process import RehearsalError, RehearsalProcess, control, spawn

Spawn = Callable[..., RehearsalProcess]


@pytest.fixture
def spawned(tmp_path: Path) -> Iterator[Spawn]:
    """Starts processes that end with the test."""
    running: list[RehearsalProcess] = []

    def begin(directory: Path = tmp_path, **options: Any) -> RehearsalProcess:
        running.append(spawn(directory, **options))
        return running[-1]

    yield begin
    for process in running:
        process.kill()


def _kubeconfig(process: RehearsalProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(process.kubeconfig.read_bytes())
    return found


def test_a_killed_cluster_comes_back_as_it_was(spawned: Spawn) -> None:
    first = spawned(faults=["crash-loop"])
    before, config = control(first.folder, "GET", "/state"), _kubeconfig(first)
    first.heal("crash-loop")
    first.kill()
    second = spawned(faults=["crash-loop"])
    after = control(second.folder, "GET", "/state")
    assert after["faults"] == []
    assert after["objects"] == before["objects"]
    assert _kubeconfig(second)["users"] == config["users"]
    authority = "certificate-authority-data"
    clusters = [item["clusters"][0]["cluster"] for item in (config, _kubeconfig(second))]
    assert clusters[0][authority] == clusters[1][authority]


def test_nothing_secret_is_in_argv_or_readable_by_others(spawned: Spawn) -> None:
    process = spawned(nodes=["n1:4:8Gi"], load_balancer_pool="198.51.100.")
    token = (process.folder / "token").read_text()
    argv = Path(f"/proc/{process.process.pid}/cmdline").read_bytes().decode()
    assert token not in argv
    loose = [
        path.name
        for path in process.folder.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert loose == []
    assert stat.S_IMODE(process.folder.stat().st_mode) == 0o700
    written = [path for path in process.folder.rglob("*") if path.is_file()]
    holders = {path.name for path in written if token.encode() in path.read_bytes()}
    assert holders == {"token", "kubeconfig"}


def test_it_ends_when_nobody_uses_it(spawned: Spawn) -> None:
    process = spawned(idle=0.2)
    assert process.process.wait(20) == 0


def test_it_ends_when_its_directory_is_gone(spawned: Spawn, tmp_path: Path) -> None:
    directory = tmp_path / "install"
    directory.mkdir()
    process = spawned(directory)
    shutil.rmtree(directory)
    assert process.process.wait(20) == 0
    assert not directory.exists()


def test_it_outlives_signals_to_its_parents_group(spawned: Spawn) -> None:
    process = spawned()
    assert os.getsid(process.process.pid) == process.process.pid
    process.stop()
    assert not process.running


def test_an_unknown_fault_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match="there is no fault 'nonsense'"):
        spawn(tmp_path, faults=["nonsense"])


def test_control_needs_the_token(spawned: Spawn) -> None:
    process = spawned()
    (process.folder / "token").write_text("wrong")
    with pytest.raises(RehearsalError, match="401"):
        control(process.folder, "GET", "/state")
