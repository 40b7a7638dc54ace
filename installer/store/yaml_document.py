"""YAML as a settings file may use it, read with the place of every key and value.

A strict part of YAML 1.2: one document, no tags, anchors, aliases or merge keys, no key twice;
``yes``, ``on`` and ``0123`` are text. It is read from the parser's events, without recursion and
without building nodes, so that hostile input costs no more than its own length. What is wrong is
collected, not raised.
"""

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from installer.core.settings_problem import Path
from installer.core.settings_text import unfit_character

DEEPEST = 20
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?")
_QUOTED = re.compile(r"""(['"]).{2,}\1""")
_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUES, _FALSES = {"true", "True", "TRUE"}, {"false", "False", "FALSE"}
_UNPRINTABLE = {"Cc", "Co", "Cs", "Cn", "Zl", "Zp"}


@dataclass(frozen=True)
class Span:
    """Where something stands: line and column from 1, and its slice of the text."""

    line: int
    column: int
    start: int
    end: int


@dataclass(frozen=True)
class DocumentProblem:
    """Something that is wrong as YAML, before anybody looks at what it means."""

    line: int
    column: int
    path: Path
    why: str
    suggestion: str = ""


@dataclass
class Document:
    """What was read. ``complete`` is False when reading had to stop before the end."""

    text: str
    tree: Any = None
    keys: dict[Path, Span] = field(default_factory=dict)
    values: dict[Path, Span] = field(default_factory=dict)
    problems: list[DocumentProblem] = field(default_factory=list)
    complete: bool = True

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of the value, else its key, else the nearest thing around it."""
        while path:
            span = self.values.get(path) or self.keys.get(path)
            if span is not None:
                return span.line, span.column
            path = path[:-1]
            if path in self.keys:
                return self.keys[path].line, self.keys[path].column
        return 1, 1


def plain_value(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means (YAML 1.2 core schema, without octal, inf and nan)."""
    if text in _NULLS:
        return None
    if text in _TRUES or text in _FALSES:
        return text in _TRUES
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _span(event: Event) -> Span:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:
        raise ValueError("PyYAML gives every event its marks")
    return Span(start.line + 1, start.column + 1, start.index, end.index)


@dataclass
class _Frame:
    """A mapping or list that is being read."""

    container: dict[str, Any] | list[Any]
    path: Path
    span: Span
    dropped: bool = False  # a repeated key's value: read, but kept nowhere
    key: str | None = None
    key_dropped: bool = False


