"""Settings files of older versions: changed on a copy, the difference shown, the original kept."""

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.core.settings import SETTINGS_VERSION
from installer.core.settings_problem import Finding
from installer.store.yaml_document import dump_yaml

Tree = dict[str, Any]


@dataclass(frozen=True)
class Migration:
    """From one version to the next. ``change`` gets a copy, may change it, and returns the tree.

    It must take any tree: what it does not find or does not understand it leaves alone, and the
    validation that follows says what is wrong.
    """

    from_version: int
    words: str
    change: Callable[[Tree], Tree]


@dataclass(frozen=True)
class Migrated:
    """The tree in today's version, what was done to it, and the difference as a unified diff."""

    tree: Tree
    from_version: int
    steps: tuple[str, ...]
    difference: str


# Version 1 is the first that was released.
MIGRATIONS: tuple[Migration, ...] = ()


def version_of(tree: object) -> int | None:
    """The file's version; None when it says none or not a number."""
    version = tree.get("version") if isinstance(tree, Mapping) else None
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def version_finding(
    version: int, migrations: Sequence[Migration], current: int = SETTINGS_VERSION
) -> Finding | None:
    """Why a file of this version cannot be read, None when it can."""
    if version > current:
        why = f"written by a newer version of matrix-install; this one reads up to {current}"
        return Finding(("version",), why, "use the version that wrote it", value=version)
    known = {migration.from_version for migration in migrations}
    if any(step not in known for step in range(version, current)):
        why = "no release has read or written this version of the format"
        return Finding(("version",), why, f"version: {current}", value=version)
    return None


def migrate(
    tree: Tree, migrations: Sequence[Migration] = MIGRATIONS, current: int = SETTINGS_VERSION
) -> Migrated:
    """Takes a copy of the tree to the current version, one version at a time.

    Raises KeyError for a version that :func:`version_finding` refuses.
    """
    start = version_of(tree)
    by_version = {migration.from_version: migration for migration in migrations}
    changed, steps = copy.deepcopy(tree), []
    for version in range(start if start is not None else current, current):
        migration = by_version[version]
        changed = migration.change(changed)
        changed["version"] = version + 1
        steps.append(f"version {version} to {version + 1}: {migration.words}")
    difference = "".join(
        difflib.unified_diff(
            dump_yaml(tree).splitlines(keepends=True),
            dump_yaml(changed).splitlines(keepends=True),
            f"version {start}",
            f"version {current}",
        )
    )
    return Migrated(changed, start if start is not None else current, tuple(steps), difference)
