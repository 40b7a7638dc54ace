"""The journal: one file a run, each line durable before anything acts on it."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from installer.core import events as ev
from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError
from installer.core.state import Folding, RunState
from installer.engine import lines

FOLDER = "journal"
_NAME = re.compile(r"run-(\d{4,})\.jsonl")


class JournalWriteFailed(InstallError):
    """A line could not be made durable; nothing may act on it, and no further line follows."""


@dataclass(frozen=True)
class Repair:
    """A torn last line. It is cut off when the next run begins; its bytes go to ``kept``."""

    file: Path
    offset: int
    cut: bytes

    @property
    def kept(self) -> Path:
        return self.file.with_suffix(".cut")


@dataclass
class _Read:
    """Where a walk over all files ended."""

    seq: int = 0
    prev: str = lines.FIRST
    files: list[Path] = field(default_factory=list)
    repairs: tuple[Repair, ...] = ()


class Journal:
    """Appends events of this process to the run's file. Made by :meth:`open`."""

    def __init__(self, folder: Path, clock: Clock, read: _Read) -> None:
        self._folder = folder
        self._clock = clock
        self._seq = read.seq
        self._prev = read.prev
        self._files = read.files
        self._repairs = read.repairs
        self._run = 0
        self._file = -1

    @classmethod
    def open(cls, directory: Path, clock: Clock) -> tuple["Journal", RunState, tuple[Repair, ...]]:
        """Reads every line under ``directory/journal`` and folds them. Writes nothing yet.

        Raises InstallError: JOURNAL-DAMAGED (a line that is not the last one of the last file, or
        a file of the sequence is gone), JOURNAL-NEWER, JOURNAL-UNREADABLE.
        """
        read = _Read()
        folding = Folding()
        for record in _walk(directory / FOLDER, read):
            folding.add(record)
        return cls(directory / FOLDER, clock, read), folding.state(), read.repairs

    @property
    def seq(self) -> int:
        """Number of the last record."""
        return self._seq

    @property
    def next_run(self) -> int:
        """The number that a RunStarted appended next must carry."""
        if self._files and _lone(self._files[-1], self._repairs):
            return len(self._files)
        return len(self._files) + 1

    def records(self, after: int = 0) -> Iterator[ev.Recorded]:
        """Reads the files again, from the record behind ``after``."""
        for record in _walk(self._folder, _Read()):
            if record.seq > after:
                yield record

    def append(self, event: ev.Event) -> ev.Recorded:
        """Makes the event durable, then returns. A RunStarted opens the run's file.

        Raises JournalWriteFailed, and TypeError for an event whose data is not JSON.
        """
        if isinstance(event, ev.RunStarted):
            self._begin(event.run)
        now = self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds")
        record = ev.Recorded(self._seq + 1, now.replace("+00:00", "Z"), self._run, event)
        line = lines.encode(record, self._prev)
        self._write(line + b"\n")
        self._seq, self._prev = record.seq, lines.link(line)
        return record

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self, run: int) -> None:
        if run != self.next_run:
            raise ValueError(f"run {run} does not follow")
        try:
            self._make_folder()
            for repair in self._repairs:
                _cut(repair)
            path = self._folder / f"run-{run:04d}.jsonl"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self.close()
            self._file = os.open(path, flags, 0o600)
            _sync_folder(self._folder)
        except OSError as error:
            raise _write_failed(self._folder, error) from error
        self._repairs = ()
        if path not in self._files:
            self._files.append(path)
        self._run = run

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700)
            _sync_folder(self._folder.parent)

    def _write(self, line: bytes) -> None:
        if self._file < 0:
            raise RuntimeError("no run was begun, or the journal is closed")
        size = os.fstat(self._file).st_size
        try:
            _write_all(self._file, line)
            os.fdatasync(self._file)
        except OSError as error:
            # Whether a failed fdatasync left the line on the disk cannot be known, and asking a
            # second time would lie. Nobody acts on it, so it goes; no further line is written.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            self.close()
            raise _write_failed(self._folder, error) from error


def _walk(folder: Path, read: _Read) -> Iterator[ev.Recorded]:
    """All records in order; ``read`` tells afterwards where the walk ended."""
    read.files = _files(folder)
    for path in read.files:
        last = path is read.files[-1]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InstallError(
                "JOURNAL-UNREADABLE",
                "The journal cannot be read",
                f"{path}: {error.strerror}",
                "Run as the user that owns the install's directory.",
                exit_code=ExitCode.JOURNAL,
            ) from error
        if not content and not last:
            raise _damaged(path, 1, "the file is empty")
        yield from _walk_file(path, content, last, read)


def _walk_file(path: Path, content: bytes, last: bool, read: _Read) -> Iterator[ev.Recorded]:
    offset = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        end = offset + len(line)
        whole = end < len(content)  # a newline follows
        if not line and not whole:
            return
        try:
            if not whole:
                raise lines.LineBroken("its end is missing")
            record = lines.decode(line, read.seq + 1, read.prev)
        except lines.LineNewer as newer:
            raise _newer(path, number, newer.version) from None
        except lines.LineBroken as broken:
            torn = last and end + whole == len(content) and not lines.holds_whole_line(line)
            if not torn:
                raise _damaged(path, number, broken.why) from None
            read.repairs = (Repair(path, offset, content[offset:]),)
            return
        read.seq, read.prev = record.seq, lines.link(line)
        offset = end + 1
        yield record


def _files(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = sorted((int(m[1]), folder / name) for name in names if (m := _NAME.fullmatch(name)))
    for due, (number, path) in enumerate(found, 1):
        if number != due:
            raise _damaged(
                folder / f"run-{due:04d}.jsonl", 1, f"the file is gone, but {path.name} is there"
            )
    return [path for _, path in found]


def _lone(path: Path, repairs: tuple[Repair, ...]) -> bool:
    """Whether nothing of the file will be left: its run never began."""
    if repairs and repairs[0].file == path:
        return repairs[0].offset == 0
    return path.stat().st_size == 0


def _cut(repair: Repair) -> None:
    kept = os.open(repair.kept, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        _write_all(kept, repair.cut + b"\n")
        os.fdatasync(kept)
    finally:
        os.close(kept)
    file = os.open(repair.file, os.O_WRONLY)
    try:
        os.ftruncate(file, repair.offset)
        os.fdatasync(file)
    finally:
        os.close(file)


def _write_all(file: int, content: bytes) -> None:
    """A full disk shows as a short write first, as ENOSPC only at the next."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_failed(folder: Path, error: OSError) -> JournalWriteFailed:
    return JournalWriteFailed(
        "JOURNAL-WRITE-FAILED",
        "The journal cannot be written",
        f"{folder}: {error.strerror or type(error).__name__}. What cannot be recorded is not done.",
        "Make room on that disk, or repair it, then resume.",
        retryable=True,
        exit_code=ExitCode.JOURNAL,
    )


def _damaged(path: Path, line: int, why: str) -> InstallError:
    return InstallError(
        "JOURNAL-DAMAGED",
        "The journal was altered or damaged",
        f"{path}, line {line}: {why}.",
        "Restore the file from a backup of the install's directory. Without one, move the whole "
        "journal folder away: the next run then looks at everything anew.",
        exit_code=ExitCode.JOURNAL,
    )


def _newer(path: Path, line: int, version: int) -> InstallError:
    return InstallError(
        "JOURNAL-NEWER",
        "The journal was written by a newer version of this program",
        f"{path}, line {line} has version {version}; this program knows up to {ev.VERSION}.",
        "Use the newer version for this install.",
        exit_code=ExitCode.JOURNAL,
    )
