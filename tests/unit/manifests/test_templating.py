"""A value can never become structure, and a template that lets it is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from manifests.config_text import HaproxyVariable, haproxy_word, redis_word
from manifests.registry import all_components
from manifests.templating import TemplateRefused, Templates, lint, yaml_value

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(values)
@example(1e16)
@example(-1e-7)
def test_yaml_gives_back_what_went_in(value: Any) -> None:
    document = f"key: {yaml_value(value)}\nother: 1\n"
    assert yaml.safe_load(document) == {"key": value, "other": 1}


@pytest.mark.parametrize(
    "text",
    ["yes", "1", "null", "a: b", "- a", "# no", "'", '"', "\n---\n", "{{ x }}", "\x85\u2028"],
)
def test_text_stays_text(text: str) -> None:
    assert yaml.safe_load(f"- {yaml_value(text)}") == [text]


@pytest.mark.parametrize("value", [object(), b"bytes", {1: "key"}, float("nan")])
def test_what_has_no_yaml_form_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        yaml_value(value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a: {{ b }}", "without | yaml"),
        ("a: {{ b | redis }}", "without | yaml"),
        ("a: {{ b | yaml }}-{{ c }}", "without | yaml"),
        ("a: {{ (b | yaml) ~ c }}", "without | yaml"),
        ("{% for x in y %}{{ x }}{% endfor %}", "without | yaml"),
        ("{% include 'other' %}", "Include"),
        ("{% extends 'other' %}", "Extends"),
        ("{% import 'other' as o %}", "Import"),
        ("{% from 'other' import o %}", "FromImport"),
        ("{% filter yaml %}x{% endfilter %}", "FilterBlock"),
    ],
)
def test_lint_refuses(source: str, problem: str) -> None:
    assert problem in " ".join(lint(source, "yaml"))


def test_lint_accepts_filtered_values_and_loops() -> None:
    source = (
        "{% for x in y %}\n- {{ x.name | yaml }}\n{% if x.port %}\n  {{ 1 | yaml }}\n{% endif %}\n"
    )
    assert lint(source + "{% endfor %}\n", "yaml") == ()


def test_every_template_keeps_the_rules() -> None:
    seen = 0
    for component in all_components():
        for file in component.folder.glob("objects/*.j2"):
            assert lint(file.read_text(), "yaml") == (), file
            seen += 1
        for file in component.folder.glob("config/*.j2"):
            kind = "haproxy" if file.name.startswith("haproxy") else "redis"
            assert lint(file.read_text(), kind) == (), file
            seen += 1
    assert seen >= 8


def templates(folder: Path, source: str) -> Templates:
    (folder / "objects").mkdir()
    (folder / "objects" / "some.yaml.j2").write_text(source)
    return Templates(folder)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("a: {{ missing | yaml }}", UndefinedError),
        ("a: {{ ''.__class__.__mro__ | yaml }}", SecurityError),
        ("a: {{ held.append(1) | yaml }}", SecurityError),
        ("a: 1\nb: 2\na: 3", TemplateRefused),
        ("- a", TemplateRefused),
        ("a: {{ b }}", TemplateRefused),
    ],
)
def test_rendering_refuses(tmp_path: Path, source: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        templates(tmp_path, source).objects("some.yaml.j2", {"held": [1], "b": 1})


def split_as_valkey(line: str) -> list[str]:
    """Splits a line by the rules of ``sdssplitargs`` (valkey, src/sds.c), double quotes only."""
    words = []
    for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"(?=\s|$)|(\S+)', line):
        if plain:
            words.append(plain)
            continue
        raw = re.sub(
            r"\\x([0-9a-f]{2})|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], quoted
        )
        words.append(raw.encode("latin-1").decode())
    return words


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_redis_words_stay_one_word(text: str) -> None:
    line = f"requirepass {redis_word(text)}"
    assert "\n" not in line
    assert split_as_valkey(line) == ["requirepass", text]


def test_redis_words_by_type() -> None:
    assert [redis_word(v) for v in (True, False, 12, "plain", "", "a b")] == [
        "yes", "no", "12", "plain", '""', '"a b"',
    ]  # fmt: skip
    with pytest.raises(TypeError):
        redis_word(None)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_haproxy_words_stay_one_word(text: str) -> None:
    word = haproxy_word(text)
    assert "\n" not in word
    if word.startswith('"'):
        inner = word[1:-1]
        assert not re.search(r'(?<!\\)(\\\\)*["$]', inner), word
    else:
        assert word == text


def test_haproxy_words_by_type() -> None:
    assert haproxy_word(8405) == "8405"
    assert haproxy_word("AUTH x\r\n") == r'"AUTH x\r\n"'
    assert haproxy_word("a$b") == r'"a\$b"'
    assert haproxy_word([HaproxyVariable("HOST"), ":", 6379]) == '"${HOST}:6379"'
    for bad in (None, True, 1.5):
        with pytest.raises(TypeError):
            haproxy_word(bad)
    with pytest.raises(ValueError, match="NUL"):
        haproxy_word("a\0b")
    with pytest.raises(ValueError, match="environment variable"):
        HaproxyVariable("x} y")
