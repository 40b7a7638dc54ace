"""Canonical JSON and keyed digests: one byte string for one meaning."""

import hashlib
import hmac
import json
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def canonical(data: object) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces. Raises TypeError on what is not JSON."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(data: object) -> str:
    """SHA-256 of the canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical(data)).hexdigest()


def keyed_digest(key: bytes, data: object) -> str:
    """HMAC-SHA256 of the canonical JSON under a per-install key, as 64 hex digits.

    Used wherever a secret's value has a part in a hash or an annotation: a plain hash of a short
    secret could be guessed offline by anyone who may read annotations.
    """
    return hmac.new(key, canonical(data), hashlib.sha256).hexdigest()
