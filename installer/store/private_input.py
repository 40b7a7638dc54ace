"""Reads what an operator hands over privately: from a file, a descriptor or standard input."""

import os
import stat
from pathlib import Path

from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import LARGEST_GIVEN

_OTHERS_MAY_READ = stat.S_IROTH


def read_private(path: Path, *, code: str, what: str) -> str:
    """The file's text. A pipe (``<(pass show x)``) is as good as a file.

    Raises InstallError ``code`` when it cannot be read, is not UTF-8, is larger than 64 KiB, or
    is a regular file that every user of the machine may read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(code, what, f"{path}: {error.strerror}", "Check the path.") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) and mode & _OTHERS_MAY_READ:
            raise _refused(
                code,
                what,
                f"{path}: every user of this machine may read it (mode {stat.S_IMODE(mode):04o})",
                f"chmod 600 {path}; if others use this machine, change the secret too.",
            )
        return read_descriptor(descriptor, str(path), code=code, what=what)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, shown: str, *, code: str, what: str) -> str:
    """All that the descriptor yields, as text; it stays open. Raises InstallError ``code``."""
    data = b""
    try:
        while len(data) <= LARGEST_GIVEN and (chunk := os.read(descriptor, LARGEST_GIVEN + 1)):
            data += chunk
    except OSError as error:
        raise _refused(code, what, f"{shown}: {error.strerror}", "Check what is there.") from None
    if len(data) > LARGEST_GIVEN:
        limit = f"{shown}: larger than {LARGEST_GIVEN // 1024} KiB"
        raise _refused(code, what, limit, "Give the secret alone.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _refused(code, what, f"{shown}: not UTF-8 text", "Give it as text.") from None


def _refused(code: str, what: str, cause: str, remedy: str) -> InstallError:
    title = f"The {what} cannot be used"
    return InstallError(code, title, cause, remedy, exit_code=ExitCode.USAGE)
