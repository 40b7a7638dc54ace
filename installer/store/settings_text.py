"""Changes the text of a settings file and leaves comments and order where they are.

Two ways, the gentler first: single values replaced in place; whole top-level sections written
anew. Each result is read back, and counts only if it means exactly what was asked for; when
neither does, the whole file is written anew.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from installer.core.settings_problem import Path
from installer.store.yaml_document import Document, dump_yaml, read_document

Edit = tuple[int, int, str]


def edited_text(document: Document, tree: dict[str, Any]) -> str:
    """The document's text changed so that it means ``tree``."""
    if not document.problems and _same(document.tree, tree):
        return document.text
    if isinstance(document.tree, dict) and not document.problems:
        ways: tuple[Callable[[Document, dict[str, Any]], list[Edit]], ...] = (
            _value_edits,
            _section_edits,
        )
        for way in ways:
            text = _apply(document.text, way(document, tree))
            if _means(text, tree):
                return text
    return dump_yaml(tree)


def _means(text: str, tree: dict[str, Any]) -> bool:
    read = read_document(text)
    return not read.problems and _same(read.tree, tree)


def _same(one: object, other: object) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


def _apply(text: str, edits: list[Edit]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _scalars(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _scalars(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _scalars(item, (*path, number))
    else:
        yield path, value


def _value_edits(document: Document, tree: dict[str, Any]) -> list[Edit]:
    before = dict(_scalars(document.tree))
    edits = []
    for path, value in _scalars(tree):
        if path in before and not _same(before[path], value) and path in document.values:
            span = document.values[path]
            # In double quotes inside [ ] or { } and after any key: right in every place.
            edits.append((span.start, span.end, _inline(value)))
    return edits


def _inline(value: object) -> str:
    text = dump_yaml([value]).strip().removeprefix("- ")
    flow = dump_yaml({"k": value}).removeprefix("k:").strip()
    plain = "\n" not in text and not set(text) & set(",[]{}#")
    return text if plain and text == flow else _quoted(value)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _section_edits(document: Document, tree: dict[str, Any]) -> list[Edit]:
    text = document.text
    starts = {str(path[0]): span.start for path, span in document.keys.items() if len(path) == 1}
    edits: list[Edit] = []
    for key, start in starts.items():
        if key in tree and _same(document.tree[key], tree[key]):
            continue
        span = document.values.get((key,))
        end = max(span.end if span else start, start)
        line_end = text.find("\n", end)
        end = len(text) if line_end < 0 else line_end + 1
        # A block collection ends where the next key begins, comments before that key included.
        last = text.rfind("\n", 0, span.end) if span else -1
        if span and span.line > text.count("\n", 0, start) + 1 and last > start:
            end = last + 1
            end = _before_comments(text, start, end)
        edits.append((start, end, dump_yaml({key: tree[key]}) if key in tree else ""))
    new = {key: value for key, value in tree.items() if key not in starts}
    if new:
        gap = "" if text.endswith("\n") or not text else "\n"
        edits.append((len(text), len(text), gap + dump_yaml(new)))
    return edits


def _before_comments(text: str, start: int, end: int) -> int:
    """``end`` moved up over blank lines and comments, which belong to what follows."""
    while end > start:
        line_start = text.rfind("\n", start, end - 1) + 1
        line = text[line_start:end].strip()
        if line_start <= start or (line and not line.startswith("#")):
            return end
        end = line_start
    return end
