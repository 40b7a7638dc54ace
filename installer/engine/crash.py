"""Recovery tests' hook: the engine kills itself at a named point.

``MATRIX_INSTALL_DIE_AT=record:N`` kills it right after its N-th record is durable;
``call:N:before`` and ``call:N:after`` at its N-th mutation of a far end, before it is sent or
after its answer and before *done* is written. N counts from 1, in this process.
"""

import os
import re
import signal
from collections.abc import Callable, Mapping

VARIABLE = "MATRIX_INSTALL_DIE_AT"
_FORM = re.compile(r"record:([1-9]\d*)|call:([1-9]\d*):(before|after)")


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class CrashPoints:
    """Counts records and calls; ``die`` is called at the wanted point."""

    def __init__(self, at: str = "", die: Callable[[], None] = kill_self) -> None:
        """Raises ValueError if ``at`` is not empty and not of the form above."""
        match = _FORM.fullmatch(at) if at else None
        if at and match is None:
            raise ValueError(f"{VARIABLE}: {at!r} is neither record:N nor call:N:before|after")
        self._record = int(match[1] or 0) if match else 0
        self._call = (int(match[2] or 0), match[3]) if match else (0, "")
        self._die = die
        self.records = 0
        self.calls = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "CrashPoints":
        return cls(environment.get(VARIABLE, ""))

    def recorded(self) -> None:
        self.records += 1
        if self.records == self._record:
            self._die()

    def calling(self) -> int:
        """Before a mutation is sent; returns its number for :meth:`called`."""
        self.calls += 1
        if self._call == (self.calls, "before"):
            self._die()
        return self.calls

    def called(self, number: int) -> None:
        if self._call == (number, "after"):
            self._die()
