"""The settings file: read with every mistake at its line and column, saved without a trace of one.

Reading writes nothing, whatever is in the file.
"""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from installer.core.errors import ExitCode, InstallError
from installer.core.settings import SETTINGS_VERSION, Settings
from installer.core.settings_problem import Finding, SettingsError, SettingsProblem
from installer.core.settings_problem import Path as TreePath
from installer.core.settings_validation import check_settings, problem_of
from installer.store.atomic import write_atomically
from installer.store.migration import (
    MIGRATIONS,
    Migrated,
    Migration,
    migrate,
    version_finding,
    version_of,
)
from installer.store.settings_text import edited_text
from installer.store.yaml_document import Document, dump_yaml, read_document

LARGEST_FILE = 256 * 1024

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class LoadedSettings(Generic[S]):
    """Valid settings and the file they came from. ``migrated``: it was of an older version."""

    settings: S
    path: Path
    document: Document
    migrated: Migrated | None

    @property
    def folder(self) -> Path:
        """What file names in the settings are relative to."""
        return self.path.parent


def load_settings(
    path: Path,
    model: type[S],
    *,
    check: Callable[[S], Iterable[Finding]] | None = None,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> LoadedSettings[S]:
    """Reads and validates a settings file.

    ``check`` may find more in settings that are valid in themselves (components' own rules). An
    older version is migrated in memory only: see :func:`save_migrated`. Raises SettingsError with
    every problem, in the order of the file; no other exception for any content.
    """
    text = _read_text(path)
    document = read_document(text)
    if not document.complete or document.tree is None:
        raise _error(path, document, [])
    migrated, finding = _migrated(document, migrations)
    if finding is not None:
        raise _error(path, document, [finding])
    tree = document.tree if migrated is None else migrated.tree
    checked = check_settings(model, tree)
    findings = list(checked.findings)
    if checked.settings is not None and check is not None:
        findings += check(checked.settings)
    if findings or document.problems or checked.settings is None:
        raise _error(path, document, findings)
    return LoadedSettings(checked.settings, path, document, migrated)


def save_settings(path: Path, tree: dict[str, Any], before: Document | None = None) -> None:
    """Writes a tree of settings, atomically; a new file gets mode 0600.

    With the document that it was read from, comments and order stay as far as they still fit.
    Raises OSError; the file is then as it was.
    """
    text = dump_yaml(tree) if before is None else edited_text(before, tree)
    write_atomically(path, text.encode())


def save_migrated(loaded: LoadedSettings[S]) -> Path:
    """Puts the migrated settings in place of the original, which is kept beside it.

    Returns the kept original, ``NAME.version-N``. Comments stay in the original only. Raises
    ValueError when there was nothing to migrate, OSError when it cannot be written.
    """
    if loaded.migrated is None:
        raise ValueError(f"{loaded.path} is of the current version")
    kept = _free_name(loaded.path, f".version-{loaded.migrated.from_version}")
    write_atomically(kept, loaded.document.text.encode())
    write_atomically(loaded.path, dump_yaml(loaded.migrated.tree).encode())
    return kept


def _free_name(path: Path, suffix: str) -> Path:
    candidate, number = path.with_name(path.name + suffix), 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}{suffix}.{number}")
    return candidate


def _migrated(
    document: Document, migrations: Sequence[Migration]
) -> tuple[Migrated | None, Finding | None]:
    version = version_of(document.tree)
    if version is None or version == SETTINGS_VERSION:
        return None, None
    finding = version_finding(version, migrations)
    if finding is not None:
        return None, finding
    return migrate(document.tree, migrations), None


def _read_text(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _whole(path, "not an ordinary file")
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InstallError(
            code="SETTINGS-UNREADABLE",
            title="The settings file cannot be read",
            cause=f"{path}: {error.strerror or error}",
            remedy="Check the name and the file's owner and mode.",
            retryable=True,
            exit_code=ExitCode.SETTINGS,
        ) from None
    if len(data) > LARGEST_FILE:
        raise _whole(path, f"larger than {LARGEST_FILE // 1024} KiB, which no settings file is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        why = "not UTF-8 from this byte on"
        problem = SettingsProblem(str(path), line, column, "", "", why, "save it as UTF-8")
        raise SettingsError([problem]) from None


def _whole(path: Path, why: str) -> SettingsError:
    return SettingsError([SettingsProblem(str(path), 0, 0, "", "", why)])


def _error(path: Path, document: Document, findings: Sequence[Finding]) -> SettingsError:
    file = str(path)
    problems = [
        problem_of(Finding(p.path, p.why, p.suggestion, hide=True), file, None, p.line, p.column)
        for p in document.problems
    ]
    if document.complete and document.tree is None and not problems:
        problems.append(SettingsProblem(file, 1, 1, "", "", "there is nothing in it", "version: 1"))
    spoilt = [problem.path for problem in document.problems if problem.path]
    for finding in findings:
        if not any(_lies_in(finding.path, path) for path in spoilt):
            line, column = _place(document, finding)
            problems.append(problem_of(finding, file, document.tree, line, column))
    return SettingsError(sorted(problems, key=lambda p: (p.line, p.column)))


def _lies_in(path: TreePath, around: TreePath) -> bool:
    return path[: len(around)] == around


def _place(document: Document, finding: Finding) -> tuple[int, int]:
    # What is wrong with a key is shown at the key, what is wrong with a value at the value.
    if finding.why.startswith("unknown key") and finding.path in document.keys:
        span = document.keys[finding.path]
        return span.line, span.column
    return document.place(finding.path)
