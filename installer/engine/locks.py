"""One engine a directory: a lock that the kernel frees when its holder dies."""

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError

NAME = "lock"
TRIES = 5


@dataclass(frozen=True)
class Holder:
    """Who holds the lock. Fields are empty while the holder has not written them yet."""

    user: str = ""
    host: str = ""
    pid: int = 0
    since: str = ""  # RFC 3339, UTC

    def __str__(self) -> str:
        if not self.pid:
            return "another engine that has just begun"
        return f"process {self.pid} of {self.user} on {self.host}, since {self.since}"


class DirectoryLock:
    """Held from :meth:`take` until :meth:`free` or the end of the process.

    The file stays: removing it would let two engines lock two files of one name.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._path = directory / NAME
        self._clock = clock
        self._file = -1

    async def take(self) -> Holder:
        """Raises InstallError LOCKED, naming the holder.

        Tries a few times: a view that only looks (:func:`holder`) holds it for an instant too.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        for attempt in range(TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt + 1 == TRIES:
                    found = _read(file)
                    os.close(file)
                    raise locked(self._path.parent, found) from None
                await self._clock.sleep(0.02)
        mine = Holder(user_name(), socket.gethostname(), os.getpid(), _now(self._clock))
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(vars(mine)).encode(), 0)
        self._file = file
        return mine

    def free(self) -> None:
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1


def holder(directory: Path) -> Holder | None:
    """Who works on the directory now, or None. Takes nothing and changes nothing."""
    try:
        file = os.open(directory / NAME, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # A shared lock does not disturb others that only look.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(file)
    else:
        return None
    finally:
        os.close(file)


def locked(directory: Path, found: Holder) -> InstallError:
    return InstallError(
        "LOCKED",
        "Somebody else is at work on this install",
        f"{directory} is held by {found}.",
        "Attach to it by starting without further options in that directory, or wait for its end.",
        retryable=True,
        exit_code=ExitCode.LOCKED,
    )


def user_name() -> str:
    """The account's name; its number where no account database knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _read(file: int) -> Holder:
    try:
        data: Mapping[str, Any] = json.loads(os.pread(file, 4096, 0))
        return Holder(data["user"], data["host"], data["pid"], data["since"])
    except (ValueError, KeyError, TypeError):
        return Holder()


def _now(clock: Clock) -> str:
    return clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
