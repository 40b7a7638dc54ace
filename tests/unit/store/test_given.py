"""Given secrets: from files, descriptors and standard input; mistakes all at once, no echo."""

import io
import os
from pathlib import Path

import pytest

from installer.core import redaction
from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import LARGEST_GIVEN, SecretForm, unique_declarations
from installer.store.given import read_given
from tests.unit.store.sealing import MADE_AND_GIVEN, declaration

DECLARED = unique_declarations((*MADE_AND_GIVEN, declaration("fernet", SecretForm.FERNET_KEY)))


def secret_file(directory: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = directory / f"secret-{len(list(directory.iterdir()))}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def refusal_of(*options: str) -> InstallError:
    with pytest.raises(InstallError) as caught:
        read_given(options, DECLARED)
    assert caught.value.code == "GIVEN-SECRET-REFUSED"
    assert caught.value.exit_code is ExitCode.SETTINGS
    return caught.value


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_is_read_without_its_last_newline(tmp_path: Path, ending: str) -> None:
    path = secret_file(tmp_path, "user: pässword" + ending)
    values = read_given([f"registry-login=@{path}"], DECLARED)
    assert values["registry-login"].reveal() == "user: pässword"


def test_inner_newlines_are_kept(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "line one\nline two\n\n")
    values = read_given([f"push-key=@{path}"], DECLARED)
    assert values["push-key"].reveal() == "line one\nline two\n"


def test_a_path_may_hold_an_equals_sign(tmp_path: Path) -> None:
    path = tmp_path / "a=b"
    path.write_text("value-of-it")
    path.chmod(0o600)
    assert read_given([f"push-key=@{path}"], DECLARED)["push-key"].reveal() == "value-of-it"


def test_a_descriptor_is_read(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"from a pipe\n")
        os.close(writer)
        values = read_given([f"push-key=@fd:{reader}"], DECLARED)
    finally:
        os.close(reader)
    assert values["push-key"].reveal() == "from a pipe"


def test_a_pipe_named_as_a_file_is_read() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"from a substitution\n")
        os.close(writer)
        values = read_given([f"push-key=@/dev/fd/{reader}"], DECLARED)
    finally:
        os.close(reader)
    assert values["push-key"].reveal() == "from a substitution"


def standard_input(monkeypatch: pytest.MonkeyPatch, path: Path) -> io.TextIOWrapper:
    file = path.open()
    monkeypatch.setattr("sys.stdin", file)
    return file


def test_standard_input_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = secret_file(tmp_path, "from standard input\n")
    with standard_input(monkeypatch, path):
        values = read_given(["push-key=@-"], DECLARED)
        assert values["push-key"].reveal() == "from standard input"
    with standard_input(monkeypatch, path):
        told = refusal_of("push-key=@-", "registry-login=@-")
    assert "one secret only" in told.cause


def test_values_are_masked_from_now_on(tmp_path: Path) -> None:
    read_given([f"push-key=@{secret_file(tmp_path, 'canary-value')}"], DECLARED)
    assert redaction.redact("saw canary-value") == f"saw {redaction.MASK}"


@pytest.mark.parametrize(
    "option", ["push-key=canary-value", "canary-value", "unheard=canary-value", "=canary-value"]
)
def test_a_literal_value_is_refused_without_echo(option: str) -> None:
    told = refusal_of(option)
    assert "canary-value" not in str(told) + told.remedy + "".join(told.evidence)
    assert "never given on the command line" in told.cause
    assert "change it" in told.cause
    assert ("push-key" in told.cause) == option.startswith("push-key")


def test_what_stands_before_a_literal_is_not_repeated_either() -> None:
    assert "canary-value" not in str(refusal_of("canary-value=is the password"))


def test_a_source_without_end_is_read_no_further_than_allowed() -> None:
    assert "larger than 64 KiB" in refusal_of("push-key=@/dev/zero").cause


def test_an_unknown_name_gets_the_nearest_one(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "canary-value")
    assert "did you mean push-key?" in refusal_of(f"push-kye=@{path}").cause
    assert "did you mean" not in refusal_of(f"zzz=@{path}").cause


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "canary-value")
    assert "push-key: given twice" in refusal_of(*[f"push-key=@{path}"] * 2).cause


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("K" * 32, "Fernet key"),
        ("", "empty"),
        ("\n", "empty"),
        (b"\xff\xfe" * 22, "UTF-8"),
        ("A" * (LARGEST_GIVEN + 1), "64 KiB"),
    ],
)
def test_a_value_of_another_form_is_refused_without_echo(
    tmp_path: Path, content: str | bytes, why: str
) -> None:
    told = refusal_of(f"fernet=@{secret_file(tmp_path, content)}")
    assert why in told.cause
    assert "KKKK" not in str(told) + told.remedy + "".join(told.evidence)


def test_a_value_that_is_a_word_of_ours_is_refused(tmp_path: Path) -> None:
    told = refusal_of(f"push-key=@{secret_file(tmp_path, 'registry')}")
    assert "part of a secret's name" in told.cause


def test_a_file_for_all_to_read_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "canary-value", 0o644)
    told = refusal_of(f"push-key=@{path}")
    assert "every user" in told.cause
    path.chmod(0o640)
    assert read_given([f"push-key=@{path}"], DECLARED)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refusal_of(f"push-key=@{tmp_path / 'none'}").cause
    assert "directory" in refusal_of(f"push-key=@{tmp_path}").cause.lower()


@pytest.mark.parametrize("source", ["fd:", "fd:x", "fd:-1", "fd:99999", "fd:²"])
def test_a_descriptor_that_is_none_is_refused(source: str) -> None:
    assert "push-key" in refusal_of(f"push-key=@{source}").cause


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    good = secret_file(tmp_path, "canary-value")
    told = refusal_of(
        f"push-key=@{good}",
        "registry-login=canary-value",
        f"fernet=@{good}",
        f"signing-kee=@{good}",
        f"redis-password=@{tmp_path / 'none'}",
    )
    assert len(told.evidence) == 4
    assert told.title.startswith("4 secrets")
    assert "canary-value" not in str(told) + "".join(told.evidence)
