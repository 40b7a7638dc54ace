"""The sealed secrets: an age file that keeps what it held and says why it does not open."""

import errno
import json
import os
import pickle
import pty
import re
import select
import stat
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from installer.core import redaction
from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import SecretSource, SecretText
from installer.store.sealed import FILE_NAME, SCHEMA, SealedSecrets
from installer.store.sealed_file import NO_FILE, SealedFile
from installer.store.sealed_key import Passphrase, Recipients, SealKey
from tests.unit.store.sealing import PASSPHRASE, StandingClock, identity_key

MADE = SecretSource.MADE


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
    secrets.put("redis-password", "value-of-redis", MADE)
    secrets.save()
    return secrets


@pytest.fixture(scope="module")
def by_passphrase(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Sealed once for all tests that need it: scrypt takes its second."""
    path = tmp_path_factory.mktemp("passphrase") / FILE_NAME
    secrets = SealedSecrets.create(path, PASSPHRASE, clock=StandingClock())
    secrets.put("one", "value-of-one", MADE)
    secrets.save()
    return path.read_bytes()


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


# -- why it does not open ----------------------------------------------------------------------


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


# -- the age program ---------------------------------------------------------------------------


def test_the_age_program_opens_what_was_sealed_to_recipients(
    sealed: SealedSecrets, path: Path, key: Recipients, tmp_path: Path
) -> None:
    identity = tmp_path / "identity"
    identity.write_text(key.identities[0].reveal() + "\n")
    command = ["age", "-d", "-i", str(identity), str(path)]
    plain = subprocess.run(command, capture_output=True, check=True, timeout=20).stdout
    assert json.loads(plain)["made"]["redis-password"]["value"] == "value-of-redis"


def test_the_age_program_opens_what_a_passphrase_sealed(by_passphrase: bytes, path: Path) -> None:
    path.write_bytes(by_passphrase)
    shown = answered_by_terminal(["age", "-d", str(path)], PASSPHRASE.text.reveal())
    assert '"value": "value-of-one"' in shown


def test_what_the_age_program_sealed_is_opened(
    sealed: SealedSecrets, path: Path, key: Recipients, clock: StandingClock, tmp_path: Path
) -> None:
    plain = key.unseal(path.read_bytes())
    for armor in ([], ["--armor"]):
        command = ["age", *armor, "-r", key.recipients[0], "-o", str(path)]
        subprocess.run(command, input=plain, check=True, timeout=20)
        opened = SealedSecrets.open(path, key, clock=clock)
        assert opened.value("redis-password") == "value-of-redis"
        refused("SECRETS-DAMAGED", path, identity_key())  # the recorded sum is of another file


def answered_by_terminal(command: list[str], answer: str) -> str:
    """The program's output; it asks on its terminal, as age does for a passphrase."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    shown, asked = b"", False
    try:
        while select.select([terminal], [], [], 20)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # EIO: the program has ended
                break
            shown += chunk
            if not asked and b"passphrase" in shown:
                os.write(terminal, answer.encode() + b"\n")
                asked = True
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    assert status == 0, shown.decode(errors="replace")
    return shown.decode()
