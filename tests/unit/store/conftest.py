"""Fixtures of the store's tests: keys, a clock that stands, a sealed file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.core import redaction
from installer.core.secrets import SecretSource
from installer.store.sealed import FILE_NAME, SealedSecrets
from installer.store.sealed_key import Recipients
from tests.unit.store.sealing import PASSPHRASE, StandingClock, identity_key


@pytest.fixture(autouse=True)
def _nothing_registered() -> Iterator[None]:
    redaction.forget_all()
    yield
    redaction.forget_all()


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def key() -> Recipients:
    return identity_key()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


@pytest.fixture
def sealed(path: Path, key: Recipients, clock: StandingClock) -> SealedSecrets:
    secrets = SealedSecrets.create(path, key, clock=clock)
    secrets.put("redis-password", "value-of-redis", SecretSource.MADE)
    secrets.save()
    return secrets


@pytest.fixture(scope="session")
def by_passphrase(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Sealed once for all tests that need it: scrypt takes its second."""
    path = tmp_path_factory.mktemp("passphrase") / FILE_NAME
    secrets = SealedSecrets.create(path, PASSPHRASE, clock=StandingClock())
    secrets.put("one", "value-of-one", SecretSource.MADE)
    secrets.save()
    return path.read_bytes()
