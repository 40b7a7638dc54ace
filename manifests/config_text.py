"""Escape filters of text configuration formats, one a format.

Sources: redis.conf and sentinel.conf are split by ``sdssplitargs`` (valkey, src/sds.c); haproxy.cfg
by the rules of its Configuration Manual, section 2.2 "Quoting and escaping".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_REDIS_PLAIN = re.compile(r"[A-Za-z0-9._:/+*-]+")
_HAPROXY_PLAIN = re.compile(r"[A-Za-z0-9._:/+*@%-]+")


def redis_word(value: object) -> str:
    """One argument of a directive: text, a whole number, or a bool as yes/no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} has no form in redis.conf")
    if _REDIS_PLAIN.fullmatch(value):
        return value
    return '"' + "".join(_redis_character(byte) for byte in value.encode()) + '"'


def _redis_character(byte: int) -> str:
    character = chr(byte)
    if character in '"\\':
        return "\\" + character
    return character if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"


@dataclass(frozen=True)
class HaproxyVariable:
    """Stands for the value of an environment variable that HAProxy is started with."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", self.name):
            raise ValueError(f"{self.name!r} is not the name of an environment variable")


def haproxy_word(value: object) -> str:
    """One word of a line: text, a whole number, a variable, or a list of these put together.

    Raises ValueError on NUL, which no word can hold.
    """
    parts = value if isinstance(value, list | tuple) else [value]
    quoted = "".join(_haproxy_part(part) for part in parts)
    return quoted if _HAPROXY_PLAIN.fullmatch(quoted) else f'"{quoted}"'


def _haproxy_part(value: object) -> str:
    if isinstance(value, HaproxyVariable):
        return "${" + value.name + "}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} has no form in haproxy.cfg")
    if "\0" in value:
        raise ValueError("haproxy.cfg cannot hold a NUL")
    return "".join(_haproxy_character(byte) for byte in value.encode())


def _haproxy_character(byte: int) -> str:
    character = chr(byte)
    if character in '"\\$':
        return "\\" + character
    if character in "\r\n\t":
        return {"\r": "\\r", "\n": "\\n", "\t": "\\t"}[character]
    return character if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"


FILTERS: dict[str, Callable[[object], str]] = {"redis": redis_word, "haproxy": haproxy_word}
