"""Configuration files: data dumped by code, files as they are, secrets put in last."""

import json
from pathlib import Path

import pytest
import yaml

from manifests.config import DataConfig, FileConfig, SecretRef, TextConfig, render_config
from manifests.templating import Templates

DATA = {"b": [1, {"password": SecretRef("one")}], "a": {"list": (SecretRef("two"), "plain")}}
EXPECTED = {"a": {"list": ["TWO", "plain"]}, "b": [1, {"password": "ONE"}]}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_data_is_dumped_with_secrets_at_any_depth(form: str, tmp_path: Path) -> None:
    config = DataConfig(DATA, form)  # type: ignore[arg-type]  # one of the parameters above
    text = render_config(config, tmp_path, Templates(tmp_path), str.upper)
    assert (json.loads(text) if form == "json" else yaml.safe_load(text)) == EXPECTED
    assert text.index("list") < text.index("password")  # sorted: the same bytes each time


def test_a_text_is_put_as_it_is(tmp_path: Path) -> None:
    config = DataConfig(SecretRef("one"), "text")
    assert render_config(config, tmp_path, Templates(tmp_path), str.upper) == "ONE"


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "some.sh").write_text("echo {{ not a template }}\n")
    text = render_config(FileConfig("some.sh"), tmp_path, Templates(tmp_path), str.upper)
    assert text == "echo {{ not a template }}\n"


def test_a_template_is_rendered_with_its_filter(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "x.conf.j2").write_text("requirepass {{ password | redis }}\n")
    config = TextConfig("x.conf.j2", "redis", {"password": SecretRef("a b")})
    text = render_config(config, tmp_path, Templates(tmp_path), str.upper)
    assert text == 'requirepass "A B"\n'
