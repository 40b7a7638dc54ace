"""What the journal promises about durability, damage and versions."""

import contextlib
import errno
import json
import os
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installer.core import events as ev
from installer.core.errors import ExitCode, InstallError
from installer.core.state import RunStatus, StepStatus, fold
from installer.engine import lines
from installer.engine.journal import Journal
from tests.unit.engine.clocks import FakeClock


def begin(run: int = 1) -> ev.RunStarted:
    return ev.RunStarted(run, "install", "demo", "0.1.0", "anna", "desk", 7, "boot")


def filled(directory: Path, runs: int = 2, steps: int = 2) -> None:
    """``runs`` files; each has a start, intents and dones, and a finish."""
    for _ in range(runs):
        journal, _, _ = Journal.open(directory, FakeClock())
        journal.append(begin(journal.next_run))
        for number in range(steps):
            journal.append(ev.StepIntent(f"s{number}", "h"))
            journal.append(ev.StepDone(f"s{number}", "h", {"crc": "01234567", "n": [1]}, ("x/y",)))
        journal.append(ev.RunFinished(steps, 1.5))
        journal.close()


def file_of(directory: Path, run: int) -> Path:
    return directory / "journal" / f"run-{run:04d}.jsonl"


def refusal(directory: Path) -> InstallError:
    with pytest.raises(InstallError) as caught:
        Journal.open(directory, FakeClock())
    return caught.value


@pytest.fixture
def closing() -> Iterator[list[Journal]]:
    made: list[Journal] = []
    yield made
    for journal in made:
        journal.close()


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    filled(tmp_path)
    journal, state, repairs = Journal.open(tmp_path, FakeClock())
    records = list(journal.records())
    assert [record.seq for record in records] == list(range(1, 13))
    assert [record.run for record in records] == [1] * 6 + [2] * 6
    assert records[0].time == "2030-01-02T03:04:05.000Z"
    assert state == fold(records)
    assert state.status is RunStatus.FINISHED
    assert state.of("s1").status is StepStatus.OK
    assert state.of("s1").outputs == {"crc": "01234567", "n": [1]}
    assert repairs == ()
    assert [record.seq for record in journal.records(after=10)] == [11, 12]


def test_opening_writes_nothing(tmp_path: Path) -> None:
    journal, state, _ = Journal.open(tmp_path, FakeClock())
    assert (state.status, journal.next_run) == (RunStatus.NONE, 1)
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        filled(tmp_path, runs=1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(tmp_path, 1).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o700


def test_each_line_is_durable_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closing: list[Journal]
) -> None:
    synced: list[tuple[int, bytes]] = []
    real = os.fdatasync

    def fdatasync(file: int) -> None:
        path = os.readlink(f"/proc/self/fd/{file}")
        synced.append((len(synced), Path(path).read_bytes()))
        real(file)

    folders: list[str] = []
    real_fsync = os.fsync

    def fsync(file: int) -> None:
        folders.append(os.readlink(f"/proc/self/fd/{file}"))
        real_fsync(file)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "fsync", fsync)
    journal, _, _ = Journal.open(tmp_path, FakeClock())
    closing.append(journal)
    for event in (begin(), ev.StepIntent("a", "h")):
        journal.append(event)
        # The whole line had been written when it was synchronised.
        assert synced[-1][1] == file_of(tmp_path, 1).read_bytes()
    assert len(synced) == 2
    assert folders == [str(tmp_path), str(tmp_path / "journal")]


def test_a_last_line_torn_at_any_byte_is_cut_kept_and_told(tmp_path: Path) -> None:
    filled(tmp_path)
    path = file_of(tmp_path, 2)
    content = path.read_bytes()
    start = content[:-1].rindex(b"\n") + 1
    for end in range(start + 1, len(content)):
        path.write_bytes(content[:end])
        journal, state, repairs = Journal.open(tmp_path, FakeClock())
        assert [(r.file, r.offset, r.cut) for r in repairs] == [(path, start, content[start:end])]
        assert (state.seq, state.status, journal.next_run) == (11, RunStatus.RUNNING, 3)
        assert path.read_bytes() == content[:end]  # to look is not to mend
    journal.append(begin(3))
    journal.close()
    assert path.read_bytes() == content[:start]
    assert path.with_suffix(".cut").read_bytes() == content[start : len(content) - 1] + b"\n"
    assert stat.S_IMODE(path.with_suffix(".cut").stat().st_mode) == 0o600
    _, state, repairs = Journal.open(tmp_path, FakeClock())
    assert (repairs, state.seq, state.run) == ((), 12, 3)


