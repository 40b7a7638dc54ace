"""A clock on which waiting costs no time: each sleep moves it forward and lets others run."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
BREATH = 0.002  # real seconds a sleep lasts, so that sockets get their turn


class QuickClock:
    """``sleeps`` are the seconds asked for, in order."""

    def __init__(self, *, breath: float = BREATH) -> None:
        self.sleeps: list[float] = []
        self.passed = 0.0
        self._breath = breath
        self._slept = asyncio.Condition()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def boottime(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        async with self._slept:
            self.sleeps.append(seconds)
            self._slept.notify_all()
        await asyncio.sleep(self._breath)
        self.passed += seconds

    async def slept_times(self, count: int) -> None:
        await self.until(lambda: len(self.sleeps) >= count)

    async def until(self, met: Callable[[], bool]) -> None:
        """Returns when ``met`` holds; it is asked whenever somebody goes to sleep."""
        async with asyncio.timeout(20), self._slept:
            await self._slept.wait_for(met)
