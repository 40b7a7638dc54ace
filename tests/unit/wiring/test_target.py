"""Which far end a directory belongs to, and what a run was asked for, survive a restart."""

import stat
from pathlib import Path

import pytest

from installer.core.errors import ExitCode, InstallError
from installer.core.plan import RunKind
from installer.wiring.target import FILE_NAME, Rehearsal, Target, recall, remember, required
from installer.wiring.work import (
    Request,
    engine_arguments,
    keep,
    kept,
    parse_engine_arguments,
)


@pytest.mark.parametrize(
    "target",
    [
        Target(Path("/home/op/.kube/config"), "prod", cluster_uid="uid-1"),
        Target(Path("/x/kubeconfig"), rehearsal=Rehearsal(50.0, ("node-lost", "slow-etcd"))),
    ],
)
def test_a_target_comes_back_as_it_was_put(tmp_path: Path, target: Target) -> None:
    remember(tmp_path, target)
    assert recall(tmp_path) == required(tmp_path) == target
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_no_target_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    assert recall(tmp_path) is None
    with pytest.raises(InstallError) as none:
        required(tmp_path)
    assert none.value.code == "TARGET-UNKNOWN"
    assert none.value.exit_code is ExitCode.USAGE
    assert "--rehearse" in none.value.remedy
    for damage in ("", "[]", "{}", '{"kubeconfig": "x", "context": "", "rehearsal": {}}'):
        (tmp_path / FILE_NAME).write_text(damage)
        with pytest.raises(InstallError) as damaged:
            recall(tmp_path)
        assert damaged.value.code == "TARGET-UNREADABLE"
        assert FILE_NAME in damaged.value.cause


def test_a_rehearsals_port_is_no_part_of_its_place() -> None:
    rehearsed = Target(Path("k"), rehearsal=Rehearsal())
    assert rehearsed.place("a", "https://127.0.0.1:1") == rehearsed.place(
        "a", "https://127.0.0.1:2"
    )
    assert "https://10.0.0.1" in Target(Path("k")).place("prod", "https://10.0.0.1")


@pytest.mark.parametrize(
    "request_",
    [Request(), Request(RunKind.UNINSTALL, destroy=True, consents=("example-redis", "a b"))],
)
def test_a_request_reaches_the_engine_and_a_resume(tmp_path: Path, request_: Request) -> None:
    keep(tmp_path, request_)
    assert kept(tmp_path) == request_
    assert stat.S_IMODE((tmp_path / "request.json").stat().st_mode) == 0o600
    command = engine_arguments(tmp_path, request_)
    assert parse_engine_arguments(command[3:]) == (tmp_path, request_)


@pytest.mark.parametrize("damage", [None, "", "{}", '{"kind": "dance"}', "[1]"])
def test_a_request_that_cannot_be_read_is_none(tmp_path: Path, damage: str | None) -> None:
    if damage is not None:
        (tmp_path / "request.json").write_text(damage)
    assert kept(tmp_path) is None


def test_a_request_says_in_words_what_it_does_to_data() -> None:
    assert Request().words == "install"
    assert Request(RunKind.UNINSTALL).words == "uninstall, keep data"
    assert Request(RunKind.UNINSTALL, destroy=True).words == "uninstall, destroy"
