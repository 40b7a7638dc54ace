"""Time that only a test moves."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at one fixed moment; ``sleep`` moves it and lets others run."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.wall = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> datetime:
        return self.wall + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def boottime(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)
