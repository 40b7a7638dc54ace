"""Completes the sealed secrets: takes what was given, makes what is missing, seals once."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from installer.core.errors import ExitCode, InstallError
from installer.core.redaction import redact_data
from installer.core.secrets import (
    SecretDeclaration,
    SecretSource,
    SecretText,
    make_secret,
    refusal,
    unique_declarations,
)
from installer.store.given import require_given
from installer.store.sealed import SealedSecrets


@dataclass(frozen=True)
class Gathered:
    """Names, in the order of the declarations: made now, taken from the operator now, and of the
    latter those that replaced another value."""

    made: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def gather(
    declarations: Iterable[SecretDeclaration],
    sealed: SealedSecrets,
    given: Mapping[str, SecretText],
) -> Gathered:
    """Makes each missing secret once and saves if anything changed; blocks while sealing.

    Raises InstallError GIVEN-SECRETS-MISSING, GIVEN-SECRET-REFUSED (nothing is changed then), and
    those of ``SealedSecrets.save``; ValueError when a name is declared twice and differently.
    """
    gathered = _collect(declarations, sealed, given)
    sealed.save()
    return gathered


async def gather_async(
    declarations: Iterable[SecretDeclaration],
    sealed: SealedSecrets,
    given: Mapping[str, SecretText],
) -> Gathered:
    """As ``gather``; the event loop goes on while a child process seals."""
    gathered = _collect(declarations, sealed, given)
    await sealed.save_async()
    return gathered


def _collect(
    declarations: Iterable[SecretDeclaration],
    sealed: SealedSecrets,
    given: Mapping[str, SecretText],
) -> Gathered:
    declared = unique_declarations(declarations)
    _check_forms(declared, given)
    require_given(declared.values(), {*given, *sealed.names})
    made: list[str] = []
    taken: list[str] = []
    replaced: list[str] = []
    for name, declaration in declared.items():
        before = name in sealed.names
        if name in given:
            if sealed.put(name, given[name].reveal(), SecretSource.GIVEN):
                taken.append(name)
                replaced += [name] if before else []
        elif not before:
            sealed.put(name, make_secret(declaration), SecretSource.MADE)
            made.append(name)
    return Gathered(tuple(made), tuple(taken), tuple(replaced))


def _check_forms(
    declared: Mapping[str, SecretDeclaration], given: Mapping[str, SecretText]
) -> None:
    mistakes = [
        f"{name}: " + (refusal(declared[name], value.reveal()) if name in declared else "unknown")
        for name, value in given.items()
        if name not in declared or refusal(declared[name], value.reveal())
    ]
    if mistakes:
        raise InstallError(
            code="GIVEN-SECRET-REFUSED",
            title="A secret that was given cannot be used",
            cause="; ".join(mistakes),
            remedy="Give a value of the form that is named, or leave it out to have one made.",
            exit_code=ExitCode.SETTINGS,
        )


def refuse_values_in(shown: object, sealed: SealedSecrets) -> None:
    """Holds what is shown and journalled, a plan as JSON data, free of every secret's value.

    A given password that is an ordinary word, a namespace's name say, would be masked there: the
    plan could no longer be told from another one. Raises InstallError SECRET-IS-A-WORD.
    """
    if redact_data(shown) == shown:
        return
    names = sealed.found_in(json.dumps(shown, ensure_ascii=False))
    raise InstallError(
        code="SECRET-IS-A-WORD",
        title="A secret has the value of an ordinary word",
        cause=f"the value of {', '.join(names) or 'the passphrase'} stands in the plan, as the "
        "name of an object or part of one",
        remedy="Give another value with --secret NAME=@FILE; nobody should be able to guess it."
        if names
        else "Choose another passphrase; nobody should be able to guess it.",
        exit_code=ExitCode.SETTINGS,
    )
