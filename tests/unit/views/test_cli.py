"""Arguments become options; the manual and ``--help`` name the same ones."""

import re
from pathlib import Path

import pytest

from installer.cli import options_from, parser
from installer.core.errors import ExitCode

MANUAL = Path(__file__).parents[3] / "docs" / "cli.md"


def option_names() -> set[str]:
    return {
        name
        for action in parser()._actions
        for name in action.option_strings
        if name.startswith("--")
    }


def test_the_manual_names_every_option_and_no_other() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`--.+?`(?:, `--.+?`)*) \| ", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"--[a-z-]+", row)}
    assert named == option_names()


def test_the_manual_names_every_exit_code() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", text, re.MULTILINE)
    assert {(int(number), name) for number, name in rows} == {(c.value, c.name) for c in ExitCode}


def test_no_action_means_install() -> None:
    assert options_from([]).action == "install"


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (["--resume"], "resume"),
        (["--plan"], "plan"),
        (["--schema"], "schema"),
        (["--render", "x"], "render"),
        (["--uninstall"], "uninstall"),
        (["--rehearse", "--rehearse-fault", "list"], "faults"),
    ],
)
def test_each_action_has_its_words(words: list[str], action: str) -> None:
    assert options_from(words).action == action


def test_uninstall_keeps_data_unless_told_otherwise() -> None:
    assert options_from(["--uninstall"]).uninstall_mode == "keep-data"
    assert options_from(["--uninstall", "destroy"]).uninstall_mode == "destroy"


@pytest.mark.parametrize(
    "words",
    [
        ["--resume", "--plan"],
        ["--plain", "--json"],
        ["--uninstall", "all"],
        ["--rehearse-speed", "0"],
        ["--rehearse-speed", "fast"],
        ["--ye"],
        ["stray"],
    ],
)
def test_wrong_words_end_with_the_usage_code(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        options_from(words)
    assert ended.value.code == ExitCode.USAGE
    assert "usage:" in capsys.readouterr().err
