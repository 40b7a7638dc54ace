"""What an engine is given to do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from installer.core.plan import Plan
from installer.core.step import FarEndLock, NoFarEndLock, Step


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class EngineWork:
    """A plan with the steps that carry it out.

    ``steps`` are the plan's, each ``step.planned`` equal to the plan's entry. ``close`` lets go of
    clients and scratch files; it is called once, after the last step and after the lock.
    """

    plan: Plan
    steps: Sequence[Step]
    lock: FarEndLock = field(default_factory=NoFarEndLock)
    close: Callable[[], Awaitable[None]] = _nothing


Build: TypeAlias = Callable[[str], Awaitable[EngineWork]]
"""Gets the passphrase or age identity; raises InstallError (wrong passphrase, for one)."""
