"""Sealed secrets that do not open: each reason is told apart, and nothing is overwritten."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from installer.core.errors import InstallError
from installer.core.secrets import SecretSource
from installer.store.sealed import FILE_NAME, SCHEMA, SealedSecrets
from installer.store.sealed_file import NO_FILE, SealedFile
from installer.store.sealed_key import Recipients
from tests.unit.store.sealing import PASSPHRASE, StandingClock, identity_key, refused

MADE = SecretSource.MADE


def test_nothing_there_yet(path: Path, key: Recipients) -> None:
    refused("SECRETS-ABSENT", path, key)


def test_missing_beside_a_journal_is_told_and_never_made_anew(
    path: Path, key: Recipients, clock: StandingClock
) -> None:
    refused("SECRETS-MISSING", path, key, journal=True)
    with pytest.raises(InstallError, match="SECRETS-MISSING"):
        SealedSecrets.create(path, key, clock=clock, journal_has_records=True)


def test_missing_where_one_was_is_told(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    sealed.put("redis-password", "second-value", MADE)
    sealed.save()
    path.unlink()
    assert ".previous" in refused("SECRETS-MISSING", path, key).remedy
    with pytest.raises(InstallError, match="SECRETS-MISSING"):
        SealedSecrets.create(path, key, clock=clock)


def test_another_identity_is_told(sealed: SealedSecrets, path: Path) -> None:
    refused("SECRETS-WRONG-IDENTITY", path, identity_key())


def test_recipients_without_an_identity_are_told(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    refused("SECRETS-NO-IDENTITY", path, Recipients(key.recipients))
    refused("SECRETS-NO-IDENTITY", path, PASSPHRASE)


def test_a_change_of_any_single_byte_is_damage(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x01]) + whole[position + 1 :])
        refused("SECRETS-DAMAGED", path, key)


@pytest.mark.parametrize("kept", [0, 1, 40, 200, -1])
def test_a_file_cut_short_is_damage(
    sealed: SealedSecrets, path: Path, key: Recipients, kept: int
) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    refused("SECRETS-DAMAGED", path, key)


def test_a_damaged_header_is_not_called_a_wrong_passphrase(
    by_passphrase: bytes, path: Path
) -> None:
    SealedFile(path).replace(by_passphrase, expected={NO_FILE})
    whole = by_passphrase
    salt = whole.index(b"scrypt ") + 7
    other = b"A" if whole[salt : salt + 1] != b"A" else b"B"
    path.write_bytes(whole[:salt] + other + whole[salt + 1 :])
    refused("SECRETS-DAMAGED", path, PASSPHRASE)


def test_without_a_recorded_sum_the_doubt_is_told(sealed: SealedSecrets, path: Path) -> None:
    path.with_name(f"{FILE_NAME}.sum").unlink()
    told = refused("SECRETS-WRONG-IDENTITY", path, identity_key())
    assert "damage" in told.cause


def test_a_file_sealed_by_hand_opens(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    plain = key.unseal(path.read_bytes())
    path.write_bytes(key.seal(plain))
    opened = SealedSecrets.open(path, key, clock=clock)
    opened.put("redis-password", "second-value", MADE)
    opened.save()
    assert SealedSecrets.open(path, key, clock=clock).value("redis-password") == "second-value"


def test_a_file_that_is_none_of_age_is_damage(path: Path, key: Recipients) -> None:
    path.write_text("made: {}\n")
    refused("SECRETS-DAMAGED", path, key)
    refused("SECRETS-DAMAGED", path, PASSPHRASE)


def test_the_header_of_an_armored_file_is_understood(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    path.write_bytes(pyrage.encrypt(b"{}", [identity_recipient(key)], armored=True))
    path.with_name(f"{FILE_NAME}.sum").unlink()
    refused("SECRETS-WRONG-IDENTITY", path, identity_key())
    refused("SECRETS-NO-IDENTITY", path, PASSPHRASE)


def identity_recipient(key: Recipients) -> object:
    return pyrage.x25519.Recipient.from_str(key.recipients[0])


def test_a_newer_schema_is_refused(sealed: SealedSecrets, path: Path, key: Recipients) -> None:
    payload = json.loads(key.unseal(path.read_bytes()))
    path.write_bytes(key.seal(json.dumps(payload | {"schema": SCHEMA + 1}).encode()))
    refused("SECRETS-NEWER", path, key)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda payload: payload.pop("made"),
        lambda payload: payload.pop("schema"),
        lambda payload: payload.update(install_key="short"),
        lambda payload: payload.update(install_key="00" * 16),
        lambda payload: payload.update(made=["redis-password"]),
        lambda payload: payload["made"]["redis-password"].pop("value"),
    ],
)
def test_contents_that_are_not_ours_are_damage(
    sealed: SealedSecrets,
    path: Path,
    key: Recipients,
    spoil: Callable[[dict[str, object]], object],
) -> None:
    payload = json.loads(key.unseal(path.read_bytes()))
    spoil(payload)
    path.write_bytes(key.seal(json.dumps(payload).encode()))
    refused("SECRETS-DAMAGED", path, key)
    path.write_bytes(key.seal(b"no JSON"))
    refused("SECRETS-DAMAGED", path, key)


def test_a_file_from_a_much_faster_machine_is_told(by_passphrase: bytes, path: Path) -> None:
    path.write_bytes(re.sub(rb"(-> scrypt \S+) \d+\n", rb"\1 30\n", by_passphrase, count=1))
    refused("SECRETS-SLOW-MACHINE", path, PASSPHRASE)


def test_an_unreadable_file_is_told(path: Path, key: Recipients) -> None:
    path.mkdir()
    with pytest.raises(InstallError, match="SECRETS-UNREADABLE"):
        SealedSecrets.open(path, key, clock=StandingClock())
