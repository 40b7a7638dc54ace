"""The sealed secrets: an age file that keeps what it held."""

import errno
import os
import pickle
import re
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from installer.core import redaction
from installer.core.errors import InstallError
from installer.core.secrets import SecretSource, SecretText
from installer.store.sealed import FILE_NAME, SealedSecrets
from installer.store.sealed_file import NO_FILE, SealedFile
from installer.store.sealed_key import Passphrase, Recipients
from tests.unit.store.sealing import PASSPHRASE, StandingClock, identity_key, refused, snapshot

MADE = SecretSource.MADE


def test_what_was_sealed_is_there_again(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    opened = SealedSecrets.open(path, key, clock=clock)
    assert opened.value("redis-password") == "value-of-redis"
    assert opened.names == {"redis-password"}
    assert opened.install_uid == sealed.install_uid
    assert opened.install_key == sealed.install_key
    assert len(opened.install_key) == 32
    with pytest.raises(KeyError):
        opened.value("unknown")


def test_a_passphrase_seals_and_opens(
    by_passphrase: bytes, path: Path, clock: StandingClock
) -> None:
    SealedFile(path).replace(by_passphrase, expected={NO_FILE})
    assert SealedSecrets.open(path, PASSPHRASE, clock=clock).value("one") == "value-of-one"
    wrong = refused("SECRETS-WRONG-PASSPHRASE", path, Passphrase(SecretText("another phrase")))
    assert wrong.retryable
    assert "another phrase" not in str(wrong) + wrong.remedy
    refused("SECRETS-NEED-PASSPHRASE", path, identity_key())


async def test_a_child_process_seals_and_opens(path: Path, clock: StandingClock) -> None:
    secrets = SealedSecrets.create(path, PASSPHRASE, clock=clock)
    secrets.put("one", "value-of-one", MADE)
    await secrets.save_async()
    opened = await SealedSecrets.open_async(path, PASSPHRASE, clock=clock)
    assert opened.value("one") == "value-of-one"


async def test_a_child_process_tells_why_it_does_not_open(
    sealed: SealedSecrets, path: Path, clock: StandingClock
) -> None:
    with pytest.raises(InstallError, match="SECRETS-WRONG-IDENTITY"):
        await SealedSecrets.open_async(path, identity_key(), clock=clock)


def test_only_the_owner_may_read_any_of_it(sealed: SealedSecrets, path: Path) -> None:
    sealed.put("redis-password", "second-value", MADE)
    old_mask = os.umask(0)
    try:
        sealed.save()
    finally:
        os.umask(old_mask)
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == {FILE_NAME, f"{FILE_NAME}.previous", f"{FILE_NAME}.sum"}
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}


def test_the_files_hold_no_value_in_clear(sealed: SealedSecrets, path: Path) -> None:
    for content in snapshot(path.parent).values():
        assert b"value-of-redis" not in content
        assert b"redis-password" not in content
        assert sealed.install_uid.encode() not in content


def test_values_before_are_kept_with_their_times(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    clock.time += timedelta(days=1)
    assert sealed.put("redis-password", "second-value", SecretSource.GIVEN)
    assert not sealed.put("redis-password", "second-value", MADE)
    sealed.put("redis-password", "third-value", SecretSource.GIVEN)
    sealed.save()
    entry = SealedSecrets.open(path, key, clock=clock).entry("redis-password")
    assert (entry.value.reveal(), entry.at) == ("third-value", "2026-01-03T03:04:05+00:00")
    assert entry.source is SecretSource.GIVEN
    assert [(value.reveal(), at) for value, at in entry.previous] == [
        ("value-of-redis", "2026-01-02T03:04:05+00:00"),
        ("second-value", "2026-01-03T03:04:05+00:00"),
    ]


def test_saving_nothing_new_writes_nothing(sealed: SealedSecrets, path: Path) -> None:
    before = snapshot(path.parent)
    sealed.put("redis-password", "value-of-redis", MADE)
    sealed.save()
    assert snapshot(path.parent) == before


def test_the_version_before_can_still_be_opened(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    sealed.put("redis-password", "second-value", MADE)
    sealed.save()
    path.with_name(f"{FILE_NAME}.previous").rename(path)
    assert SealedSecrets.open(path, key, clock=clock).value("redis-password") == "value-of-redis"


def test_saving_can_be_tried_again_after_the_disk_failed_late(
    sealed: SealedSecrets,
    path: Path,
    key: Recipients,
    clock: StandingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed.put("redis-password", "second-value", MADE)
    with monkeypatch.context() as patch:
        fails = iter([False] * 5 + [True])  # the directory's sync, after the file took its place
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if next(fails):
                raise OSError(errno.EIO, "Input/output error")
            real(descriptor)

        patch.setattr(os, "fsync", fsync)
        with pytest.raises(InstallError, match="SECRETS-NOT-WRITTEN"):
            sealed.save()
    sealed.save()
    assert SealedSecrets.open(path, key, clock=clock).value("redis-password") == "second-value"


def test_two_that_opened_the_same_version_do_not_overwrite_each_other(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    other = SealedSecrets.open(path, key, clock=clock)
    sealed.put("redis-password", "second-value", MADE)
    sealed.save()
    other.put("redis-password", "third-value", MADE)
    with pytest.raises(InstallError, match="SECRETS-CHANGED"):
        other.save()
    fresh = SealedSecrets.create(path, key, clock=clock)
    with pytest.raises(InstallError, match="SECRETS-CHANGED"):
        fresh.save()
    assert SealedSecrets.open(path, key, clock=clock).value("redis-password") == "second-value"


def test_hmacs_tell_values_and_names_apart(sealed: SealedSecrets) -> None:
    sealed.put("other", "value-of-redis", MADE)
    first, same_value = sealed.hmac("redis-password"), sealed.hmac("other")
    assert re.fullmatch(r"hmac:[0-9a-f]{64}", first)
    assert first != same_value
    sealed.put("redis-password", "second-value", MADE)
    assert sealed.hmac("redis-password") != first
    sealed.put("redis-password", "value-of-redis", MADE)
    assert sealed.hmac("redis-password") == first


def test_hmacs_of_two_installs_differ(
    sealed: SealedSecrets, key: Recipients, tmp_path: Path, clock: StandingClock
) -> None:
    other = SealedSecrets.create(tmp_path / "other.age", key, clock=clock)
    other.put("redis-password", "value-of-redis", MADE)
    assert other.hmac("redis-password") != sealed.hmac("redis-password")


def test_all_values_are_masked_once_opened(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock
) -> None:
    sealed.put("redis-password", "second-value", MADE)
    sealed.save()
    identity, install_key = key.identities[0].reveal(), sealed.install_key.hex()
    del sealed
    redaction.forget_all()
    SealedSecrets.open(path, key, clock=clock)
    for secret in ("value-of-redis", "second-value", identity, install_key):
        assert redaction.redact(f"x {secret} y") == f"x {redaction.MASK} y"


def test_neither_repr_nor_pickle_tells_a_value(sealed: SealedSecrets) -> None:
    assert "value-of-redis" not in repr(sealed) + repr(sealed.entry("redis-password"))
    with pytest.raises(TypeError):
        pickle.dumps(sealed)
