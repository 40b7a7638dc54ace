"""What is wrong with a settings file, in the words an operator reads.

A problem names the place, the value (unless it may be a secret), the reason and, where it can be
told, what would be right. All problems of one file travel in one :class:`SettingsError`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from installer.core.errors import ExitCode, InstallError

Path = tuple[str | int, ...]

# A key whose name has one of these words in it may hold a secret: its value is never repeated.
_SECRET_WORDS = ("secret", "password", "passwd", "passphrase", "token", "credential", "key", "pin")
_LONGEST_SHOWN = 60


def dotted(path: Path) -> str:
    """``("hosts", 0, "address")`` as ``hosts[0].address``; the empty path as ``""``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def may_be_secret(path: Path) -> bool:
    """Whether a key on the way to ``path`` has a name under which a secret could stand."""
    return any(word in str(part).lower() for part in path for word in _SECRET_WORDS)


def shown_value(value: object, path: Path = ()) -> str:
    """The value as far as it may be repeated: short, on one line, and never a possible secret."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if may_be_secret(path) or (isinstance(value, str) and ("@" in value and ":" in value)):
        return "(not shown)"
    text = str(value)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[: _LONGEST_SHOWN + 1])
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


@dataclass(frozen=True)
class SettingsProblem:
    """One thing to mend. ``line`` and ``column`` count from 1; 0 means the file as a whole.

    ``value`` is what stands there as far as it may be shown, ``""`` when nothing does;
    ``suggestion`` is what would be right, ``""`` when it cannot be told.
    """

    file: str
    line: int
    column: int
    path: str
    value: str
    why: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = self.path + (f" = {self.value}" if self.path and self.value else self.value)
        text = f"{place}: {what}: {self.why}" if what else f"{place}: {self.why}"
        return f"{text} -> {self.suggestion}" if self.suggestion else text


@dataclass(frozen=True)
class Finding:
    """A problem before its place in a file is known. ``hide`` keeps the value from being shown."""

    path: Path
    why: str
    suggestion: str = ""
    value: object = None
    hide: bool = False


class SettingsError(InstallError):
    """The settings were refused; ``problems`` holds every reason, in the order of the file."""

    def __init__(self, problems: Sequence[SettingsProblem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            code="SETTINGS-INVALID",
            title="The settings cannot be used as they are",
            cause=f"{count} thing{'s' if count != 1 else ''} to mend in "
            + ", ".join(sorted({problem.file for problem in self.problems})),
            remedy="Mend what is listed and start again: nothing was done or written.",
            evidence=tuple(str(problem) for problem in self.problems),
            exit_code=ExitCode.SETTINGS,
        )
