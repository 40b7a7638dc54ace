"""Who set a field: ``metadata.managedFields`` read for people.

Format of ``fieldsV1``: keys ``f:<field>``, ``k:<JSON of list keys>``, ``v:<value>``, ``i:<index>``
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster.compare import MISSING, Difference, Item, Path, PathPart, path_text
from installer.core.objects import FIELD_MANAGER
from installer.core.redaction import MASK, redact

_SHOWN = 100  # characters of a value in a line


@dataclass(frozen=True)
class Owner:
    """A field manager that owns a field. ``time`` as the server wrote it (RFC 3339, UTC)."""

    manager: str
    operation: str
    time: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        return f"{self.manager} at {self.time}" if self.time else self.manager


def managers(live: Mapping[str, Any]) -> tuple[Owner, ...]:
    """All field managers of an object, the latest last."""
    entries = live.get("metadata", {}).get("managedFields") or ()
    found = [_owner(entry) for entry in entries]
    return tuple(sorted(found, key=lambda owner: owner.time))


def owners_of(live: Mapping[str, Any], path: Path) -> tuple[Owner, ...]:
    """Managers other than ours that own the field at ``path``, something below it, or its list."""
    found = []
    for entry in live.get("metadata", {}).get("managedFields") or ():
        owner = _owner(entry)
        if owner.manager != FIELD_MANAGER and _owns(entry.get("fieldsV1") or {}, path):
            found.append(owner)
    return tuple(sorted(found, key=lambda owner: owner.time))


def _owner(entry: Mapping[str, Any]) -> Owner:
    return Owner(
        entry.get("manager", "unknown"),
        entry.get("operation", ""),
        entry.get("time", ""),
        entry.get("subresource", ""),
    )


def _owns(fields: Mapping[str, Any], path: Path) -> bool:
    for part in path:
        if not fields:
            return True  # a leaf: what lies below belongs to the same owner
        below = _step(fields, part)
        if below is None:
            return False
        fields = below
    return True


def _step(fields: Mapping[str, Any], part: PathPart) -> Mapping[str, Any] | None:
    if isinstance(part, str):
        return fields.get(f"f:{part}")
    if isinstance(part, int):
        return fields.get(f"i:{part}")
    for name, below in fields.items():
        if name.startswith("k:") and _matches(json.loads(name[2:]), part):
            return dict(below)
    return None


def _matches(keys: Mapping[str, Any], item: Item) -> bool:
    shared = [(name, value) for name, value in item.keys if name in keys]
    return bool(shared) and all(keys[name] == value for name, value in shared)


def described(found: tuple[Difference, ...], live: Mapping[str, Any]) -> Iterator[str]:
    """One line a difference: what it is, what it shall be, who set it. Secrets are masked."""
    secret = live.get("kind") == "Secret"
    for difference in found:
        owners = owners_of(live, difference.path)
        who = f" (set by {owners[-1]})" if owners else ""
        yield f"{path_text(difference.path)}: {_change(difference, secret=secret)}{who}"


def _change(difference: Difference, *, secret: bool) -> str:
    if secret and difference.path[0] in ("data", "stringData"):
        return f"{MASK} differs"
    was, now = difference.found, difference.wanted
    if isinstance(was, str) and isinstance(now, str) and ("\n" in was or "\n" in now):
        return _text_change(was, now)
    return f"{_shown(was)} -> {_shown(now)}"


def _text_change(was: str, now: str) -> str:
    old, new = was.splitlines(), now.splitlines()
    lines = [
        line
        for line in difflib.unified_diff(old, new, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    shown = "; ".join(_cut(line) for line in lines[:4])
    more = f"; and {len(lines) - 4} more lines" if len(lines) > 4 else ""
    return redact(shown) + more if lines else "white space at its end"


def _shown(value: Any) -> str:
    if value is MISSING:
        return "(not set)"
    return _cut(redact(json.dumps(value, ensure_ascii=False, sort_keys=True)))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
