"""The age program and the product open what the other sealed."""

import json
import os
import pty
import select
import subprocess
from pathlib import Path

from installer.core.secrets import SecretSource
from installer.store.sealed import SealedSecrets
from installer.store.sealed_key import Recipients
from tests.unit.store.sealing import PASSPHRASE, StandingClock, identity_key, refused

MADE = SecretSource.MADE


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
