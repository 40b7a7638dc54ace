"""Secrets that the operator gives: ``--secret NAME=@FILE``, ``NAME=@-``, ``NAME=@fd:3``.

A value never stands in the command line: every user of the machine can read that, and shells
keep it. All mistakes are told at once, and no message repeats a value.
"""

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from installer.core import redaction
from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import SecretDeclaration, SecretSource, SecretText, refusal
from installer.store.private_input import read_descriptor, read_private

_CODE = "GIVEN-SECRET-REFUSED"
_HOW = "--secret NAME=@FILE, NAME=@- (standard input) or NAME=@fd:N (an open descriptor)"


def read_given(
    options: Sequence[str], declared: Mapping[str, SecretDeclaration]
) -> dict[str, SecretText]:
    """The values named by ``--secret`` options, checked against their forms and masked from now on.

    A declared secret of source MADE may be given too: a signing key that already exists, say.
    One newline at the end is not part of a value. Raises InstallError GIVEN-SECRET-REFUSED with
    every mistake: a literal value, an unknown name (with the nearest one), a name given twice, a
    file that cannot be read, a value without the declared form.
    """
    values: dict[str, SecretText] = {}
    mistakes: list[str] = []
    seen: set[str] = set()
    for position, option in enumerate(options, start=1):
        name, equals, source = option.partition("=")
        mistake = _mistake_of(position, name, bool(equals), source, declared, seen)
        seen |= {name, source} if source == "@-" else {name}
        if not mistake:
            try:
                text = _without_newline(_read(source[1:]))
            except InstallError as error:
                mistake = f"{name}: {error.cause}"
            else:
                why = refusal(declared[name], text) or _word_of_ours(text, declared)
                mistake = f"{name}: {why}" if why else ""
                values[name] = SecretText(text)
        if mistake:
            mistakes.append(mistake)
    if mistakes:
        raise _refused(mistakes)
    redaction.register(value.reveal() for value in values.values())
    return values


def _mistake_of(
    position: int,
    name: str,
    has_equals: bool,
    source: str,
    declared: Mapping[str, SecretDeclaration],
    seen: set[str],
) -> str:
    if not has_equals or not source.startswith("@"):
        # What stands there may be the secret itself: only a name that we know is repeated.
        shown = f"{name}: " if has_equals and name in declared else f"--secret number {position}: "
        return (
            f"{shown}a value is never given on the command line; if this was a real one, change "
            "it, because other users and the shell's history have seen it"
        )
    if name not in declared:
        near = difflib.get_close_matches(name, declared, n=1)
        return f"{name}: no such secret" + (f"; did you mean {near[0]}?" if near else "")
    if name in seen:
        return f"{name}: given twice"
    if source == "@-" and "@-" in seen:
        return f"{name}: standard input can hold one secret only"
    return ""


def _word_of_ours(text: str, declared: Mapping[str, SecretDeclaration]) -> str:
    """Masking such a value would mask the names in every event."""
    return "it is part of a secret's name" if any(text in name for name in declared) else ""


def _read(source: str) -> str:
    if source == "-":
        return read_descriptor(sys.stdin.fileno(), "standard input", code=_CODE, what="secret")
    if source.startswith("fd:"):
        number = source.removeprefix("fd:")
        if not (number.isascii() and number.isdecimal()):
            raise _refused([f"{source} names no descriptor; write fd:3, say"])
        return read_descriptor(int(number), f"descriptor {number}", code=_CODE, what="secret")
    return read_private(Path(source), code=_CODE, what="secret")


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _refused(mistakes: Sequence[str]) -> InstallError:
    return InstallError(
        code=_CODE,
        title="A secret that was given cannot be used"
        if len(mistakes) == 1
        else f"{len(mistakes)} secrets that were given cannot be used",
        cause="; ".join(mistakes),
        remedy=f"Correct them and start again. A secret is given as {_HOW}.",
        evidence=tuple(mistakes) if len(mistakes) > 1 else (),
        exit_code=ExitCode.SETTINGS,
    )


def require_given(declared: Iterable[SecretDeclaration], at_hand: Iterable[str]) -> None:
    """Are all secrets there that only the operator can give? ``at_hand``: given or sealed names.

    Raises InstallError GIVEN-SECRETS-MISSING naming every one with its purpose.
    """
    there = set(at_hand)
    missing = [
        item for item in declared if item.source is SecretSource.GIVEN and item.name not in there
    ]
    if not missing:
        return
    names = ", ".join(item.name for item in missing)
    raise InstallError(
        code="GIVEN-SECRETS-MISSING",
        title="A secret must be given first"
        if len(missing) == 1
        else f"{len(missing)} secrets must be given first",
        cause=f"these secrets come from you and are not there yet: {names}",
        remedy=" ".join(f"--secret {item.name}=@FILE" for item in missing),
        evidence=tuple(f"{item.name}: {item.purpose}; read by {item.reader}" for item in missing),
        exit_code=ExitCode.SETTINGS,
    )
