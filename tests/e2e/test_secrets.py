"""Keys and secrets: given ones are found nowhere, wrong and missing ones are told apart."""

import random
import string
from pathlib import Path

import pyrage
import pytest

from tests.e2e.product import Product

pytestmark = pytest.mark.timeout(240)


def test_a_secret_that_is_given_at_a_rehearsal_is_checked_and_then_found_nowhere(
    product: Product,
) -> None:
    canary = "".join(random.choices(string.ascii_letters + string.digits, k=40))
    product.canaries = {"given": canary}
    given = product.folder / "given.txt"
    given.touch(mode=0o600)
    given.write_text("short\n")
    words = ("--secret", f"redis-synapse-password=@{given}")
    refused = product.install(*words, view="", code=3)
    assert "GIVEN-SECRET-REFUSED" in refused.err
    assert "redis-synapse-password" in refused.err
    assert "short" not in refused.text
    assert not product.directory.exists()

    given.write_text(canary + "\n")
    literal = product.install("--secret", f"redis-synapse-password={canary}", view="", code=3)
    assert canary not in literal.text
    unknown = product.install("--secret", f"redis-synapse-pasword=@{given}", view="", code=3)
    assert "did you mean redis-synapse-password" in " ".join(unknown.err.split())
    assert product.install(*words).of("run-finished")
    product.assert_no_secret_lies_about()


def test_secrets_may_be_sealed_to_recipients(product: Product) -> None:
    identity = pyrage.x25519.Identity.generate()
    other = pyrage.x25519.Identity.generate()
    key = private(product.folder / "identity.txt", str(identity))
    product.write_settings(
        secrets={"seal": "recipients", "recipients": [str(identity.to_public())]}
    )
    words = ("--identity-file", str(key))
    assert product.install(*words).of("run-finished")
    wrong = private(product.folder / "other.txt", str(other))
    ran = product.install("--identity-file", str(wrong), view="", code=7)
    assert "Remedy:" in ran.err
    assert str(other) not in ran.text
    assert ran.writes == ()


def test_secrets_that_are_gone_or_damaged_are_never_made_anew(installed: Product) -> None:
    sealed = installed.directory / "secrets.age"
    good = sealed.read_bytes()
    sealed.write_bytes(good[:-20])
    installed.sealed_is_whole = False
    damaged = installed.install(view="", code=7)
    sealed.unlink()
    gone = installed.install(view="", code=7)
    codes = {ran.err.splitlines()[0] for ran in (damaged, gone)}
    assert len(codes) == 2
    assert all(code.startswith("SECRETS-") for code in codes), codes
    assert not sealed.exists()
    assert installed.directory.name in gone.err.replace("\n         ", "")
    sealed.touch(mode=0o600)
    sealed.write_bytes(good)
    installed.sealed_is_whole = True
    assert installed.install().changes == ()


def test_a_journal_that_is_damaged_in_its_middle_is_refused_by_its_line(
    installed: Product,
) -> None:
    journal = installed.directory / "journal" / "run-0001.jsonl"
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"step"', b'"stop"', 1)
    journal.write_bytes(b"".join(lines))
    for words in (installed.fast_install(), ("--resume", "--yes"), ("--plan",)):
        ran = installed.run(*words, view="", code=8)
        assert "JOURNAL-DAMAGED" in ran.err
        assert "line 5" in " ".join(ran.err.split())
        assert ran.writes == ()
    journal.write_bytes(whole + b'{"torn')
    ran = installed.install(view="--plain")
    assert "torn last line" in ran.out


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path
