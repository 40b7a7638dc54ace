"""The journal and the state that follows from it, kept in step."""

import asyncio
from collections.abc import Iterator

from installer.core import events as ev
from installer.core.state import Folding, RunState
from installer.engine.crash import CrashPoints
from installer.engine.journal import Journal, JournalWriteFailed


class Recorder:
    """Journals an event, then lets the rest of the engine know.

    ``recent`` are the records of this process. After a failed write every further one fails with
    the same error (``broken``).
    """

    def __init__(self, journal: Journal, state: RunState, crash: CrashPoints) -> None:
        self._journal = journal
        self._crash = crash
        self._folding = Folding(state)
        self._state: RunState | None = state
        self._bells: set[asyncio.Event] = set()
        self.recent: list[ev.Recorded] = []
        self.broken: JournalWriteFailed | None = None

    @property
    def state(self) -> RunState:
        if self._state is None:
            self._state = self._folding.state()
        return self._state

    @property
    def seq(self) -> int:
        return self._journal.seq

    @property
    def next_run(self) -> int:
        return self._journal.next_run

    def record(self, event: ev.Event) -> ev.Recorded:
        """Raises JournalWriteFailed, and TypeError for data that is not JSON."""
        if self.broken:
            raise self.broken
        try:
            record = self._journal.append(event)
        except JournalWriteFailed as error:
            self.broken = error
            self._ring()
            raise
        self._crash.recorded()
        self._folding.add(record)
        self._state = None
        self.recent.append(record)
        self._ring()
        return record

    def after(self, seq: int) -> Iterator[ev.Recorded]:
        """Records behind ``seq``, from the files as far as they are of earlier engines."""
        first = self.recent[0].seq if self.recent else self.seq + 1
        if seq + 1 < first:
            for record in self._journal.records(seq):
                if record.seq >= first:
                    break
                yield record
        yield from self.recent[max(0, seq + 1 - first) :]

    def listen(self, bell: asyncio.Event) -> None:
        """``bell`` is set at each record from now on."""
        self._bells.add(bell)

    def leave(self, bell: asyncio.Event) -> None:
        self._bells.discard(bell)

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()
