"""Whatever settings are valid: written as YAML and read again, they are the same settings."""

from typing import Any

import pytest
from hypothesis import given

from installer.core.settings_validation import validate_settings
from installer.store.settings_file import load_settings, save_settings
from tests.unit.core.settings_samples import MODEL
from tests.unit.core.settings_strategies import settings_trees


@given(settings_trees())
def test_valid_settings_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    settings = validate_settings(MODEL, tree)
    path = tmp_path_factory.getbasetemp() / "round-trip.yaml"
    for defaults in (False, True):
        save_settings(path, settings.to_tree(defaults=defaults))
        loaded = load_settings(path, MODEL).settings
        assert loaded == settings
        assert loaded.to_tree() == settings.to_tree()
    assert settings.size_row.concurrent_users >= settings.concurrent_users
    assert 1 <= len(settings.install_id) <= 20


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
