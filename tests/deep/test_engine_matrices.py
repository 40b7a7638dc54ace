"""The engine's long matrices: crashes in pairs, every byte of a journal, the model for long."""

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from installer.core.errors import InstallError
from installer.engine.journal import Journal
from tests.unit.engine.clocks import FakeClock
from tests.unit.engine.test_journal import file_of, filled
from tests.unit.engine.test_machine import EngineMachine
from tests.unit.engine.test_recovery import Mill, assert_same_end, counts, mill, whole
from tests.unit.engine.world import FarEnd

__all__ = ["mill", "whole"]  # fixtures

LAST_RECORD = 27  # of an uninterrupted run of the synthetic install


def test_the_matrix_covers_the_run(whole: Path) -> None:
    assert counts(whole / "far")[0] == LAST_RECORD


def kill_every_resume(mill: Mill, whole: Path, folder: Path, first: str) -> None:
    """Killed at ``first``, and the resume at each of its records in turn: always the same end."""
    for second in range(1, LAST_RECORD + 20):
        root = folder / str(second)
        root.mkdir()
        assert mill.run(root / "dir", root / "far", first) == -9
        again = mill.run(root / "dir", root / "far", f"record:{second}")
        if again == 0:
            assert_same_end(root, whole)
            return  # the resume took fewer records than that
        assert again == -9
        assert mill.run(root / "dir", root / "far") == 0
        assert_same_end(root, whole)
        assert len(FarEnd(root / "far").calls) == counts(whole / "far")[1]
    raise AssertionError("the resume never came to its end")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, LAST_RECORD + 1))
def test_killed_at_a_record_and_again_at_every_record_of_the_resume(
    mill: Mill, whole: Path, tmp_path: Path, first: int
) -> None:
    kill_every_resume(mill, whole, tmp_path, f"record:{first}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("first", range(1, 25))
def test_killed_around_a_write_and_again_at_every_record_of_the_resume(
    mill: Mill, whole: Path, tmp_path: Path, first: int, side: str
) -> None:
    kill_every_resume(mill, whole, tmp_path, f"call:{first}:{side}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("edited", ["names", "keys", "cache", "proof"])
def test_killed_at_every_record_of_a_run_after_an_edit(
    mill: Mill, tmp_path: Path, edited: str
) -> None:
    texts = {edited: f"{edited} v2"}
    straight = tmp_path / "straight"
    straight.mkdir()
    assert mill.run(straight / "dir", straight / "far") == 0
    assert mill.run(straight / "dir", straight / "far", texts=texts) == 0
    for number in range(1, counts(straight / "far")[0] + 1):
        root = tmp_path / str(number)
        root.mkdir()
        assert mill.run(root / "dir", root / "far") == 0
        assert mill.run(root / "dir", root / "far", f"record:{number}", texts=texts) == -9
        assert mill.run(root / "dir", root / "far", texts=texts) == 0
        assert_same_end(root, straight)
        assert len(FarEnd(root / "far").calls) == len(FarEnd(straight / "far").calls)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", [1, 2])
def test_every_byte_of_a_journal_altered(tmp_path: Path, run: int) -> None:
    filled(tmp_path, runs=2)
    path = file_of(tmp_path, run)
    content = path.read_bytes()
    last_line = content[:-1].rindex(b"\n") + 1 if run == 2 else len(content)
    for at in range(len(content)):
        for change in (0x01, 0x20, 0x80, 0xFF):
            path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
            try:
                _, state, repairs = Journal.open(tmp_path, FakeClock())
            except InstallError as error:
                code = error.code
            else:
                code = ""
                assert at >= last_line
                assert (state.seq, len(repairs)) == (11, 1)
            assert code in ("", "JOURNAL-DAMAGED", "JOURNAL-NEWER")


@pytest.mark.timeout(1800)
def test_the_model_for_long() -> None:
    run_state_machine_as_test(
        EngineMachine,
        settings=settings(max_examples=1500, stateful_step_count=60, deadline=None),
    )