@pytest.mark.parametrize("left", [b"", b'{"v":1,"seq":7,"ti'])
def test_a_run_whose_first_line_never_was_is_begun_again(tmp_path: Path, left: bytes) -> None:
    filled(tmp_path, runs=1)
    file_of(tmp_path, 2).write_bytes(left)
    journal, state, _ = Journal.open(tmp_path, FakeClock())
    assert (journal.next_run, state.run) == (2, 1)
    journal.append(begin(2))
    journal.close()
    assert Journal.open(tmp_path, FakeClock())[1].run == 2


def test_a_damaged_middle_is_refused_with_file_and_line(tmp_path: Path) -> None:
    filled(tmp_path)
    path = file_of(tmp_path, 1)
    path.write_bytes(path.read_bytes().replace(b'"h"', b'"i"', 1))
    error = refusal(tmp_path)
    assert (error.code, error.exit_code) == ("JOURNAL-DAMAGED", ExitCode.JOURNAL)
    assert f"{path}, line 2" in error.cause


def test_a_line_resealed_after_an_edit_breaks_the_chain(tmp_path: Path) -> None:
    filled(tmp_path)
    path = file_of(tmp_path, 1)
    content = path.read_bytes().split(b"\n")
    record = lines.decode(content[2], 3, lines.link(content[1]))
    forged = ev.Recorded(3, record.time, 1, ev.StepDone("s0", "forged"))
    content[2] = lines.encode(forged, lines.link(content[1]))
    path.write_bytes(b"\n".join(content))
    assert f"{path}, line 4: it does not follow" in refusal(tmp_path).cause


def test_a_line_out_of_its_turn_is_broken() -> None:
    line = lines.encode(ev.Recorded(3, "t", 1, begin()), lines.FIRST)
    assert lines.decode(line, 3, lines.FIRST).event == begin()
    with pytest.raises(lines.LineBroken, match="number 3, 2 is due"):
        lines.decode(line, 2, lines.FIRST)


def test_the_chain_goes_on_over_files(tmp_path: Path) -> None:
    filled(tmp_path, runs=3)
    first = file_of(tmp_path, 1)
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-1]))
    assert f"{file_of(tmp_path, 2)}, line 1" in refusal(tmp_path).cause


@pytest.mark.parametrize("run", [1, 2])
def test_a_file_missing_in_the_sequence_is_refused(tmp_path: Path, run: int) -> None:
    filled(tmp_path, runs=3)
    file_of(tmp_path, run).unlink()
    error = refusal(tmp_path)
    assert error.code == "JOURNAL-DAMAGED"
    assert file_of(tmp_path, run).name in error.cause


def test_an_emptied_middle_file_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, runs=2)
    file_of(tmp_path, 1).write_bytes(b"")
    error = refusal(tmp_path)
    assert (error.code, f"{file_of(tmp_path, 1)}, line 1: the file is empty" in error.cause) == (
        "JOURNAL-DAMAGED",
        True,
    )


def test_a_torn_end_of_an_earlier_file_is_damage(tmp_path: Path) -> None:
    filled(tmp_path, runs=2)
    path = file_of(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-5])
    assert f"{path}, line 6: its end is missing" in refusal(tmp_path).cause


def test_a_newline_altered_before_the_last_line_is_damage_and_no_torn_write(
    tmp_path: Path,
) -> None:
    filled(tmp_path, runs=1)
    path = file_of(tmp_path, 1)
    content = path.read_bytes()
    at = content[:-1].rindex(b"\n")
    altered = content[:at] + b" " + content[at + 1 :]
    for end in (len(altered), len(altered) - 1, len(altered) - 20):
        path.write_bytes(altered[:end])
        assert refusal(tmp_path).code == "JOURNAL-DAMAGED"


@pytest.mark.parametrize("run", [1, 2])
def test_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, runs=1)
    if run == 2:
        monkeypatch.setattr(ev, "VERSION", ev.VERSION + 1)
        filled(tmp_path, runs=1)
        monkeypatch.undo()
    else:  # sealed in a way that we do not know
        path = file_of(tmp_path, 1)
        path.write_bytes(b'{"v":2,"seal":"other"}\n')
    before = file_of(tmp_path, run).read_bytes()
    error = refusal(tmp_path)
    assert (error.code, error.exit_code) == ("JOURNAL-NEWER", ExitCode.JOURNAL)
    assert file_of(tmp_path, run).read_bytes() == before


def test_an_event_of_this_version_without_later_fields_is_read(tmp_path: Path) -> None:
    body = (
        '{"v":1,"seq":1,"time":"t","run":1,"type":"journal-repaired",'
        '"data":{"cut_bytes":3,"file":"f"},"prev":"' + lines.FIRST + '"'
    ).encode()
    record = lines.decode(body + b',"crc":"%08x"}' % zlib.crc32(body), 1, lines.FIRST)
    assert record.event == ev.JournalRepaired(3, "f", "")


