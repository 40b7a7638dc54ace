"""Writes a file so that a reader, or a crash, finds the old content or the new, never a part."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

PRIVATE = 0o600


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces ``path``, durably. A file that exists keeps its mode, a new one is private.

    Raises OSError; the old file is then untouched and no draft is left.
    """
    mode = PRIVATE
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
    _replace(path, path.with_name(f".{path.name}.{secrets.token_hex(4)}.new"), data, mode)


def write_privately(path: Path, data: bytes) -> None:
    """As ``write_atomically``, with mode 0600 whatever stood there; one writer at a time.

    What a crash leaves beside it is always of one name, and goes with the next write.
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    _replace(path, draft, data, PRIVATE)


def _replace(path: Path, draft: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)  # the new name outlasts a power cut
    finally:
        os.close(handle)
