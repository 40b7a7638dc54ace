"""The settings file as an operator writes it: read with places, saved with its comments."""

import os
import stat
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from installer.core.errors import InstallError
from installer.core.settings import Settings
from installer.core.settings_problem import Finding, SettingsError, SettingsProblem
from installer.store.settings_file import LARGEST_FILE, load_settings, save_settings
from installer.store.settings_text import edited_text
from installer.store.yaml_document import dump_yaml, plain_value, read_document
from tests.unit.core.settings_samples import MODEL, valid_tree

VALID = textwrap.dedent(
    """\
    # Ours.
    version: 1
    server:
      name: example.org   # never changes
      organisation: "Example Organisation"
      admin_contact: admin@example.org
    scale: {row: "100"}
    cluster:
      kubeconfig: k
    load_balancer: existing
    # The parts.
    components:
      cache:
        # In megabytes.
        memory_mb: 128
        labels: {a: b, c: d}
    """
)


def load(folder: Path, text: str | bytes) -> Settings:
    path = folder / "settings.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(path, MODEL).settings


def problems(folder: Path, text: str | bytes) -> list[SettingsProblem]:
    before = sorted(os.listdir(folder))
    with pytest.raises(SettingsError) as caught:
        load(folder, text)
    (folder / "settings.yaml").unlink()
    assert sorted(os.listdir(folder)) == before
    return list(caught.value.problems)


def refusal(path: Path) -> tuple[SettingsProblem, ...]:
    """The problems of a file, none when it is accepted; any other exception passes."""
    try:
        load_settings(path, MODEL)
    except SettingsError as error:
        return error.problems
    return ()


def test_a_file_is_read(tmp_path: Path) -> None:
    settings = load(tmp_path, VALID)
    assert settings.server.organisation == "Example Organisation"
    assert settings.component("cache").model_dump()["labels"] == {"a": "b", "c": "d"}


def test_every_mistake_has_its_line_and_column(tmp_path: Path) -> None:
    text = VALID.replace("example.org   #", "Example.org   #").replace("memory_mb", "memroy_mb")
    text = text.replace("row", "rwo").replace("existing", "exist")
    found = problems(tmp_path, text)
    assert [(p.line, p.column, p.path) for p in found] == [
        (4, 9, "server.name"),
        (7, 9, "scale.rwo"),
        (10, 16, "load_balancer"),
        (15, 5, "components.cache.memroy_mb"),
    ]
    assert str(found[0]) == (
        f"{tmp_path}/settings.yaml:4:9: server.name = Example.org: names are written in small "
        "letters, without a dot at the end -> example.org"
    )


