"""Are our fields in a live object as we declared them, and what exactly differs?

A live object holds more than was sent: defaults, status, fields of other managers. The subset
comparison here looks only at what we declare; the full comparison serves the answer of a dry run
held against the live object, where every field counts but the server's own.

A wrong "differs" costs one dry run. A wrong "equal" would leave an object as it should not be, so
whatever is not known to be the same counts as different.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from installer.cluster.quantities import quantity


@dataclass(frozen=True)
class Item:
    """An element of a list whose elements are told apart by keys (``containers`` by name)."""

    keys: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return "[" + ",".join(f"{name}={value}" for name, value in self.keys) + "]"


PathPart: TypeAlias = str | int | Item
Path: TypeAlias = tuple[PathPart, ...]


class _Missing:
    def __repr__(self) -> str:
        return "(not set)"


MISSING = _Missing()


@dataclass(frozen=True)
class Difference:
    """One field: ``wanted`` is what we declare (or a dry run gave), ``found`` what is there."""

    path: Path
    wanted: Any
    found: Any

    @property
    def where(self) -> str:
        return path_text(self.path)


def path_text(path: Path) -> str:
    """``spec.containers[name=web].ports[0]``, as people and conflict messages write it."""
    text = ""
    for part in path:
        if isinstance(part, Item):
            text += str(part)
        elif isinstance(part, int) or "." in part or "/" in part:
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


# Lists that the API merges by key: x-kubernetes-list-map-keys in the OpenAPI document of
# Kubernetes 1.36. "ports" is decided by what the element holds.
_BY_NAME = (
    "containers",
    "initContainers",
    "ephemeralContainers",
    "env",
    "volumes",
    "imagePullSecrets",
    "webhooks",
    "validations",
)
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    **{name: ("name",) for name in _BY_NAME},
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
_SETS = ("finalizers",)
_TEXT = ("data", "binaryData", "stringData")  # kept as sent: no defaults, no quantities
_QUANTITY_PARENTS = frozenset(
    ("requests", "limits", "hard", "capacity", "min", "max", "default", "defaultRequest", "storage")
)
_QUANTITY_FIELDS = frozenset(("sizeLimit", "storage", "averageValue", "divisor", "size"))
# Non-pointer booleans and numbers, which the server leaves out when they are zero. A pointer
# (automountServiceAccountToken: false) is kept, so its absence means that somebody removed it.
_OMITTED_ZERO = frozenset(
    ("publishNotReadyAddresses", "hostNetwork", "hostPID", "hostIPC", "readOnly", "stdin", "tty")
)
_MEANT_EMPTY = frozenset(
    ("emptyDir", "podSelector", "namespaceSelector", "selector", "storageClassName")
)
_SERVER_METADATA = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


def differences(ours: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Fields of ours that the live object does not hold as declared; empty when it does.

    ``status`` and the server's own metadata are left out on our side.
    """
    return tuple(_walk((), _declared(ours), live, both=False))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every field in which two full objects differ: ``found`` before, ``wanted`` after."""
    return tuple(_walk((), _declared(after), _declared(before), both=True))


def metadata_differences(
    ours: Mapping[str, Any], live: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """Labels and annotations only: what an equal generation says nothing about."""
    names = ("labels", "annotations")
    wanted = {"metadata": {n: ours["metadata"][n] for n in names if n in ours["metadata"]}}
    return tuple(_walk((), wanted, live, both=False))


def _declared(manifest: Mapping[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in manifest.items() if name != "status"}
    meta = manifest.get("metadata", {})
    body["metadata"] = {n: value for n, value in meta.items() if n not in _SERVER_METADATA}
    return body


def _walk(path: Path, wanted: Any, found: Any, *, both: bool) -> Iterator[Difference]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        yield from _walk_mapping(path, wanted, found, both=both)
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _walk_list(path, wanted, found, both=both)
    elif not _same_scalar(path, wanted, found):
        yield Difference(path, wanted, found)


def _walk_mapping(
    path: Path, wanted: Mapping[str, Any], found: Mapping[str, Any], *, both: bool
) -> Iterator[Difference]:
    for name, value in wanted.items():
        yield from _walk((*path, name), value, found.get(name, MISSING), both=both)
    if both:
        for name in found.keys() - wanted.keys():
            yield from _walk((*path, name), MISSING, found[name], both=True)


def _walk_list(
    path: Path, wanted: list[Any], found: list[Any], *, both: bool
) -> Iterator[Difference]:
    keys = list_keys(path, wanted or found)
    if keys:
        yield from _walk_keyed(path, keys, wanted, found, both=both)
    elif path[-1] in _SETS:
        if not set(wanted) <= set(found) or (both and set(wanted) != set(found)):
            yield Difference(path, wanted, found)
    elif len(wanted) != len(found):
        yield Difference(path, wanted, found)
    else:
        for index, (ours, theirs) in enumerate(zip(wanted, found, strict=True)):
            yield from _walk((*path, index), ours, theirs, both=both)


def _walk_keyed(
    path: Path, keys: tuple[str, ...], wanted: list[Any], found: list[Any], *, both: bool
) -> Iterator[Difference]:
    present = {_item(element, keys): element for element in found}
    asked = {_item(element, keys): element for element in wanted}
    for item, element in asked.items():
        yield from _walk((*path, item), element, present.get(item, MISSING), both=both)
    if both:
        for item in present.keys() - asked.keys():
            yield Difference((*path, item), MISSING, present[item])


def list_keys(path: Path, elements: Sequence[Any]) -> tuple[str, ...]:
    """Keys that tell the elements of the list at ``path`` apart; empty for an atomic list."""
    name = path[-1] if path else ""
    if not elements or not all(isinstance(element, Mapping) for element in elements):
        return ()
    if name == "ports":
        if all("containerPort" in element for element in elements):
            return ("containerPort", "protocol")
        # Only a Service's list is keyed; a NetworkPolicy's is atomic and lies deeper.
        return ("port", "protocol") if path == ("spec", "ports") else ()
    keys = LIST_KEYS.get(name, ()) if isinstance(name, str) else ()
    return keys if all(key in element for element in elements for key in keys) else ()


def _item(element: Mapping[str, Any], keys: tuple[str, ...]) -> Item:
    defaults = {"protocol": "TCP"}
    return Item(tuple((key, element.get(key, defaults.get(key))) for key in keys))


def _same_scalar(path: Path, wanted: Any, found: Any) -> bool:
    if wanted is MISSING or found is MISSING:
        return _says_nothing(path, wanted) and _says_nothing(path, found)
    if wanted is None or found is None:
        return _says_nothing(path, wanted) and _says_nothing(path, found)
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if wanted == found:
        return True
    if path[0] in _TEXT or not _is_quantity(path):
        return False
    number = quantity(wanted)
    return number is not None and number == quantity(found)


def _says_nothing(path: Path, value: Any) -> bool:
    """Values that the server leaves out of what it stores (null, empty, Go's ``omitempty``)."""
    if value is MISSING or value is None:
        return True
    if (len(path) > 1 and path[0] in _TEXT) or path[-1] in _MEANT_EMPTY:
        return False  # an empty file is a file; an empty selector selects everything
    if isinstance(value, Mapping):
        return all(_says_nothing((*path, name), inner) for name, inner in value.items())
    if isinstance(value, bool | int | float):
        return not value and path[-1] in _OMITTED_ZERO
    return bool(value == "" or value == [])


def _is_quantity(path: Path) -> bool:
    if path[-1] in _QUANTITY_FIELDS:
        return True
    return any(part in _QUANTITY_PARENTS for part in path[:-1] if isinstance(part, str))
