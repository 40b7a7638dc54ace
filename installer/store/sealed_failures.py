"""Why a sealed file does not open, told apart; each answer leaves the file as it is."""

import base64
import re

from installer.core.errors import ExitCode, InstallError
from installer.store.sealed_file import SealedFile
from installer.store.sealed_key import (
    TOO_MUCH_WORK,
    CannotUnseal,
    Passphrase,
    Recipients,
    SealKey,
)

_ARMOR = re.compile(
    rb"-----BEGIN AGE ENCRYPTED FILE-----(.*)-----END AGE ENCRYPTED FILE-----", re.DOTALL
)
_NO_KEY_FITS = ("Decryption failed", "No matching keys found")


def missing(file: SealedFile) -> InstallError:
    """Records or traces of an install, but no sealed file: SECRETS-MISSING."""
    kept = f" {file.previous} is the version before it." if file.previous.exists() else ""
    return InstallError(
        code="SECRETS-MISSING",
        title="The sealed secrets of this install are gone",
        cause=f"{file.path} is not there, but this directory holds an install that began.",
        remedy="Put the file back from a backup."
        + kept
        + " New secrets are never made over an install that exists: its database, its object "
        "store and its signing key would be locked out.",
        exit_code=ExitCode.SECRETS,
    )


def absent(file: SealedFile) -> InstallError:
    return InstallError(
        code="SECRETS-ABSENT",
        title="There are no sealed secrets here",
        cause=f"{file.path} does not exist",
        remedy="Check --dir; the first run of an install makes the file.",
        exit_code=ExitCode.SECRETS,
    )


def cannot_open(file: SealedFile, data: bytes, key: SealKey, error: CannotUnseal) -> InstallError:
    """The most that can be known about a refusal of age, from the recorded sum and the header."""
    as_written = file.is_as_written(data)
    sealed_to = _sealed_to(data)
    if as_written is False or not sealed_to:
        return damaged(file, error.reason)
    if isinstance(key, Passphrase) and sealed_to == "recipients":
        return _needs_identity(file, "a passphrase was given")
    if isinstance(key, Recipients) and sealed_to == "passphrase":
        return _error(
            "SECRETS-NEED-PASSPHRASE",
            "The sealed secrets open with a passphrase",
            f"{file.path} is sealed with a passphrase; an identity was given",
            "Give --passphrase-file.",
        )
    if isinstance(key, Recipients) and not key.identities:
        return _needs_identity(file, "none was given")
    if error.reason.startswith(TOO_MUCH_WORK):
        return _error(
            "SECRETS-SLOW-MACHINE",
            "Opening the sealed secrets would take too long here",
            f"{file.path}: {error.reason}",
            "The file was sealed on a much faster machine. Open it there, or seal it anew: "
            "age -d secrets.age | age -p > secrets.age.",
        )
    if error.reason in _NO_KEY_FITS:
        return _wrong_key(file, key, sure=as_written is True)
    return damaged(file, error.reason)


def _wrong_key(file: SealedFile, key: SealKey, *, sure: bool) -> InstallError:
    doubt = "" if sure else "; no checksum was recorded, so damage to its header is possible too"
    if isinstance(key, Passphrase):
        return _error(
            "SECRETS-WRONG-PASSPHRASE",
            "The passphrase is wrong",
            f"{file.path} does not open with it{doubt}",
            "Try again. Nobody can open the file without its passphrase.",
            retryable=True,
        )
    return _error(
        "SECRETS-WRONG-IDENTITY",
        "The identity does not open the sealed secrets",
        f"{file.path} is sealed to other recipients{doubt}",
        "Give the identity of one of the recipients chosen when the install began.",
        retryable=True,
    )


def _needs_identity(file: SealedFile, given: str) -> InstallError:
    return _error(
        "SECRETS-NO-IDENTITY",
        "The sealed secrets open with an identity only",
        f"{file.path} is sealed to recipients; {given}",
        "Give the file with the private key of one of them.",
    )


def damaged(file: SealedFile, reason: str) -> InstallError:
    """Not the bytes that were written, or not what was sealed: SECRETS-DAMAGED."""
    kept = f" {file.previous} holds the version before." if file.previous.exists() else ""
    return _error(
        "SECRETS-DAMAGED",
        "The sealed secrets are damaged",
        f"{file.path}: {reason}",
        "Put back a backup of the file; this one was left as it is."
        + kept
        + " If you sealed it anew by hand, check the passphrase first.",
    )


def newer(file: SealedFile, schema: object, known: int) -> InstallError:
    return _error(
        "SECRETS-NEWER",
        "The sealed secrets were written by a newer version",
        f"{file.path} has schema {schema}; this version knows up to {known}",
        "Use that version of matrix-install or a later one.",
    )


def _error(
    code: str, title: str, cause: str, remedy: str, *, retryable: bool = False
) -> InstallError:
    return InstallError(code, title, cause, remedy, retryable, exit_code=ExitCode.SECRETS)


def _sealed_to(data: bytes) -> str:
    """``passphrase`` or ``recipients`` by the header; empty if this is no age file."""
    armored = _ARMOR.fullmatch(data.strip())
    if armored:
        try:
            data = base64.b64decode(armored[1])
        except ValueError:
            return ""
    if not data.startswith(b"age-encryption.org/v1\n-> "):
        return ""
    return "passphrase" if data.split(b"\n")[1].startswith(b"-> scrypt ") else "recipients"
