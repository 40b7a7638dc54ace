"""The journal beside SQLite, record by record in turn on one disk, and a replay.

SQLite stands in WAL mode with synchronous=FULL: the mode that survives a power cut too.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from installer.core import events as ev
from installer.core.clock import SystemClock
from installer.engine.journal import Journal

REPLAYED = 10_000


@dataclass(frozen=True)
class Appends:
    """Seconds of one record: mean, median and the 99th of a hundred."""

    mean: float
    median: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Appends":
        ranked = sorted(seconds)
        return cls(
            statistics.fmean(ranked), statistics.median(ranked), ranked[len(ranked) * 99 // 100]
        )


@dataclass(frozen=True)
class JournalFigures:
    journal: Appends
    sqlite: Appends
    replay: float  # seconds of processor time for REPLAYED lines, fold and chain included


def measure(disk: Path, records: int = 1000) -> JournalFigures:
    """Writes in a new folder below ``disk`` (a real disk, no tmpfs), which is removed again.

    The default is what a whole run leaves. SQLite starts to write its log over after about 1,000
    pages and becomes cheaper then, as nothing grows any more; a journal always grows.
    """
    with tempfile.TemporaryDirectory(dir=disk) as made:
        folder = Path(made)
        journal, _, _ = Journal.open(folder, SystemClock())
        base = sqlite3.connect(folder / "beside.db", isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE record (line TEXT)")
        try:
            journal.append(ev.RunStarted(1, "install", "bench", "0", "u", "h", 1, "b"))
            event = ev.StepIntent("component/2-workloads", "a" * 64)
            text = "x" * 350  # as long as the line of that event
            ours: list[float] = []
            theirs: list[float] = []
            acts: list[tuple[list[float], Callable[[], object]]] = [
                (ours, lambda: journal.append(event)),
                (theirs, lambda: base.execute("INSERT INTO record VALUES (?)", (text,))),
            ]
            for _ in range(records):
                for seconds, act in acts:
                    seconds.append(_timed(act))
                acts.reverse()  # whoever comes first pays for what the disk still had to do
            for _ in range(REPLAYED - records - 1):  # the rest of what is replayed
                journal.append(event)
        finally:
            base.close()
            journal.close()
        before = time.process_time()
        Journal.open(folder, SystemClock())
        return JournalFigures(Appends.of(ours), Appends.of(theirs), time.process_time() - before)


def _timed(act: Callable[[], object]) -> float:
    before = time.perf_counter()
    act()
    return time.perf_counter() - before
