"""Time as the simulated cluster sees it: real seconds divided by a speed."""

import asyncio
import math
import time
from datetime import UTC, datetime


class Clock:
    """`speed` 1 plays as slowly as a real cluster, 20 twenty times faster, inf at once."""

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed

    def scaled(self, seconds: float) -> float:
        """How long something that takes `seconds` in a real cluster takes here."""
        return 0.0 if math.isinf(self.speed) else seconds / self.speed

    def monotonic(self) -> float:
        """Real seconds on a clock that is never set."""
        return time.monotonic()

    def until(self, due: float) -> float | None:
        """Cluster seconds until the monotonic time `due`; None when it has come."""
        left = due - time.monotonic()
        if left <= 0:
            return None
        return left if math.isinf(self.speed) else left * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of cluster time."""
        await asyncio.sleep(self.scaled(seconds))

    def now(self) -> datetime:
        """Wall time; timestamps of objects are never scaled."""
        return datetime.now(UTC)

    def timestamp(self) -> str:
        """Wall time in the form of Kubernetes' Time, in whole seconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
