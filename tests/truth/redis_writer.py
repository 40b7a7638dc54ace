"""A client that never stops writing through a proxy, and remembers what came of each write."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Self

from tests.truth.redis_client import Connection, RedisError


class Writer:
    """Writes until stopped, with a new connection after each failure.

    Each write asks in the same transaction for the role of the server that took it.
    ``acknowledged`` holds the times of those that a master took, ``misplaced`` what other servers
    answered after taking one, ``refused`` the times at which a replica would not take one.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self.acknowledged: list[float] = []
        self.misplaced: list[str] = []
        self.refused: list[float] = []
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    while not self._stop.wait(0.01):
                        self._write(connection)
            except (OSError, RedisError):
                self._stop.wait(0.02)

    def _write(self, connection: Connection) -> None:
        number = len(self.acknowledged)
        for words in (("MULTI",), ("SET", "written", str(number)), ("ROLE",), ("EXEC",)):
            connection.send(*words)
        for _ in range(3):  # MULTI, and two commands queued or refused
            answer = connection.receive_or_error()
            if isinstance(answer, RedisError):
                self.refused.append(time.monotonic())
                raise answer
        result = connection.receive_or_error()
        if isinstance(result, list) and result[0] == "OK":
            role = result[1]
            assert isinstance(role, list)
            if role[0] == "master":
                self.acknowledged.append(time.monotonic())
            else:
                self.misplaced.append(str(role))

    def longest_gap(self, since: float) -> float:
        """Seconds between two acknowledged writes, at most, from the last one before ``since``."""
        before = [at for at in self.acknowledged if at < since][-1:]
        times = before + [at for at in self.acknowledged if at >= since]
        assert len(times) > 1, "no write was acknowledged after that"
        return max(b - a for a, b in itertools.pairwise(times))

    def wrote_since(self, since: float) -> bool:
        return bool(self.acknowledged) and self.acknowledged[-1] > since
