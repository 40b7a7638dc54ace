"""Who owns which field: server-side apply and plain writes over `metadata.managedFields`.

The algorithm is that of Kubernetes' structured merge: an apply lays its fields over the live
object, removes what the same manager applied before and no longer does (unless somebody else
owns it too), and collides with every other manager that owns a field whose value changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from installer.rehearsal.kube.fields import Struct
from installer.rehearsal.kube.paths import (
    EMPTY,
    Path,
    PathSet,
    from_fields_v1,
    path_text,
    to_fields_v1,
)
from installer.rehearsal.kube.problems import ApiError, Json, cause
from installer.rehearsal.kube.typed import (
    Difference,
    check,
    compare,
    ensure_named,
    field_set,
    merge,
    remove_items,
)

# Fields that nobody owns: identity, and what the server alone writes.
UNOWNED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "managedFields",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)


@dataclass(frozen=True)
class Manager:
    """Who writes: its name, whether it applies, and through which subresource."""

    name: str
    applies: bool
    api_version: str
    subresource: str = ""

    def text(self, time: str) -> str:
        """As conflicts name it; `time` is that of its last write."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if not self.applies:
            text += f" using {self.api_version}"
            text += f" at {time}" if time else ""
        return text

    @property
    def key(self) -> tuple[str, bool, str, str]:
        """Appliers are one manager whatever version they speak; other writers are not."""
        version = "" if self.applies else self.api_version
        return (self.name, self.applies, self.subresource, version)


@dataclass(frozen=True)
class Holding:
    """The fields that one manager owns, and when it last changed any of them."""

    manager: Manager
    paths: PathSet
    time: str


Holdings = dict[tuple[str, bool, str, str], Holding]


def read_holdings(obj: Json) -> Holdings:
    """The owners recorded in an object's managedFields."""
    found: Holdings = {}
    for entry in obj.get("metadata", {}).get("managedFields") or []:
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation") == "Apply",
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        paths = from_fields_v1(entry.get("fieldsV1") or {})
        found[manager.key] = Holding(manager, paths, entry.get("time", ""))
    return found


def write_holdings(holdings: Holdings) -> list[Json]:
    """The managedFields entries: appliers first, then by time and name."""
    ordered = sorted(
        holdings.values(),
        key=lambda held: (not held.manager.applies, held.time, held.manager.key),
    )
    entries: list[Json] = []
    for held in ordered:
        entry: Json = {
            "manager": held.manager.name,
            "operation": "Apply" if held.manager.applies else "Update",
            "apiVersion": held.manager.api_version,
            "time": held.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(held.paths),
        }
        if held.manager.subresource:
            entry["subresource"] = held.manager.subresource
        entries.append(entry)
    return entries


def bare(obj: Json) -> Json:
    """The object without the fields that nobody owns (a shallow copy)."""
    found = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    metadata = {
        key: value
        for key, value in (obj.get("metadata") or {}).items()
        if key not in UNOWNED_METADATA
    }
    found["metadata"] = metadata
    return found


def without(paths: Iterable[Path], prefixes: tuple[str, ...]) -> PathSet:
    """The paths outside the named top-level fields (those that a subresource alone writes)."""
    return frozenset(path for path in paths if path and path[0][1] not in prefixes)


@dataclass(frozen=True)
class Applied:
    """What an apply makes of an object: its bare fields and their owners."""

    fields: Json
    holdings: Holdings


def refuse_undeclared(schema: Struct, obj: Json, where: str) -> None:
    """Raise the server's 500 when the applied object has a field its kind does not have."""
    problems = check(schema, obj)
    if problems:
        text = problems[0] if len(problems) == 1 else "errors:\n  " + "\n  ".join(problems)
        raise ApiError(500, "", f"failed to create typed patch object ({where}): {text}")


def apply(
    schema: Struct,
    live: Json,
    applied: Json,
    manager: Manager,
    *,
    force: bool,
    ignored: tuple[str, ...],
    conflicts: bool,
    time: str,
) -> Applied:
    """Lay an applied object over the live one.

    `live` and `applied` are whole objects; `ignored` are top-level fields that this endpoint
    resets. Raises ApiError 409 when other managers own fields that would change, unless forced
    (`conflicts=False` leaves out that check).
    """
    holdings = read_holdings(live)
    old = bare(live)
    new_fields = {key: item for key, item in bare(applied).items() if key not in ignored}
    before = holdings.get(manager.key)
    if not new_fields["metadata"]:
        del new_fields["metadata"]
    owned = field_set(schema, new_fields)
    merged = merge(schema, old, new_fields)
    holdings[manager.key] = Holding(manager, owned, before.time if before else time)
    merged = _prune(schema, merged, holdings, before.paths if before else EMPTY)
    change = compare(schema, old, merged)
    _settle(holdings, manager, change, force or not conflicts)
    if not owned:
        del holdings[manager.key]
    return Applied(merged, holdings)


