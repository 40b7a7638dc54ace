"""Whatever settings are valid: written as YAML and read again, they are the same settings."""

from typing import Any

import pytest
from hypothesis import given, settings

from installer.core.settings_validation import validate_settings
from installer.store.settings_file import load_settings, save_settings
from tests.unit.core.settings_samples import MODEL
from tests.unit.core.settings_strategies import settings_trees


@settings(max_examples=40)  # each writes several files through to the disk
@given(settings_trees())
def test_valid_settings_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    valid = validate_settings(MODEL, tree)
    path = tmp_path_factory.getbasetemp() / "round-trip.yaml"
    for defaults in (False, True):
        save_settings(path, valid.to_tree(defaults=defaults))
        loaded = load_settings(path, MODEL).settings
        assert loaded == valid
        assert loaded.to_tree() == valid.to_tree()
    assert valid.size_row.concurrent_users >= valid.concurrent_users
    assert 1 <= len(valid.install_id) <= 20


@settings(max_examples=40)  # each writes several files through to the disk
@given(settings_trees())
def test_a_screen_s_edit_of_a_valid_file_is_what_is_read_next(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "edited.yaml"
    save_settings(path, tree)
    loaded = load_settings(path, MODEL)
    edited = validate_settings(MODEL, {**tree, "server": {**tree["server"], "organisation": "Z"}})
    save_settings(path, edited.to_tree(defaults=False), before=loaded.document)
    assert load_settings(path, MODEL).settings == edited
