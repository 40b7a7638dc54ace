"""What seals and opens the age file: a passphrase, or recipients and their identities.

The file is an ordinary age file (https://age-encryption.org/v1): ``age -d secrets.age`` prints
its JSON. age allows a passphrase to be the only key of a file, hence the two kinds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyrage

from installer.core import redaction
from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import SHORTEST_GIVEN, SecretText
from installer.store.private_input import read_private

STRONG_PASSPHRASE = 16  # random characters that are out of reach of guesses made at leisure
USUAL_WORK = 16  # scrypt's log2(N), 64 MiB; the age program itself uses 18
TOO_MUCH_WORK = "Excessive work"
_SEAL_ATTEMPTS = 3
_OPEN_ATTEMPTS = 25


class CannotUnseal(Exception):
    """age refused; ``reason`` is its own word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Passphrase:
    """Sealing and opening take about a second of one CPU each: scrypt, sized by age itself.

    age sizes it by one measurement of about a millisecond, when sealing (so as to take a second)
    and again when opening (so as to refuse 16 times that); its binding offers no other way. On a
    busy machine one measurement can be wrong by far, hence the repetitions.
    """

    text: SecretText

    def seal(self, data: bytes) -> bytes:
        sealed = b""
        for _ in range(_SEAL_ATTEMPTS):
            again = bytes(pyrage.passphrase.encrypt(data, self.text.reveal()))
            sealed = max(sealed, again, key=scrypt_work)
            if scrypt_work(sealed) >= USUAL_WORK:
                break
        return sealed

    def unseal(self, sealed: bytes) -> bytes:
        """Raises CannotUnseal."""
        for attempt in range(1, _OPEN_ATTEMPTS + 1):
            try:
                return bytes(pyrage.passphrase.decrypt(sealed, self.text.reveal()))
            except pyrage.DecryptError as error:
                reason = " ".join(str(error).split())
                if not reason.startswith(TOO_MUCH_WORK) or attempt == _OPEN_ATTEMPTS:
                    raise CannotUnseal(reason) from None
        raise AssertionError("the last attempt returns or raises")


def scrypt_work(sealed: bytes) -> int:
    """The logarithm of scrypt's work factor, from the header; 0 if there is none."""
    stanza = re.match(rb"age-encryption\.org/v1\n-> scrypt \S+ (\d+)\n", sealed)
    return int(stanza[1]) if stanza else 0


@dataclass(frozen=True)
class Recipients:
    """``recipients``: age1... or OpenSSH public keys. ``identities``: AGE-SECRET-KEY-1... lines
    or unencrypted OpenSSH private keys; without one the file can be written but not opened."""

    recipients: tuple[str, ...] = ()
    identities: tuple[SecretText, ...] = ()

    def seal(self, data: bytes) -> bytes:
        return bytes(pyrage.encrypt(data, [_recipient(text) for text in self.recipients]))

    def unseal(self, sealed: bytes) -> bytes:
        """Raises CannotUnseal."""
        identities = [_identity(text.reveal()) for text in self.identities]
        try:
            return bytes(pyrage.decrypt(sealed, identities))
        except pyrage.DecryptError as error:
            raise CannotUnseal(" ".join(str(error).split())) from None


def scrypt_memory(sealed: bytes) -> int:
    """Bytes that opening takes for a passphrase (128 * N * r, with age's r = 8); 0 without one."""
    work = scrypt_work(sealed)
    return 1024 << work if work else 0


SealKey: TypeAlias = Passphrase | Recipients


def _recipient(text: str) -> object:
    if text.startswith("age1"):
        return pyrage.x25519.Recipient.from_str(text)
    return pyrage.ssh.Recipient.from_str(text)


def _identity(text: str) -> object:
    if text.startswith("AGE-SECRET-KEY-1"):
        return pyrage.x25519.Identity.from_str(text)
    return pyrage.ssh.Identity.from_buffer(text.encode())


