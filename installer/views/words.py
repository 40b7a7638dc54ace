"""Durations, times and counts as an operator reads them."""

from collections.abc import Iterable
from datetime import datetime, tzinfo


def duration(seconds: float) -> str:
    """``0:04``, ``12:31``, ``1:02:03``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_range(low: float, high: float) -> str:
    """``under a minute``, ``about 2 min``, ``3 to 8 min``; seconds in."""
    if high < 60:
        return "under a minute"
    first, last = max(1, round(low / 60)), max(1, round(high / 60))
    return f"about {last} min" if first == last else f"{first} to {last} min"


def clock_time(stamp: str, zone: tzinfo | None = None) -> str:
    """Local wall time of an RFC 3339 stamp, ``14:26:58``. ``zone`` None is the machine's own."""
    return datetime.fromisoformat(stamp).astimezone(zone).strftime("%H:%M:%S")


def count(number: int, one: str, many: str = "") -> str:
    """``1 object``, ``3 objects``, ``no objects``."""
    word = one if number == 1 else many or one + "s"
    return f"{number if number else 'no'} {word}"


def listed(names: Iterable[str], limit: int = 6) -> str:
    """``a, b and 3 more``."""
    items = list(names)
    if len(items) <= limit:
        return ", ".join(items)
    return f"{', '.join(items[:limit])} and {len(items) - limit} more"


def time_now(zone: tzinfo | None = None) -> str:
    """Local wall time, ``14:26:58``."""
    return datetime.now().astimezone(zone).strftime("%H:%M:%S")
