"""kill -9 at every record and around every write: the same end as an uninterrupted run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.core.clock import SystemClock
from installer.core.state import RunState, RunStatus, StepStatus
from installer.engine.journal import Journal
from tests.unit.engine.world import SHAPE, FarEnd

ROOT = Path(__file__).parents[3]


class Mill:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.engine.mill"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, directory: Path, far: Path, at: str = "", **job: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        directory.mkdir(exist_ok=True)
        line = json.dumps({"dir": str(directory), "far": str(far), "at": at, **job})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        status: int = json.loads(self._process.stdout.readline())["status"]
        return status

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    made = Mill()
    yield made
    made.close()


def state_of(directory: Path) -> RunState:
    return Journal.open(directory, SystemClock())[1]


def counts(far: Path) -> tuple[int, int]:
    records, calls = json.loads((far / "counts").read_text())
    return records, calls


@pytest.fixture(scope="module")
def whole(mill: Mill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run: ``dir`` and ``far`` in the returned folder."""
    root = tmp_path_factory.mktemp("whole")
    assert mill.run(root / "dir", root / "far") == 0
    return root


def assert_same_end(root: Path, whole: Path) -> None:
    assert FarEnd(root / "far").objects() == FarEnd(whole / "far").objects()
    state, wanted = state_of(root / "dir"), state_of(whole / "dir")
    assert state.status is RunStatus.FINISHED
    for name in SHAPE:
        got, due = state.of(name), wanted.of(name)
        assert (got.status, got.done_hash, got.outputs) == (
            StepStatus.OK,
            due.done_hash,
            due.outputs,
        )
        assert not got.in_doubt


def test_a_second_run_changes_nothing(mill: Mill, whole: Path, tmp_path: Path) -> None:
    assert mill.run(tmp_path / "dir", tmp_path / "far") == 0
    before = FarEnd(tmp_path / "far").calls
    assert mill.run(tmp_path / "dir", tmp_path / "far") == 0
    assert FarEnd(tmp_path / "far").calls == before
    assert state_of(tmp_path / "dir").changed == 0


def test_killed_at_every_record(mill: Mill, whole: Path, tmp_path: Path) -> None:
    records, _ = counts(whole / "far")
    assert records >= 2 + 2 * len(SHAPE) + 1
    for number in range(1, records + 1):
        root = tmp_path / str(number)
        root.mkdir()
        assert mill.run(root / "dir", root / "far", f"record:{number}") == -9
        assert state_of(root / "dir").seq == number
        assert mill.run(root / "dir", root / "far") == 0
        assert_same_end(root, whole)


@pytest.mark.parametrize("side", ["before", "after"])
def test_killed_around_every_write(mill: Mill, whole: Path, tmp_path: Path, side: str) -> None:
    _, calls = counts(whole / "far")
    assert calls == 2 * len(SHAPE)
    for number in range(1, calls + 1):
        root = tmp_path / str(number)
        root.mkdir()
        assert mill.run(root / "dir", root / "far", f"call:{number}:{side}") == -9
        arrived = len(FarEnd(root / "far").calls)  # some may be on their way side by side
        assert 1 <= arrived <= calls if side == "after" else arrived < number
        assert mill.run(root / "dir", root / "far") == 0
        assert_same_end(root, whole)
        # What had arrived was found again: nothing was written twice.
        assert len(FarEnd(root / "far").calls) == calls


def test_killed_again_while_resuming(mill: Mill, whole: Path, tmp_path: Path) -> None:
    for _ in range(60):
        if mill.run(tmp_path / "dir", tmp_path / "far", "record:5") == 0:
            break
    assert mill.run(tmp_path / "dir", tmp_path / "far") == 0
    assert_same_end(tmp_path, whole)


def test_an_edit_reruns_that_step_and_those_that_consume_what_changed(
    mill: Mill, tmp_path: Path
) -> None:
    assert mill.run(tmp_path / "dir", tmp_path / "far") == 0
    before = len(FarEnd(tmp_path / "far").calls)
    assert mill.run(tmp_path / "dir", tmp_path / "far", texts={"keys": "keys v2"}) == 0
    again = FarEnd(tmp_path / "far").calls[before:]
    # database consumes the serial of keys, which changed; main consumes only database's address,
    # which did not; cache needs keys but consumes nothing of it.
    assert sorted(again) == ["put database-a", "put database-b", "put keys-a", "put keys-b"]