def test_an_unknown_event_is_damage(tmp_path: Path) -> None:
    filled(tmp_path, runs=1)
    path = file_of(tmp_path, 1)
    first = path.read_bytes().splitlines()[0]
    body = first.replace(b"run-started", b"run-startex").rpartition(b',"crc"')[0]
    sealed = body + b',"crc":"%08x"}\n' % zlib.crc32(body)
    path.write_bytes(sealed + path.read_bytes().split(b"\n", 1)[1])
    assert "its event cannot be read" in refusal(tmp_path).cause


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, bytes]]:
    directory = tmp_path_factory.mktemp("sample")
    filled(directory, runs=2)
    paths = [file_of(directory, run) for run in (1, 2)]
    return directory, {path: path.read_bytes() for path in paths}


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_altered_byte_is_noticed(
    sample: tuple[Path, dict[Path, bytes]], data: st.DataObject
) -> None:
    directory, contents = sample
    path = data.draw(st.sampled_from(sorted(contents)))
    content = contents[path]
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    last = path.name == "run-0002.jsonl" and at > content[:-1].rindex(b"\n")
    path.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
    try:
        if not last:
            assert refusal(directory).code in ("JOURNAL-DAMAGED", "JOURNAL-NEWER")
            return
        with contextlib.suppress(InstallError):  # a newer version, by that byte
            _, state, repairs = Journal.open(directory, FakeClock())
            assert repairs  # only the last line may go, and it is told
            assert state.seq == 11
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_sync_is_an_error_and_leaves_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    journal, _, _ = Journal.open(tmp_path, FakeClock())
    journal.append(begin())
    before = file_of(tmp_path, 1).read_bytes()

    def failing(file: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(InstallError) as caught:
        journal.append(ev.StepIntent("a", "h"))
    assert (caught.value.code, caught.value.exit_code) == (
        "JOURNAL-WRITE-FAILED",
        ExitCode.JOURNAL,
    )
    assert os.strerror(code) in caught.value.cause
    monkeypatch.undo()
    assert file_of(tmp_path, 1).read_bytes() == before
    with pytest.raises(RuntimeError):  # no further line, whatever is asked
        journal.append(ev.StepIntent("a", "h"))


def test_data_that_is_not_json_is_refused_before_anything_is_written(
    tmp_path: Path, closing: list[Journal]
) -> None:
    journal, _, _ = Journal.open(tmp_path, FakeClock())
    closing.append(journal)
    journal.append(begin())
    with pytest.raises(TypeError):
        journal.append(ev.StepDone("a", "h", {"path": tmp_path}))
    journal.append(ev.StepIntent("a", "h"))
    assert Journal.open(tmp_path, FakeClock())[1].seq == 2


def test_ten_thousand_lines_are_replayed_in_a_few_times_what_their_json_takes(
    tmp_path: Path,
) -> None:
    records, prev, out = [], lines.FIRST, []
    events: list[ev.Event] = [begin()]
    for number in range(2499):
        step = f"component/{number % 120}-workloads"
        events += [
            ev.StepIntent(step, "a" * 64),
            ev.StepWaiting(step, "3 of 3 pods of StatefulSet redis in matrix-redis"),
            ev.DriftFound(step, ("Deployment x was changed by kubectl",), "reapply"),
            ev.StepDone(step, "a" * 64, {"address": "10.0.0.1"}, ("deployment.apps/a/b",), 1.25),
        ]
    for seq, event in enumerate(events, 1):
        records.append(ev.Recorded(seq, "2030-01-02T03:04:05.000Z", 1, event))
        line = lines.encode(records[-1], prev)
        prev = lines.link(line)
        out.append(line)
    file_of(tmp_path, 1).parent.mkdir()
    file_of(tmp_path, 1).write_bytes(b"\n".join(out) + b"\n")
    took, json_took = [], []
    for _ in range(3):  # side by side, in processor time: how fast the machine is does not count
        before = time.process_time()
        _, state, _ = Journal.open(tmp_path, FakeClock())
        took.append(time.process_time() - before)
        before = time.process_time()
        for line in out:
            json.loads(line)
        json_took.append(time.process_time() - before)
    assert state == fold(records)
    assert len(events) == 9997
    assert min(took) <= 6 * min(json_took)


def test_a_line_is_readable_json(tmp_path: Path) -> None:
    filled(tmp_path, runs=1)
    line = json.loads(file_of(tmp_path, 1).read_text().splitlines()[2])
    assert list(line) == ["v", "seq", "time", "run", "type", "data", "prev", "crc"]
    assert line["type"] == "step-done"
    assert line["data"]["changed"] == ["x/y"]
