"""Which directives an operator may add to the servers' configuration."""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from installer.core.settings_problem import Finding

_LIST = Path(__file__).parent / "extra-directives.txt"


@cache
def allowed() -> frozenset[str]:
    """The directives of ``extra-directives.txt``."""
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def check(extra: Mapping[str, Any]) -> Iterable[Finding]:
    """What is wrong with an operator's directives: names, and values that are no words."""
    for name, value in extra.items():
        path = ("components", "redis", "extra", name)
        if name not in allowed():
            near = difflib.get_close_matches(name, allowed(), n=1)
            suggestion = f"did you mean {near[0]}?" if near else "see the component's page"
            yield Finding(path, "not a directive that can be set here", suggestion)
        words = value if isinstance(value, list) else [value]
        if not words or not all(isinstance(word, str | int) for word in words):
            yield Finding(path, "text, a whole number, true, false, or a list of these is needed")
        elif any(isinstance(word, str) and not word.isprintable() for word in words):
            yield Finding(path, "holds characters that cannot be seen", "remove them")