def test_mistakes_of_yaml_and_of_meaning_come_together(tmp_path: Path) -> None:
    text = VALID.replace("kubeconfig: k", "kubeconfig: k\n  kubeconfig: l").replace("128", "1")
    found = problems(tmp_path, text)
    assert [(p.line, p.column, p.why) for p in found] == [
        (10, 3, "the key is there twice, first on line 9"),
        (16, 16, "must be greater than or equal to 16"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("name: example.org", "name: !!str example.org", "tags (!name) are refused"),
        ("name: example.org", "name: !ENV example.org", "tags (!name) are refused"),
        ("name: example.org", "name: !!python/object:os.system x", "tags (!name) are refused"),
        ("name: example.org", "name: &n example.org", "anchors (&name) are refused"),
        ("name: example.org", "name: *n", "aliases (*name) are refused"),
        ("memory_mb: 128", "<<: {memory_mb: 1}", "merge keys (<<) are refused"),
        ("    labels: {a: b, c: d}", "    ? {a: b}\n    : c", "a key must be plain text"),
        ("components:", "---\ncomponents:", "a second document begins here"),
        ("{a: b, c: d}", "[" * 21 + "]" * 21, "nested deeper than 20 levels"),
        ("{a: b, c: d}", '{a: "b\\e[31m"}', "holds the character U+001B"),
        ("{a: b, c: d}", '{a: "\\uE000"}', "holds the character U+E000"),
        ("{a: b, c: d}", '{a: "\\ud800"}', "holds the character U+D800"),
        ("{a: b, c: d}", "{a: b\u0085}", "the character U+0085 cannot be seen"),
        ("{a: b, c: d}", '{a: "\\U00110000"}', "an impossible number"),
        ("{a: b, c: d}", "{a: b", "not YAML"),
        ("{a: b, c: d}", "{a: \tb\n\t c: d}", "a tab"),
        ("  name: example.org", "    name: example.org", "does not fit here"),
        ("load_balancer: existing", "load_balancer", "a ':' after the key is missing"),
        ("version: 1", "version: 2", "newer version of matrix-install"),
        ("version: 1", "version: 0", "no release has read or written"),
        ("version: 1", 'version: "1"', "must be 1"),
        ("version: 1\n", "", "needed, and not there"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in VALID
    found = problems(tmp_path, VALID.replace(old, new))
    assert any(why in problem.why for problem in found), found
    assert all(problem.line for problem in found)


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    names = "abcdefghijklmnopqrst"
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)
    ]
    found = problems(tmp_path, "\n".join(lines))
    assert sum("aliases" in problem.why for problem in found) == 9 * 19


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nserver: *hunter2\n",
        "version: 1\nserver: &hunter2 x\n",
        "version: 1\nserver: !hunter2 x\n",
        "version: 1\nserver: !h!unter2hunter2 x\n",
        "version: 1\nserver: {password: hunter2}\n",
        "version: 1\nsecrets: {seal: hunter2, token: 'hunter2'}\nserver: [\n",
        "version: 1\nserver:\n  registration_shared_secret: hunter2\n  admin_contact: 1\n",
        "version: 1\nproxy: {https: 'http://u:hunter2@p.example.org'}\n",
        "version: 1\ntls: {source: own, private_key: hunter2}\n",
        "version: 1\nssh: {key_passphrase: [hunter2]}\n",
        "version: 1\ntls: {private_key: 'hunter2\\u0007'}\n",
        'version: 1\npassword: "hunter2\nx: 1\n',
        "version: 1\npassword: hunter2: x\n",
    ],
)
def test_a_secret_is_never_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    told = f"{caught.value} {caught.value.report()} {caught.value.problems!r}"
    assert "hunter2" not in told


def test_not_utf_8_is_refused_at_its_byte(tmp_path: Path) -> None:
    found = problems(tmp_path, VALID.encode().replace(b"Example O", b"Ex\xe4mple O"))
    assert [(p.line, p.column) for p in found] == [(5, 20)]
    assert "not UTF-8" in found[0].why


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + VALID.replace("\n", "\r\n")
    assert load(tmp_path, text).server.name == "example.org"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    assert [p.why for p in problems(tmp_path, text)] == ["there is nothing in it"]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, VALID + "#" * LARGEST_FILE)
    assert [p.why for p in found] == ["larger than 256 KiB, which no settings file is"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="1 thing to mend"):
        load_settings(tmp_path / "pipe", MODEL)
    for name in ("gone", "."):
        with pytest.raises(InstallError) as caught:
            load_settings(tmp_path / name, MODEL)
        assert caught.value.code == "SETTINGS-UNREADABLE"


def test_components_own_rules_are_placed_too(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(VALID)
    finding = Finding(("components", "cache", "memory_mb"), "too much for this size")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, MODEL, check=lambda settings: [finding])
    assert [(p.line, p.column, p.value) for p in caught.value.problems] == [(15, 16, "128")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("0123", "0123"), ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"), (".inf", ".inf"), (".nan", ".nan"), ("1e999", "1e999"),
        ("1_000", "1_000"), ("0x10", "0x10"), ("true", True), ("False", False), ("~", None),
        ("", None), ("null", None), ("12", 12), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0),
        (".5", 0.5), ("1.", 1.0), ("9" * 30, "9" * 30), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    read = plain_value(text)
    assert (type(read), read) == (type(value), value)


# Saving


def test_a_new_file_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    save_settings(path, valid_tree())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_settings(path, MODEL).settings.to_tree(defaults=False) == valid_tree()
    assert os.listdir(tmp_path) == ["settings.yaml"]


