"""News that need no proof: kept for views that come late, never journalled."""

import asyncio
from collections import deque

from installer.core.clock import Clock
from installer.core.events import Progress

LOG_LINES = 500


class Board:
    """The newest line of each kind a step, and the tail of the log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._version = 0
        self._latest: dict[tuple[str, str], tuple[int, Progress]] = {}
        self._log: deque[tuple[int, Progress]] = deque(maxlen=LOG_LINES)
        self._bells: set[asyncio.Event] = set()

    def put(self, kind: str, step: str, text: str) -> None:
        """``kind`` as in Progress; the text is redacted there."""
        key = (step, kind)
        if key in self._latest and self._latest[key][1].text == text and kind != "log":
            return
        self._version += 1
        time = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        item = (self._version, Progress(kind, step, text, time))
        if kind == "log":
            self._log.append(item)
        else:
            self._latest[key] = item
        for bell in self._bells:
            bell.set()

    def forget(self, step: str) -> None:
        """The step ended: what it waited for is no longer news."""
        for key in [key for key in self._latest if key[0] == step]:
            del self._latest[key]

    def news(self, after: int) -> tuple[int, list[Progress]]:
        """What is newer than version ``after``, oldest first, and the version now.

        A view that reads slowly gets only the newest line of each kind and step.
        """
        items = [*self._latest.values(), *self._log]
        return self._version, [p for version, p in sorted(items, key=_version) if version > after]

    def listen(self, bell: asyncio.Event) -> None:
        self._bells.add(bell)

    def leave(self, bell: asyncio.Event) -> None:
        self._bells.discard(bell)


def _version(item: tuple[int, Progress]) -> int:
    return item[0]
