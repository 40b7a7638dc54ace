"""Reads the dates of an X.509 certificate, without a cryptographic library.

Only RFC 5280's fixed outer structure is walked: Certificate, tbsCertificate, then past version,
serial number, signature and issuer to validity.
"""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime

_PEM = re.compile("-----BEGIN CERTIFICATE-----\\s+(.+?)-----END CERTIFICATE-----", re.DOTALL)
_CONTEXT_0 = 0xA0  # the optional version
_UTC_TIME = 0x17  # YYMMDDHHMMSSZ; years from 50 on are of the 20th century


@dataclass(frozen=True)
class Validity:
    not_before: datetime
    not_after: datetime


def validity(pem: str) -> Validity | None:
    """Dates of the first certificate in the text; None where there is none to be read."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        der = base64.b64decode(found.group(1))
        _, certificate, _ = _element(der)
        _, body, _ = _element(certificate)
        before = 4 if body[0] == _CONTEXT_0 else 3
        content, rest = b"", body
        for _ in range(before + 1):
            _, content, rest = _element(rest)
        kind, first, after = _element(content)
        later_kind, second, _ = _element(after)
        return Validity(_time(kind, first), _time(later_kind, second))
    except (ValueError, IndexError):
        return None


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows it, of the DER element at the start."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[2 : 2 + count]), 2 + count
    if start + length > len(data):
        raise ValueError("the element is longer than its data")
    return tag, data[start : start + length], data[start + length :]


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