class _Stop(Exception):
    """Reading cannot go on in a sensible way; the problem is already noted."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.document = Document(text)
        self._frames: list[_Frame] = []
        self._documents = 0

    def read(self) -> Document:
        document = self.document
        text = self._printable(document.text)
        loader = yaml.SafeLoader(text)
        try:
            for event in _events(loader):
                self._take(event)
        except _Stop:
            document.complete = False
        except yaml.MarkedYAMLError as error:
            document.complete = False
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self._note(line, column, (), *_syntax_words(error.problem or "cannot be read"))
        except (yaml.YAMLError, ValueError, OverflowError):
            # An escape or directive with a number that no character or version has.
            document.complete = False
            self._note(loader.line + 1, loader.column + 1, (), "not YAML: an impossible number")
        finally:
            loader.dispose()
        return document

    def _note(self, line: int, column: int, path: Path, why: str, suggestion: str = "") -> None:
        self.document.problems.append(DocumentProblem(line, column, path, why, suggestion))

    def _printable(self, text: str) -> str:
        """The text with a question mark, and a problem, for each character that nobody can see."""
        if text.isascii() and text.isprintable():
            return text
        characters = list(text)
        line, begin = 1, 0
        for number, character in enumerate(text):
            if character == "\n":
                line, begin = line + 1, number + 1
            elif character not in "\r\t" and unicodedata.category(character) in _UNPRINTABLE:
                characters[number] = "?"
                why = f"the character U+{ord(character):04X} cannot be seen and is refused"
                self._note(line, number - begin + 1, (), why, "remove it")
        return "".join(characters)

    def _take(self, event: Event) -> None:
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._at(event, "a second document begins here; one file holds one", "remove it")
                raise _Stop
            if event.tags:
                self._at(event, "%TAG is refused", "remove it")
        elif isinstance(event, CollectionEndEvent):
            frame = self._frames.pop()
            span = replace(frame.span, end=_span(event).end)
            self._put(frame.container, frame.path, span, frame.dropped)
        elif isinstance(event, NodeEvent):
            self._node(event)

    def _at(self, event: Event, why: str, suggestion: str = "", path: Path = ()) -> None:
        span = _span(event)
        self._note(span.line, span.column, path, why, suggestion)

    def _node(self, event: NodeEvent) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame and isinstance(frame.container, dict) and frame.key is None:
            self._take_key(frame, event)
            return
        path = self._next_path(frame)
        dropped = bool(frame and (frame.dropped or frame.key_dropped))
        self._refuse_marks(event, path)
        span = _span(event)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(self._frames) >= DEEPEST:
                self._at(event, f"nested deeper than {DEEPEST} levels", path=path[:3])
                raise _Stop
            container: dict[str, Any] | list[Any] = (
                {} if isinstance(event, MappingStartEvent) else []
            )
            self._frames.append(_Frame(container, path, span, dropped))
        elif isinstance(event, ScalarEvent):
            self._put(self._scalar(event, path), path, span, dropped)
        else:
            self._put(None, path, span, dropped)

    def _next_path(self, frame: _Frame | None) -> Path:
        if frame is None:
            return ()
        if isinstance(frame.container, list):
            return (*frame.path, len(frame.container))
        return (*frame.path, str(frame.key))

    def _refuse_marks(self, event: NodeEvent, path: Path) -> None:
        """The names of tags and anchors are not repeated: an unquoted secret may look like one."""
        quote = "put the value in quotes if it is meant to begin so"
        if isinstance(event, AliasEvent):
            self._at(event, "aliases (*name) are refused", quote, path)
            return
        if event.anchor is not None:
            self._at(event, "anchors (&name) are refused", quote, path)
        if getattr(event, "tag", None) is not None:
            self._at(event, "tags (!name) are refused", quote, path)

    def _scalar(self, event: ScalarEvent, path: Path) -> str | int | float | bool | None:
        character = unfit_character(event.value, lines=True)
        if character:
            why = f"holds the character {character}, which cannot be seen"
            self._at(event, why, "remove it", path)
            return ""
        return plain_value(event.value) if event.implicit[0] else event.value

    def _take_key(self, frame: _Frame, event: NodeEvent) -> None:
        if not isinstance(event, ScalarEvent):
            self._at(event, "a key must be plain text", path=frame.path)
            raise _Stop
        key = event.value
        path = (*frame.path, key)
        self._refuse_marks(event, frame.path)
        if unfit_character(key) or len(key) > 200:
            self._at(event, "not a key: too long, or with characters that cannot be seen")
            raise _Stop
        if key == "<<" and event.implicit[0]:
            self._at(event, "merge keys (<<) are refused", "write the keys out", frame.path)
        frame.key, frame.key_dropped = key, False
        assert isinstance(frame.container, dict)
        if key in frame.container and not frame.dropped:
            first = self.document.keys[path].line
            frame.key_dropped = True
            self._at(event, f"the key is there twice, first on line {first}", "remove one", path)
        elif not frame.dropped:
            frame.container[key] = None
            self.document.keys[path] = _span(event)

    def _put(self, value: Any, path: Path, span: Span, dropped: bool) -> None:
        if not dropped:
            self.document.values[path] = span
        if not self._frames:
            self.document.tree = value
            return
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
            return
        if not (frame.dropped or frame.key_dropped):
            frame.container[str(frame.key)] = value
        frame.key, frame.key_dropped = None, False


def _events(loader: yaml.SafeLoader) -> Iterator[Event]:
    while loader.check_event():
        yield loader.get_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it bare


def _syntax_words(problem: str) -> tuple[str, str]:
    """The parser's complaint in the operator's words, without pieces of the text."""
    if "'\\t'" in problem:
        return "a tab: YAML is indented with spaces", "use spaces"
    if "expected <block end>" in problem or "mapping values are not allowed" in problem:
        return "the indentation or a ':' does not fit here", "align it with its neighbours"
    if "could not find expected ':'" in problem:
        return "a ':' after the key is missing", "KEY: VALUE"
    return f"not YAML: {_QUOTED.sub('...', problem)}", ""


def read_document(text: str) -> Document:
    """Reads one document; what is wrong stands in its ``problems``. Never raises for the text."""
    return _Reader(text).read()


class _Dumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or this reader would not take for text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def dump_yaml(tree: object) -> str:
    """Plain data as YAML that :func:`read_document` reads back to the same."""
    return yaml.dump(
        tree,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=98,
    )