def _prune(schema: Struct, merged: Json, holdings: Holdings, last: PathSet) -> Json:
    if not last:
        return merged
    named_last = ensure_named(schema, last)
    pruned = remove_items(schema, merged, named_last)
    managed = EMPTY.union(*(held.paths for held in holdings.values()))
    in_merged = ensure_named(schema, field_set(schema, merged))
    in_pruned = ensure_named(schema, field_set(schema, pruned))
    gone = in_merged - (in_pruned | ensure_named(schema, managed))
    pruned = remove_items(schema, merged, gone)
    in_pruned = ensure_named(schema, field_set(schema, pruned))
    result: Json = remove_items(schema, merged, (in_merged - in_pruned) & named_last)
    return result


def _settle(holdings: Holdings, manager: Manager, change: Difference, force: bool) -> None:
    changed = frozenset(change.modified | change.added)
    clashes = {
        key: held.paths & changed
        for key, held in holdings.items()
        if key != manager.key and held.paths & changed
    }
    if clashes and not force:
        raise _conflict([(holdings[key], paths) for key, paths in clashes.items()])
    removed = frozenset(change.removed)
    for key, held in list(holdings.items()):
        if key == manager.key:
            continue
        kept = held.paths - clashes.get(key, EMPTY) - _below(held.paths, removed)
        if not kept:
            del holdings[key]
        elif kept != held.paths:
            holdings[key] = replace(held, paths=kept)


def _below(paths: PathSet, removed: PathSet) -> PathSet:
    if not removed:
        return EMPTY
    return frozenset(
        path for path in paths if any(path[:depth] in removed for depth in range(1, len(path) + 1))
    )


def _conflict(clashes: list[tuple[Holding, PathSet]]) -> ApiError:
    lines: list[tuple[str, str]] = []
    for held, paths in sorted(clashes, key=lambda clash: clash[0].manager.key):
        who = f"conflict with {held.manager.text(held.time)}"
        lines += sorted((who, path_text(path)) for path in paths)
    if len(lines) == 1:
        who, path = lines[0]
        message = f"Apply failed with 1 conflict: {who}: {path}"
    else:
        grouped: dict[str, list[str]] = {}
        for who, path in lines:
            grouped.setdefault(who.replace("conflict", "conflicts", 1), []).append(path)
        body = "\n".join(
            who + ":\n" + "\n".join(f"- {path}" for path in paths) for who, paths in grouped.items()
        )
        message = f"Apply failed with {len(lines)} conflicts: {body}"
    causes = [cause("FieldManagerConflict", who, path) for who, path in lines]
    return ApiError(409, "Conflict", message, details={"causes": causes})


def write(
    schema: Struct,
    live: Json | None,
    new: Json,
    manager: Manager,
    *,
    ignored: tuple[str, ...],
    time: str,
) -> list[Json]:
    """The managedFields after a plain write (create, update, patch) by `manager`."""
    holdings = read_holdings(live) if live is not None else {}
    old = bare(live) if live is not None else {}
    change = compare(schema, old, bare(new))
    before = holdings.get(manager.key)
    _settle(holdings, manager, change, True)
    gained = without(change.modified | change.added, ignored)
    gained = frozenset(path for path in gained if path != (("f", "metadata"),))
    mine = (before.paths if before else EMPTY) | gained
    mine -= _below(mine, frozenset(change.removed))
    if not mine:
        holdings.pop(manager.key, None)
    elif before is None or mine != before.paths or gained:
        holdings[manager.key] = Holding(manager, mine, time)
    return write_holdings(holdings)


def stamp(holdings: Holdings, manager: Manager, time: str) -> None:
    """Record that the manager's last effective write was now."""
    held = holdings.get(manager.key)
    if held is not None:
        holdings[manager.key] = replace(held, time=time)


def same_owners(left: Any, right: Any) -> bool:
    """Whether two managedFields lists say the same, times aside."""
    return _timeless(left) == _timeless(right)


def _timeless(entries: Any) -> list[Json]:
    return [
        {key: value for key, value in entry.items() if key != "time"} for entry in entries or []
    ]
