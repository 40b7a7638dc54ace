"""Masks known secret values in every text that leaves the process.

Values are registered once, when the sealed file is opened or a secret is made or given. Events
and errors redact their own texts when they are constructed, so a text cannot be journalled,
logged or shown unmasked by a caller that forgot. Literal values come first (raw and in the
encodings in which they travel); there is no guessing by pattern here.
"""

import base64
import json
import re
import threading
from collections.abc import Iterable
from typing import TypeVar, cast
from urllib.parse import quote, quote_plus

MASK = "[secret]"
SHORTEST_MASKED = 4  # a shorter value would mask ordinary words; the store refuses such secrets

_lock = threading.Lock()
_forms: set[str] = set()
_pattern: re.Pattern[str] | None = None

T = TypeVar("T")


def _encodings(value: str) -> set[str]:
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value)}
    forms.add(json.dumps(value)[1:-1])
    forms.add(json.dumps(value, ensure_ascii=False)[1:-1])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(raw).decode()
        forms |= {encoded, encoded.rstrip("=")}
    # Inside a longer base64 text (a Secret's file, basic auth) the value starts at any of three
    # offsets; the bytes at its edges share characters with their neighbours and are left out.
    for offset in (1, 2):
        padded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        forms.add(padded[4:-1] if len(padded) > 12 else value)
    unpadded = base64.b64encode(raw).decode().rstrip("=")
    if len(unpadded) > 12:
        forms.add(unpadded[:-1])
    return {form for form in forms if len(form) >= SHORTEST_MASKED}


def register(values: Iterable[str]) -> None:
    """Adds secret values to mask from now on. Values under four characters are ignored."""
    global _pattern
    with _lock:
        for value in values:
            for line in {value, *value.splitlines()}:
                if len(line) >= SHORTEST_MASKED:
                    _forms.update(_encodings(line))
        longest_first = sorted(_forms, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def forget_all() -> None:
    """Drops every registered value (between two installs in one process, and in tests)."""
    global _pattern
    with _lock:
        _forms.clear()
        _pattern = None


def redact(text: str) -> str:
    """The text with each registered value replaced by ``[secret]``."""
    return _pattern.sub(MASK, text) if _pattern is not None else text


def redact_data(data: T) -> T:
    """Redacts every string inside dicts, lists and tuples; other values pass unchanged."""
    return cast(T, _walk(data))


def _walk(data: object) -> object:
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, dict):
        return {_walk(key): _walk(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_walk(item) for item in data]
    if isinstance(data, tuple):
        return tuple(_walk(item) for item in data)
    return data
