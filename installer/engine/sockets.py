"""The engine's socket in the install's directory: names, rights, framing."""

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAME = "engine.sock"
LONGEST_LINE = 64 * 2**20  # bytes; a plan of 10,000 objects has about 2 MB
_UCRED = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A path of the socket that fits into the 108 bytes of ``sun_path``, however deep it lies."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{NAME}"
    finally:
        os.close(handle)


def listening(directory: Path) -> socket.socket:
    """A listening socket, mode 0600. The directory's lock must be held.

    What an engine that was killed left under that name is replaced. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        (directory / NAME).unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # the mode is right from the first instant
    try:
        with _short(directory) as path:
            made.bind(path)
        made.listen(16)
    except OSError:
        made.close()
        raise
    finally:
        os.umask(before)
    made.setblocking(False)
    return made


def connected(directory: Path) -> socket.socket:
    """Raises OSError (FileNotFoundError, ConnectionRefusedError) when no engine listens."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(directory) as path:
            made.connect(path)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def peer_uid(connection: socket.socket) -> int:
    """The user on the other end, as the kernel knows it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(raw)[1]
    return uid


def packed(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


async def received(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None at the end of the connection.

    Raises ValueError on a line that is no JSON object or is longer than LONGEST_LINE.
    """
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    if not line.endswith(b"\n"):
        return None
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message must be a JSON object")
    return message
