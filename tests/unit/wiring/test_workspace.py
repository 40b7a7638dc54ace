"""A directory with settings and secrets: what is taken over, what is refused, what stands in."""

import shutil
from pathlib import Path

import pytest

from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from installer.core.secrets import SecretSource, SecretText, refusal
from installer.store.directory import InstallDirectory
from installer.store.sealed_key import Passphrase, Recipients, new_identity, own_recipients
from installer.wiring import workspace
from installer.wiring.rehearsal_key import rehearsal_key
from installer.wiring.workspace import seal_key, unlocking_text, with_recipients
from tests.unit.wiring.samples import EXAMPLES, example


def changed(folder: Path, old: str, new: str, name: str = "small") -> Path:
    path = folder / "changed.yaml"
    text = (EXAMPLES / f"{name}.yaml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def begun(folder: Path) -> InstallDirectory:
    """The directory of an install that ran."""
    directory = InstallDirectory(folder / "install")
    directory.create()
    workspace.adopt_settings(directory, workspace.read_settings(EXAMPLES / "small.yaml"))
    (directory.journal / "run-0001.jsonl").touch()
    return directory


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("name: example.org", "name: other.org", "server name"), ("id: example", "id: o", "install")],
)
def test_what_an_install_is_called_never_changes(
    tmp_path: Path, old: str, new: str, word: str
) -> None:
    directory = begun(tmp_path)
    before = directory.settings.read_bytes()
    with pytest.raises(InstallError) as refused:
        workspace.adopt_settings(directory, workspace.read_settings(changed(tmp_path, old, new)))
    assert refused.value.code == "IDENTITY-FIXED"
    assert word in refused.value.title
    assert directory.settings.read_bytes() == before


def test_other_settings_are_taken_over_with_file_names_made_absolute(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    new = changed(tmp_path, "~/.ssh/id_ed25519", "keys/id")
    workspace.adopt_settings(directory, workspace.read_settings(new))
    kept = workspace.read_settings(directory.settings).settings
    assert str(kept.ssh.key_file) == str(tmp_path / "keys" / "id")


def test_the_directorys_own_settings_are_left_as_they_are(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    before = directory.settings.stat()
    workspace.adopt_settings(directory, workspace.read_settings(directory.settings))
    assert directory.settings.stat() == before


async def test_a_rehearsal_seals_a_made_value_for_a_given_one(tmp_path: Path) -> None:
    settings = example()
    declared = {item.name: item for item in workspace.declarations(settings)}
    given = {name: SecretText(f"Given{'x' * 40}{n}") for n, name in enumerate(declared)}
    directory = InstallDirectory(tmp_path)
    directory.create()
    key = rehearsal_key(directory)
    rehearsed = await workspace.prepare_secrets(
        directory, settings, key, SystemClock(), given, rehearsal=True
    )
    for name, declaration in declared.items():
        value = rehearsed.sealed.value(name)
        assert value != given[name].reveal()
        assert not refusal(declaration, value)
    before = {name: rehearsed.sealed.value(name) for name in declared}
    again = await workspace.prepare_secrets(
        directory, settings, key, SystemClock(), given, rehearsal=True
    )
    assert {name: again.sealed.value(name) for name in declared} == before
    shutil.rmtree(tmp_path / "logs", ignore_errors=True)


async def test_a_real_install_seals_what_was_given(tmp_path: Path) -> None:
    settings = example()
    name = workspace.declarations(settings)[0].name
    given = {name: SecretText("Given" + "x" * 40)}
    directory = InstallDirectory(tmp_path)
    directory.create()
    real = await workspace.prepare_secrets(
        directory, settings, rehearsal_key(directory), SystemClock(), given
    )
    assert real.sealed.value(name) == given[name].reveal()
    assert real.sealed.entry(name).source is SecretSource.GIVEN


def test_what_unlocks_goes_over_the_socket_and_comes_back() -> None:
    identity = new_identity().identities[0]
    phrase = Passphrase(SecretText("five words that nobody guesses"))
    for key in (phrase, Recipients(identities=(identity, new_identity().identities[0]))):
        assert seal_key(unlocking_text(key)) == key


def test_the_settings_say_to_whom_an_identity_seals_anew(tmp_path: Path) -> None:
    mine, other = new_identity(), new_identity()
    recipients = own_recipients(other.identities)
    path = changed(
        tmp_path,
        "version: 1",
        f"version: 1\nsecrets: {{seal: recipients, recipients: [{recipients[0]}]}}",
        "trial",
    )
    settings = workspace.read_settings(path).settings
    key = with_recipients(settings, Recipients(identities=mine.identities))
    assert isinstance(key, Recipients)
    assert key.identities == mine.identities
    assert key.recipients == recipients
    own = Recipients(own_recipients(mine.identities), mine.identities)
    assert with_recipients(settings, own) == own
