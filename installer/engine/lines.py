"""One line of the journal: how it is written, and what makes it worth belief.

``{"v":1,"seq":7,"time":"…","run":2,"type":"step-done","data":{…},"prev":"<sha256>","crc":"<hex>"}``
``prev`` is the SHA-256 of the line before (over all files of the directory, without its newline),
``crc`` the CRC-32 of everything in front of ``,"crc"``.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass

from installer.core import events as ev

FIRST = "0" * 64  # what stands in ``prev`` of the very first line
_CRC = b',"crc":"'
_SEALED = len('01234567"}')  # what follows _CRC


@dataclass
class LineBroken(Exception):
    """Why a line is not what was once written."""

    why: str


@dataclass
class LineNewer(Exception):
    """The line is of a version of the vocabulary that this program does not know."""

    version: int


def encode(record: ev.Recorded, prev: str) -> bytes:
    """The line without its newline. Raises TypeError or ValueError on what is not JSON."""
    data = {"v": ev.VERSION, **record.to_json(), "prev": prev}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    body = text[:-1].encode()
    return body + _CRC + b'%08x"}' % zlib.crc32(body)


def link(line: bytes) -> str:
    """What the next line carries as ``prev``."""
    return hashlib.sha256(line).hexdigest()


def decode(line: bytes, seq: int, prev: str) -> ev.Recorded:
    """The record, if the line is sound and follows on ``seq - 1`` and ``prev``.

    Raises LineBroken, or LineNewer for a newer version (looked at first: a newer version may seal
    its lines in another way, and must never be taken for damage).
    """
    body, mark, seal = line.rpartition(_CRC)
    sound = bool(mark) and seal == b'%08x"}' % zlib.crc32(body)
    try:
        data = json.loads(line)
        version = data["v"]
    except (ValueError, KeyError, TypeError):
        raise LineBroken("it is not a JSON object of ours") from None
    if isinstance(version, int) and version > ev.VERSION:
        raise LineNewer(version)
    if not sound:
        raise LineBroken("its checksum does not match its content")
    if data["seq"] != seq:
        raise LineBroken(f"it has number {data['seq']}, {seq} is due")
    if data["prev"] != prev:
        raise LineBroken("it does not follow on the line before it")
    try:
        return ev.Recorded.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise LineBroken(f"its event cannot be read ({type(error).__name__})") from None


def holds_whole_line(text: bytes) -> bool:
    """Whether ``text`` begins with a sealed line and goes on after it.

    No crash leaves that: a newline was altered, so this is damage and not a torn write.
    """
    start = 0
    while (at := text.find(_CRC, start)) >= 0:
        end = at + len(_CRC) + _SEALED
        if end < len(text) and text[at + len(_CRC) : end] == b'%08x"}' % zlib.crc32(text[:at]):
            return True
        start = at + 1
    return False