def new_identity() -> Recipients:
    """A fresh age identity together with its own recipient."""
    identity = pyrage.x25519.Identity.generate()
    text = str(identity)
    redaction.register([text])
    return Recipients((str(identity.to_public()),), (SecretText(text),))


def own_recipients(identities: Iterable[SecretText]) -> tuple[str, ...]:
    """The public halves of age identities (not of OpenSSH keys)."""
    keys = [pyrage.x25519.Identity.from_str(identity.reveal()) for identity in identities]
    return tuple(str(key.to_public()) for key in keys)


def recipients_key(recipients: Iterable[str]) -> Recipients:
    """Raises InstallError SECRETS-BAD-RECIPIENT naming each that age does not know."""
    chosen = tuple(text.strip() for text in recipients)
    bad = []
    for number, text in enumerate(chosen, start=1):
        try:
            _recipient(text)
        except (pyrage.RecipientError, ValueError):
            bad.append(f"number {number}")  # what stands there may be a private key
    if bad or not chosen:
        raise InstallError(
            code="SECRETS-BAD-RECIPIENT",
            title="The secrets cannot be sealed to these recipients",
            cause=f"no public key of age or OpenSSH: {', '.join(bad)}" if bad else "none was given",
            remedy="Give an age1... public key (age-keygen -y KEYFILE) or an ssh-ed25519 or "
            "ssh-rsa public key.",
            exit_code=ExitCode.USAGE,
        )
    return Recipients(chosen)


def read_passphrase_file(path: Path) -> Passphrase:
    """The file's first line. Raises InstallError PASSPHRASE-FILE: unreadable, empty, or readable
    by every user of the machine."""
    lines = read_private(path, code="PASSPHRASE-FILE", what="passphrase file").splitlines()
    return checked_passphrase(lines[0] if lines else "")


def checked_passphrase(text: str) -> Passphrase:
    """From here on the passphrase is masked everywhere. Raises InstallError PASSPHRASE-EMPTY."""
    if not text.strip():
        raise InstallError(
            code="PASSPHRASE-EMPTY",
            title="The passphrase is empty",
            cause="the first line holds nothing",
            remedy="Put the passphrase on the first line of the file.",
            exit_code=ExitCode.USAGE,
        )
    redaction.register([text])
    return Passphrase(SecretText(text))


def check_new_passphrase(passphrase: Passphrase) -> None:
    """Raises InstallError PASSPHRASE-SHORT: it could be guessed, and masking it masks words."""
    if len(passphrase.text) < SHORTEST_GIVEN:
        raise InstallError(
            code="PASSPHRASE-SHORT",
            title="The passphrase is too short",
            cause=f"it has fewer than {SHORTEST_GIVEN} characters",
            remedy=f"Choose five random words, or {STRONG_PASSPHRASE} random characters.",
            exit_code=ExitCode.USAGE,
        )


_PRIVATE_KEY = re.compile(
    r"AGE-SECRET-KEY-1[0-9A-Z]+|-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL
)


def read_identity_file(path: Path) -> Recipients:
    """Every private key of the file. Raises InstallError IDENTITY-FILE."""
    text = read_private(path, code="IDENTITY-FILE", what="identity file")
    identities = [found[0] for found in _PRIVATE_KEY.finditer(text)]
    redaction.register(identities)
    try:
        for identity in identities:
            _identity(identity)
    except (pyrage.IdentityError, ValueError):
        identities = []
    if not identities:
        raise InstallError(
            code="IDENTITY-FILE",
            title="The identity file holds no key that can be used",
            cause=f"{path}: neither an AGE-SECRET-KEY-1 line nor an unencrypted OpenSSH key",
            remedy="Give the file that age-keygen wrote, or an OpenSSH private key without a "
            "passphrase.",
            exit_code=ExitCode.USAGE,
        )
    return Recipients(identities=tuple(SecretText(identity) for identity in identities))