def test_a_file_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(VALID)
    path.chmod(0o640)
    save_settings(path, valid_tree())
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(VALID)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_settings(path, valid_tree())
    assert path.read_text() == VALID
    assert os.listdir(tmp_path) == ["settings.yaml"]


def test_changed_values_leave_comments_and_order_alone() -> None:
    document = read_document(VALID)
    tree = read_document(VALID).tree
    tree["server"]["organisation"] = "Another: one"
    tree["components"]["cache"]["memory_mb"] = 256
    tree["components"]["cache"]["labels"]["c"] = "e, f"
    assert edited_text(document, tree) == (
        VALID.replace('"Example Organisation"', "'Another: one'")
        .replace("memory_mb: 128", "memory_mb: 256")
        .replace("c: d}", 'c: "e, f"}')
    )


def test_changed_sections_leave_the_others_comments_alone() -> None:
    document = read_document(VALID)
    tree = read_document(VALID).tree
    tree["cluster"]["context"] = "prod"
    del tree["scale"]
    tree["trust"] = {"ca_files": ["a.pem"]}
    text = edited_text(document, tree)
    assert read_document(text).tree == tree
    for comment in ("# Ours.", "# never changes", "# The parts.", "# In megabytes."):
        assert comment in text


def test_a_key_that_is_added_leaves_the_rest_of_the_file_as_it_is() -> None:
    tree = read_document(VALID).tree
    tree["cluster"]["context"] = "prod"
    assert edited_text(read_document(VALID), tree) == VALID.replace(
        "  kubeconfig: k\n", "  kubeconfig: k\n  context: prod\n"
    )


def test_nothing_changed_means_the_same_text() -> None:
    assert edited_text(read_document(VALID), read_document(VALID).tree) == VALID


TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"]), max_size=12
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | TEXTS
    | st.sampled_from(
        ["yes", "1e3", "0x1", "~", "=", "<<", "1_0", "2026-01-01", "- a", "a: b", "#"]
    )
)
TREES = st.dictionaries(
    TEXTS,
    st.recursive(
        SCALARS,
        lambda s: st.lists(s, max_size=3) | st.dictionaries(TEXTS, s, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


def same(one: object, other: object) -> bool:
    """Equal in type as well."""
    return repr(one) == repr(other)


@given(TREES)
def test_every_tree_comes_back_from_yaml_as_it_was(tree: dict[str, object]) -> None:
    document = read_document(dump_yaml(tree))
    assert document.problems == []
    assert same(document.tree, tree)


@given(TREES, TREES)
@example({"": ""}, {"": " "})
def test_an_edit_means_what_was_asked_for(
    before: dict[str, object], after: dict[str, object]
) -> None:
    text = edited_text(read_document(dump_yaml(before)), after)
    read = read_document(text)
    assert read.problems == []
    assert same(dict(sorted(read.tree.items())), dict(sorted(after.items())))


@given(TREES)
def test_other_yaml_readers_read_the_same(tree: dict[str, object]) -> None:
    assert same(yaml.safe_load(dump_yaml(tree)), tree)


BYTES = st.binary(max_size=6) | st.sampled_from(
    [b"\n", b"  ", b"\t", b": ", b"- ", b"&a ", b"*a", b"!x ", b"{", b"}", b"[", b"]", b"'", b'"',
     b"|", b">", b"%YAML 9.9\n", b"---\n", b"? ", b"<<: ", b"#", b"\xff", b"\\", b"\xc2\x85",
     b"version: 1\n", b"name: x\n", b"\x00", b"@", b"`"]
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), BYTES), max_size=5))
def test_a_spoilt_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, bytes]]
) -> None:
    data = VALID.encode()
    for start, length, new in edits:
        data = data[:start] + new + data[start + length :]
    folder = tmp_path_factory.getbasetemp() / "spoilt"
    folder.mkdir(exist_ok=True)
    path = folder / "settings.yaml"
    path.write_bytes(data)
    found = refusal(path)
    assert all(p.line >= 1 and p.column >= 1 and p.why for p in found)
    assert path.read_bytes() == data
    assert os.listdir(folder) == ["settings.yaml"]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(data)
    with pytest.raises(SettingsError):
        load_settings(path, MODEL)
