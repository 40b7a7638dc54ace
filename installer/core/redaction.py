"""Masks known secret values in every text that leaves the process.

Values are registered once, when the sealed file is opened or a secret is made or given. Events
and errors redact their own texts when they are constructed, so a text cannot be journalled,
logged or shown unmasked by a caller that forgot. Only literal values are masked, in the forms in
which they travel; there is no guessing by pattern here.

A text is scanned once, whatever the number of secrets: each place is looked up by its first few
characters in a table of all forms.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, cast

from installer.core.secret_forms import SHORTEST_MASKED, forms_of

MASK = "[secret]"
_ANCHOR = 8  # characters of a form by which it is looked up; fewer for a shorter form

_lock = threading.Lock()
_registered: set[str] = set()
# Anchor length -> anchor -> forms that begin with it. Only ever grows under the lock, by whole
# tuples, so that a reader without the lock sees a form entirely or not at all.
_anchors: dict[int, dict[str, tuple[str, ...]]] = {}

T = TypeVar("T")


def register(values: Iterable[str]) -> None:
    """Adds secret values to mask from now on.

    Values under four characters are ignored: masking them would mask ordinary words; the store
    refuses such secrets. Lines of a longer text are masked each by itself too.
    """
    with _lock:
        for value in values:
            if value not in _registered:
                _registered.add(value)
                for part in {value, *value.split(MASK)}:
                    _add(forms_of(part))


def _add(forms: Iterable[str]) -> None:
    for form in forms:
        size = min(_ANCHOR, len(form))
        table = _anchors.setdefault(size, {})
        known = table.get(form[:size], ())
        if form not in known:
            table[form[:size]] = (*known, form)


def forget_all() -> None:
    """Drops every registered value (between two installs in one process, and in tests)."""
    with _lock:
        _registered.clear()
        _anchors.clear()


def redact(text: str) -> str:
    """The text with each registered value, in any of its forms, replaced by ``[secret]``.

    What is masked already stays as it is: ``redact(redact(text)) == redact(text)``.
    """
    if not _anchors or len(text) < SHORTEST_MASKED:
        return text
    parts = [_masked(part) for part in text.split(MASK)]
    return MASK.join(parts) if len(parts) > 1 else parts[0]


def _masked(text: str) -> str:
    spans = sorted(_spans(text))
    if not spans:
        return text
    pieces: list[str] = []
    kept_to = covered_to = 0
    for start, end in spans:
        # Values that overlap are one span: cutting the first would leave a tail of the second.
        if start >= covered_to:
            pieces.append(text[kept_to:start] + MASK)
        covered_to = max(covered_to, end)
        kept_to = covered_to
    return "".join(pieces) + text[kept_to:]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for size, table in tuple(_anchors.items()):
        places = [i for i in range(len(text) - size + 1) if text[i : i + size] in table]
        for start in places:
            for form in table[text[start : start + size]]:
                if text.startswith(form, start):
                    yield start, start + len(form)


def redact_data(data: T) -> T:
    """Redacts every string inside mappings, lists, tuples and sets; the rest passes unchanged."""
    return cast(T, _walk(data)) if _anchors else data


def _walk(data: object) -> object:
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, Mapping):
        return {_walk(key): _walk(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_walk(item) for item in data]
    if isinstance(data, tuple):
        return tuple(_walk(item) for item in data)
    if isinstance(data, set | frozenset):
        return type(data)(_walk(item) for item in data)
    return data
