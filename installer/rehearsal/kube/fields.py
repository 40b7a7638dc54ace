"""The fields that built-in kinds have, and how server-side apply merges each of them.

The tables in `fields/*.fields` hold facts of the public Kubernetes 1.36 API: for each type its
fields, and for each field what server-side apply needs to know. One type is one paragraph:

    Name[!] = field:type field:type ...

`!` after the name marks a type that is owned and replaced as a whole (atomic). A field's type is
`str`, `num`, `bool`, `qty`, `time`, `intstr`, `any`, the name of another type, `{}T` for a map,
`[]T` for an atomic list, `[*]T` for a set and `[k1,k2=default]T` for a list whose elements are
told apart by keys.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

SCALARS = frozenset({"str", "num", "bool", "qty", "time", "intstr"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value without inner structure; `kind` is one of `SCALARS`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Untyped:
    """Anything goes: maps are merged key by key, lists are replaced as a whole."""

    atomic: bool = False


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map with free keys."""

    element: "Node"
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list: `relation` is `atomic`, `set` or `keys`; defaults stand for keys left out."""

    element: "Node"
    relation: str
    keys: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Struct:
    """A type with named fields; `open_` ones also keep fields they do not declare."""

    name: str
    source: tuple[tuple[str, str], ...] = ()
    atomic: bool = False
    open_: bool = False
    made: "tuple[tuple[str, Node], ...] | None" = None

    @cached_property
    def fields(self) -> "dict[str, Node]":
        """Field name to node; looked up late, because types refer to each other in circles."""
        if self.made is not None:
            return dict(self.made)
        return {field: parse_type(text) for field, text in self.source}


Node = Scalar | Untyped | MapOf | ListOf | Struct

ANY = Untyped()


def parse_type(text: str) -> Node:
    """Turn the text of one field's type into its node."""
    if text.startswith("!"):
        return _atomic(parse_type(text[1:]))
    if text.startswith("{}"):
        return MapOf(parse_type(text[2:]))
    if text.startswith("["):
        head, _, tail = text[1:].partition("]")
        return _list(head, parse_type(tail))
    if text == "any":
        return ANY
    if text in SCALARS:
        return Scalar(text)
    return struct(text)


def _list(head: str, element: Node) -> ListOf:
    if not head:
        return ListOf(element, "atomic")
    if head == "*":
        return ListOf(element, "set")
    pairs = [key.partition("=") for key in head.split(",")]
    return ListOf(
        element,
        "keys",
        tuple(key for key, _, _ in pairs),
        tuple((key, value) for key, mark, value in pairs if mark),
    )


def _atomic(node: Node) -> Node:
    match node:
        case Struct():
            return Struct(node.name, node.source, True, node.open_, node.made)
        case MapOf():
            return MapOf(node.element, True)
        case Untyped():
            return Untyped(True)
        case _:
            return node


@cache
def struct(name: str) -> Struct:
    """The declared type of that name; KeyError when no table holds it."""
    return _declared()[name]


@cache
def _declared() -> dict[str, Struct]:
    found: dict[str, Struct] = {}
    folder = resources.files(__package__).joinpath("fields")
    for table in ("core", "workloads", "cluster", "extensions"):
        text = folder.joinpath(f"{table}.fields").read_text(encoding="utf-8")
        for paragraph in _paragraphs(text):
            head, _, body = paragraph.partition("=")
            name = head.strip()
            pairs = tuple(_pair(word) for word in body.split())
            found[name.rstrip("!")] = Struct(name.rstrip("!"), pairs, name.endswith("!"))
    return found


def _pair(word: str) -> tuple[str, str]:
    field, _, text = word.partition(":")
    return field, text


def _paragraphs(text: str) -> list[str]:
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            found[-1] += line
        elif line.strip():
            found.append(line)
    return found
