"""Keys and secrets: given ones are found nowhere, wrong and missing ones are told apart."""

import random
import string
from pathlib import Path

import pyrage
import pytest

from installer.rehearsal.process import spawn
from tests.e2e.forker import Forker
from tests.e2e.product import Product, read_wire
from tests.e2e.terminal import Terminal

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
    shown = product.run(
        *("--answers", str(product.answers), "--rehearse", "--plan"),
        *("--secret", f"redis-synapse-password={canary}"),
        view="",
        code=3,
    )
    assert "GIVEN-SECRET-REFUSED" in shown.err
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


def choose(terminal: Terminal, first: str, again: str) -> None:
    terminal.until("Choose a passphrase")
    terminal.type(first)
    terminal.until("The same again: ")
    terminal.type(again)


def assert_one_may_leave(product: Product, words: tuple[str, ...], phrase: str) -> None:
    """Two that differ are asked for again; Ctrl+C at either question starts nothing."""
    with Terminal(product, *words) as terminal:
        choose(terminal, phrase, phrase + "?")
        terminal.until("The two differ. Once more.")
        terminal.until("Choose a passphrase")
        terminal.interrupt()
        left = terminal.finish()
    assert left.code == 4
    assert not product.directory.exists()

    with Terminal(product, *words) as terminal:
        terminal.until("Choose a passphrase")
        terminal.interrupt()
        left = terminal.finish()
    assert left.code == 4
    assert "Left. Nothing was started." in left.out
    assert not product.directory.exists()

    with Terminal(product, *words) as terminal:
        choose(terminal, phrase, phrase)
        terminal.until("Type yes to go on: ")
        terminal.interrupt()
        assert "Left. Nothing was started." in terminal.finish().out


def test_a_passphrase_is_asked_for_twice_and_opens_nothing_when_it_is_wrong(
    forker: Forker, disk_folder: Path
) -> None:
    """A rehearsal asks for none: here its cluster plays a real one."""
    phrase = f"canary {random.getrandbits(64):x} of the night"
    far_end = spawn(disk_folder / "far", speed=10_000)
    wire = far_end.folder / "wire.jsonl"
    with Product(forker, disk_folder / "near", canaries={"passphrase": phrase}) as product:
        words = ("--answers", str(product.answers), "--kubeconfig", str(far_end.kubeconfig))
        try:
            assert_one_may_leave(product, words, phrase)
            with Terminal(product, *words) as terminal:
                terminal.until("Passphrase of the sealed secrets")
                terminal.type(phrase)
                terminal.until("Type yes to go on: ")
                terminal.type("no")
                refused = terminal.finish()
            assert refused.code == 4
            assert phrase not in refused.out
            assert "REHEARSAL" not in refused.out
            sealed = (product.directory / "secrets.age").read_bytes()

            wrong = private(product.folder / "wrong.txt", "five other words than these")
            ran = product.run("--plan", "--passphrase-file", str(wrong), view="", code=7)
            assert "SECRETS-WRONG-PASSPHRASE" in ran.err
            assert (product.directory / "secrets.age").read_bytes() == sealed
            nobody = product.run("--plan", view="", code=2)
            assert "--passphrase-file" in nobody.err
            assert read_wire(wire) == []
        finally:
            far_end.kill()
