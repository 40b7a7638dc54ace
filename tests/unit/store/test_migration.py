"""Older settings files: on a copy, with the difference shown and the original kept."""

import os
import stat
import textwrap
from pathlib import Path
from typing import Any

import pytest

from installer.core.settings_problem import SettingsError
from installer.store.migration import Migration, migrate
from installer.store.settings_file import load_settings, save_migrated
from tests.unit.core.settings_samples import MODEL

# A version 0 that never was: "domain" and "people" stood at the top.
OLD = textwrap.dedent(
    """\
    # Our server.
    version: 0
    domain: example.org
    server:
      organisation: Example Organisation
      admin_contact: admin@example.org
    people: 800
    cluster: {kubeconfig: k}
    load_balancer: existing
    """
)


def move(tree: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tree.get("server"), dict) and "domain" in tree:
        tree["server"] = {"name": tree.pop("domain"), **tree["server"]}
    if "people" in tree:
        tree["scale"] = {"concurrent_users": tree.pop("people")}
    return tree


MIGRATIONS = (Migration(0, "domain is server.name, people is scale.concurrent_users", move),)


def old_file(folder: Path, text: str = OLD) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_an_older_file_is_read_and_left_alone(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    loaded = load_settings(path, MODEL, migrations=MIGRATIONS)
    assert loaded.settings.server.name == "example.org"
    assert loaded.settings.size_row.name == "1k"
    assert path.read_text() == OLD
    assert os.listdir(tmp_path) == ["settings.yaml"]


def test_the_difference_is_shown(tmp_path: Path) -> None:
    migrated = load_settings(old_file(tmp_path), MODEL, migrations=MIGRATIONS).migrated
    assert migrated is not None
    assert migrated.steps == (
        "version 0 to 1: domain is server.name, people is scale.concurrent_users",
    )
    lines = migrated.difference.splitlines()
    assert lines[:2] == ["--- version 0", "+++ version 1"]
    assert {line for line in lines[2:] if line[0] in "+-"} == {
        "-version: 0",
        "+version: 1",
        "-domain: example.org",
        "+  name: example.org",
        "-people: 800",
        "+scale:",
        "+  concurrent_users: 800",
    }


def test_the_original_is_kept_when_the_new_one_is_saved(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    kept = save_migrated(load_settings(path, MODEL, migrations=MIGRATIONS))
    assert kept == tmp_path / "settings.yaml.version-0"
    assert kept.read_text() == OLD
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = load_settings(path, MODEL, migrations=MIGRATIONS)
    assert again.migrated is None
    assert again.settings.server.name == "example.org"


def test_an_original_that_was_kept_is_never_overwritten(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    first = save_migrated(load_settings(path, MODEL, migrations=MIGRATIONS))
    old_file(tmp_path, OLD + "# again\n")
    second = save_migrated(load_settings(path, MODEL, migrations=MIGRATIONS))
    assert second != first
    assert first.read_text() == OLD
    assert second.read_text() == OLD + "# again\n"


def test_a_current_file_has_nothing_to_migrate(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    save_migrated(load_settings(path, MODEL, migrations=MIGRATIONS))
    with pytest.raises(ValueError, match="current version"):
        save_migrated(load_settings(path, MODEL, migrations=MIGRATIONS))


def test_the_tree_that_was_given_does_not_change() -> None:
    tree = {"version": 0, "server": {}, "domain": "x", "people": 3}
    migrate(tree, MIGRATIONS)
    assert tree == {"version": 0, "server": {}, "domain": "x", "people": 3}


def test_versions_are_taken_one_after_the_other() -> None:
    def note(name: str) -> Migration:
        number = int(name)
        return Migration(number, name, lambda tree: {**tree, "seen": [*tree.get("seen", []), name]})

    done = migrate({"version": 0}, (note("1"), note("0"), note("2")), current=3)
    assert done.tree == {"version": 3, "seen": ["0", "1", "2"]}
    assert (done.from_version, len(done.steps)) == (0, 3)


def test_a_version_in_between_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="1 thing") as caught:
        load_settings(old_file(tmp_path), MODEL, migrations=())
    assert [(p.line, p.value) for p in caught.value.problems] == [(2, "0")]


def test_mistakes_in_an_older_file_are_shown_where_they_stand(tmp_path: Path) -> None:
    path = old_file(tmp_path, OLD.replace("load_balancer: existing", "load_balancer: exist"))
    with pytest.raises(SettingsError) as caught:
        load_settings(path, MODEL, migrations=MIGRATIONS)
    assert [(p.line, p.column, p.value) for p in caught.value.problems] == [(9, 16, "exist")]
    assert path.read_text().startswith("# Our server.")
