"""How fast the API is asked, and how often again."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from installer.cluster.failures import ApiFailure, FailureKind
from installer.core.clock import Clock

T = TypeVar("T")


class RetryBudget:
    """Repeats what failed for a passing reason, bounded in tries and in time.

    One budget serves one phase: the time spent waiting in all its calls side by side is not
    added up, but no call waits past ``seconds`` from its first failure, and the whole phase makes
    no more than ``attempts`` repeats: enough for several hundred objects that are written side by
    side through an outage of five minutes. Waits are drawn between nothing and a ceiling that
    doubles (full jitter), and are never shorter than the server's Retry-After.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seconds: float = 300.0,
        attempts: int = 10_000,
        base: float = 0.5,
        cap: float = 15.0,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._left = attempts
        self._base = base
        self._cap = cap
        self._rng = rng or random.Random()

    @property
    def left(self) -> int:
        """Repeats that the phase may still make."""
        return self._left

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait before repeat ``attempt`` (0 is the first)."""
        ceiling = min(self._cap, self._base * 2.0 ** min(attempt, 16))
        wait = self._rng.uniform(0.0, ceiling)
        # Everybody was told the same second: a little on top keeps them from coming back at once.
        return wait if retry_after is None else retry_after + wait

    async def run(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        on_wait: Callable[[ApiFailure, float], None] | None = None,
    ) -> T:
        """The operation's result. Raises its last ApiFailure when the budget is used up.

        ``on_wait`` is told each failure that is repeated, with the wait in seconds.
        """
        started: float | None = None
        attempt = 0
        while True:
            try:
                return await operation()
            except ApiFailure as failure:
                # Budgets nest where a repeated write starts with a repeated read: the time of
                # the outer one does not begin when that of the inner one has run out.
                if failure.repeated or not failure.verdict.transient:
                    raise
                now = self._clock.monotonic()
                started = now if started is None else started
                wait = self.delay(attempt, failure.verdict.retry_after)
                if self._left <= 0 or now + wait > started + self._seconds:
                    failure.repeated = True
                    raise
                self._left -= 1
                attempt += 1
                if on_wait is not None:
                    on_wait(failure, wait)
            await self._clock.sleep(wait)


class AdaptiveLimit:
    """How many calls are under way at once: ``async with limit.slot()`` around each.

    Grows by one after as many successes in a row as it is high, halves when a call ends with an
    overload (429). Overloads of calls that began before it halved say nothing new and count once.
    """

    def __init__(self, start: int = 8, *, floor: int = 1, ceiling: int = 16) -> None:
        self._limit = start
        self._floor = floor
        self._ceiling = ceiling
        self._running = 0
        self._successes = 0
        self._halvings = 0
        self._changed = asyncio.Condition()

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def running(self) -> int:
        return self._running

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a free place; learns from how the call inside ends."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running < self._limit)
            self._running += 1
        halvings = self._halvings
        try:
            yield
            self._succeeded()
        except ApiFailure as failure:
            if failure.kind is FailureKind.OVERLOAD and halvings == self._halvings:
                self._limit = max(self._floor, self._limit // 2)
                self._halvings += 1
                self._successes = 0
            raise
        finally:
            async with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _succeeded(self) -> None:
        self._successes += 1
        if self._successes >= self._limit:
            self._limit = min(self._ceiling, self._limit + 1)
            self._successes = 0
