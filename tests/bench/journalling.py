"""The journal: appending durably against SQLite, and reading back."""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from installer.core.clock import SystemClock
from installer.core.events import RunStarted, StepDone, StepIntent
from installer.core.state import fold
from installer.engine.journal import Journal

RECORDS = 1_500
LINES = 10_000


@dataclass(frozen=True)
class Journalling:
    """Milliseconds: mean of one append each; the reading and folding of 10,000 lines."""

    journal_ms: float
    sqlite_ms: float
    replay_ms: float


def run(folder: Path) -> Journalling:
    """Both append the same texts to the same disk, a few hundred in turn."""
    directory = folder / "install"
    directory.mkdir()
    journal, _, _ = Journal.open(directory, SystemClock())
    _begin(journal)
    base = sqlite3.connect(folder / "peer.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, line TEXT)")
    ours = theirs = 0.0
    batch = RECORDS // 5
    for _ in range(5):
        ours += _appended(journal, batch)
        theirs += _inserted(base, batch)
    base.close()
    journal.close()
    return Journalling(ours / RECORDS * 1000, theirs / RECORDS * 1000, _replayed(folder))


def _begin(journal: Journal) -> None:
    journal.append(RunStarted(1, "install", "bench", "0", "user", "host", 1, "boot"))


def _appended(journal: Journal, number: int) -> float:
    started = time.monotonic()
    for index in range(number):
        journal.append(StepDone(f"step-{index % 300}", "0" * 64, {"object": "1" * 64}))
    return time.monotonic() - started


def _inserted(base: sqlite3.Connection, number: int) -> float:
    text = f'{{"type":"step-done","step":"step-1","hash":"{"0" * 64}","object":"{"1" * 64}"}}'
    started = time.monotonic()
    for _ in range(number):
        base.execute("INSERT INTO journal (line) VALUES (?)", (text,))
    return time.monotonic() - started


def _replayed(folder: Path) -> float:
    directory = folder / "long"
    directory.mkdir()
    journal, _, _ = Journal.open(directory, SystemClock())
    _begin(journal)
    for index in range((LINES - 1) // 2):
        name = f"step-{index % 300}"
        journal.append(StepIntent(name, "0" * 64))
        journal.append(StepDone(name, "0" * 64, {"object": "1" * 64}, seconds=1.0))
    journal.close()
    best = float("inf")
    for _ in range(5):
        started = time.monotonic()
        again, state, _ = Journal.open(directory, SystemClock())
        best = min(best, time.monotonic() - started)
        again.close()
        assert state == fold(again.records())
    return best * 1000
