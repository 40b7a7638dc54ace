"""Keys of the sealed file: passphrase files, identities and recipients as operators have them."""

import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from installer.core import redaction
from installer.core.errors import InstallError
from installer.core.secrets import SecretSource, SecretText
from installer.store import sealed_process
from installer.store.sealed import SealedSecrets
from installer.store.sealed_key import (
    CannotUnseal,
    Passphrase,
    Recipients,
    check_new_passphrase,
    read_identity_file,
    read_passphrase_file,
    recipients_key,
    scrypt_work,
)
from tests.unit.store.sealing import PASSPHRASE, StandingClock, identity_key


def private_file(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def code_of(path: Path) -> str:
    with pytest.raises(InstallError) as caught:
        read_passphrase_file(path)
    return caught.value.code


def test_the_first_line_is_the_passphrase_and_masked(tmp_path: Path) -> None:
    path = private_file(tmp_path / "p", "correct horse battery \nnot this\n")
    assert read_passphrase_file(path).text.reveal() == "correct horse battery "
    assert redaction.redact("<correct horse battery >") == f"<{redaction.MASK}>"


def test_a_passphrase_file_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    for content in ("", "\n", "   \n", "\nsecond line\n"):
        assert code_of(private_file(tmp_path / "p", content)) == "PASSPHRASE-EMPTY"
    assert code_of(private_file(tmp_path / "p", "correct horse", 0o604)) == "PASSPHRASE-FILE"
    assert code_of(tmp_path / "none") == "PASSPHRASE-FILE"


def test_a_tiny_passphrase_never_seals(tmp_path: Path) -> None:
    tiny = Passphrase(SecretText("7 chars"))
    with pytest.raises(InstallError, match="PASSPHRASE-SHORT"):
        check_new_passphrase(tiny)
    with pytest.raises(InstallError, match="PASSPHRASE-SHORT"):
        SealedSecrets.create(tmp_path / "s", tiny, clock=StandingClock())


def header(work: int) -> bytes:
    return b"age-encryption.org/v1\n-> scrypt c2FsdHNhbHRzYWx0c2FsdA %d\nbody" % work


def test_a_seal_made_weak_by_a_busy_machine_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = iter([11, 13, 18, 30])
    monkeypatch.setattr(pyrage.passphrase, "encrypt", lambda *_: header(next(works)))
    assert scrypt_work(PASSPHRASE.seal(b"data")) == 18
    works = iter([13, 15, 14, 30])
    assert scrypt_work(PASSPHRASE.seal(b"data")) == 15


def test_a_refusal_that_a_busy_machine_caused_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = iter(["Excessive work parameter for passphrase.\nIt would take long."] * 20)

    def decrypt(*_: object) -> bytes:
        for refusal in refusals:
            raise pyrage.DecryptError(refusal)
        return b"data"

    monkeypatch.setattr(pyrage.passphrase, "decrypt", decrypt)
    assert PASSPHRASE.unseal(b"sealed") == b"data"


def test_the_file_of_age_keygen_is_an_identity(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    made = ["age-keygen", "-o", str(path)]
    subprocess.run(made, check=True, capture_output=True, timeout=20)
    shown = ["age-keygen", "-y", str(path)]
    public = subprocess.run(shown, check=True, capture_output=True, text=True, timeout=20).stdout
    identity = read_identity_file(path)
    assert identity.unseal(recipients_key([public]).seal(b"data")) == b"data"
    assert "AGE-SECRET" not in redaction.redact(path.read_text())


def test_an_openssh_key_is_an_identity(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    form = (Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    path = private_file(tmp_path / "id_ed25519", private.private_bytes(*form).decode())
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    sealed = recipients_key([public.decode()]).seal(b"data")
    assert read_identity_file(path).unseal(sealed) == b"data"


@pytest.mark.parametrize("content", ["", "nothing\n", "AGE-SECRET-KEY-1NONSENSE\n"])
def test_a_file_without_a_key_is_no_identity(tmp_path: Path, content: str) -> None:
    with pytest.raises(InstallError, match="IDENTITY-FILE") as caught:
        read_identity_file(private_file(tmp_path / "k", content))
    assert "NONSENSE" not in str(caught.value)


def test_each_recipient_can_open_even_after_another_saved(tmp_path: Path) -> None:
    first, second = identity_key(), identity_key()
    both = recipients_key([*first.recipients, *second.recipients])
    path, clock = tmp_path / "s", StandingClock()
    SealedSecrets.create(path, both, clock=clock).save()
    opened = SealedSecrets.open(path, Recipients(identities=first.identities), clock=clock)
    opened.put("one", "value-of-one", SecretSource.MADE)
    opened.save()
    assert SealedSecrets.open(path, second, clock=clock).value("one") == "value-of-one"


def test_recipients_that_are_named_anew_take_the_place_of_those_before(tmp_path: Path) -> None:
    first, second = identity_key(), identity_key()
    path, clock = tmp_path / "s", StandingClock()
    SealedSecrets.create(path, first, clock=clock).save()
    unchanged = path.read_bytes()
    SealedSecrets.open(path, first, clock=clock).save()
    assert path.read_bytes() == unchanged
    SealedSecrets.open(path, Recipients(second.recipients, first.identities), clock=clock).save()
    assert SealedSecrets.open(path, second, clock=clock).install_uid
    with pytest.raises(InstallError, match="SECRETS-WRONG-IDENTITY"):
        SealedSecrets.open(path, first, clock=clock)


@pytest.mark.parametrize("given", [[], [""], ["age1nonsense"], ["hunter2 is no key"]])
def test_what_is_no_public_key_is_refused(given: list[str]) -> None:
    with pytest.raises(InstallError, match="SECRETS-BAD-RECIPIENT"):
        recipients_key(given)


def test_a_private_key_given_as_recipient_is_not_repeated() -> None:
    private = identity_key().identities[0].reveal()
    with pytest.raises(InstallError) as caught:
        recipients_key([private])
    assert private[:20] not in str(caught.value)
    assert "number 1" in caught.value.cause


async def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="SECRETS-TIMEOUT") as caught:
        await sealed_process.seal(PASSPHRASE, b"data", limit=0.01)
    assert caught.value.retryable


async def test_a_child_that_the_kernel_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = (sys.executable, "-c", "import os, sys; sys.stdin.read(); os.kill(os.getpid(), 9)")
    monkeypatch.setattr(sealed_process, "_COMMAND", dies)
    with pytest.raises(InstallError, match="SECRETS-NO-MEMORY") as caught:
        await sealed_process.unseal(PASSPHRASE, header(18))
    assert "signal 9" in caught.value.cause
    assert "256 MiB" in caught.value.cause


async def test_the_child_tells_age_s_refusal() -> None:
    sealed = await sealed_process.seal(identity_key(), b"data")
    with pytest.raises(CannotUnseal, match="No matching keys found"):
        await sealed_process.unseal(identity_key(), sealed)
