"""What the tests of the sealed store share: a clock that stands, keys, declarations, refusals."""

from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import SecretDeclaration, SecretForm, SecretSource, SecretText
from installer.store.sealed import SealedSecrets
from installer.store.sealed_key import Passphrase, Recipients, SealKey


class StandingClock:
    """Time moves when told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    def boottime(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


PASSPHRASE = Passphrase(SecretText("correct horse battery staple"))


def identity_key() -> Recipients:
    """A fresh recipient with its identity: seals and opens without scrypt's second."""
    identity = pyrage.x25519.Identity.generate()
    return Recipients((str(identity.to_public()),), (SecretText(str(identity)),))


def declaration(
    name: str,
    form: SecretForm = SecretForm.ALPHANUMERIC,
    source: SecretSource = SecretSource.MADE,
) -> SecretDeclaration:
    return SecretDeclaration(name, f"purpose of {name}", "nobody", "make it anew", form, 40, source)


MADE_AND_GIVEN = (
    declaration("redis-password"),
    declaration("signing-key", SecretForm.MATRIX_SIGNING_KEY),
    declaration("registry-login", SecretForm.FREE, SecretSource.GIVEN),
    declaration("push-key", SecretForm.FREE, SecretSource.GIVEN),
)


def refused(code: str, path: Path, key: SealKey, *, journal: bool = False) -> InstallError:
    """Opening is refused with this code, and nothing in the directory changed."""
    before = snapshot(path.parent)
    with pytest.raises(InstallError) as caught:
        SealedSecrets.open(path, key, clock=StandingClock(), journal_has_records=journal)
    assert caught.value.code == code
    assert caught.value.exit_code is ExitCode.SECRETS
    assert snapshot(path.parent) == before
    return caught.value


def snapshot(directory: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}
