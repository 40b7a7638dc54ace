"""Durations, ranges and counts as they are read."""

import pytest

from installer.views import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (4.4, "0:04"), (751, "12:31"), (3723, "1:02:03"), (-1, "0:00"), (59.6, "1:00")],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ((1, 50), "under a minute"),
        ((110, 130), "about 2 min"),
        ((170, 490), "3 to 8 min"),
        ((0, 70), "about 1 min"),
    ],
)
def test_ranges(span: tuple[float, float], text: str) -> None:
    assert words.time_range(*span) == text


def test_counts_and_lists() -> None:
    assert words.count(0, "object") == "no objects"
    assert words.count(1, "policy", "policies") == "1 policy"
    assert words.count(2, "policy", "policies") == "2 policies"
    assert words.listed("abcdefgh", 3) == "a, b, c and 5 more"
