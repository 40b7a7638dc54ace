"""What is quick to ask must not wait for libraries that it does not use."""

import subprocess
import sys

import pytest

HEAVY = (
    "pydantic",
    "paramiko",
    "kubernetes",
    "httpx",
    "jinja2",
    "yaml",
    "textual",
    "cryptography",
    "pyrage",
)
_TELL = "import sys; print('\\nLOADED', *sorted(name for name in sys.modules if '.' not in name))"


def loaded_after(code: str) -> set[str]:
    """Top-level modules in ``sys.modules`` at the end of a fresh interpreter that ran the code."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_TELL}"],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return set(ran.stdout.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option: str) -> None:
    code = f"""
import installer.cli
try:
    installer.cli.main([{option!r}])
except SystemExit as ended:
    assert ended.code == 0
else:
    raise AssertionError("did not end")
"""
    loaded = loaded_after(code)
    assert "installer" in loaded
    assert loaded & set(HEAVY) == set()


def test_wrong_words_are_refused_before_anything_heavy_is_loaded() -> None:
    code = """
import installer.cli
try:
    installer.cli.main(["--no-such-option"])
except SystemExit as ended:
    assert ended.code == 2
"""
    assert loaded_after(code) & set(HEAVY) == set()


@pytest.mark.parametrize("module", ["installer.engine.process", "installer.engine.client"])
def test_the_engine_itself_knows_no_far_end(module: str) -> None:
    assert loaded_after(f"import {module}") & set(HEAVY) == set()


def test_what_is_looked_for_is_what_a_real_run_loads() -> None:
    """So that a renamed package does not let these tests pass for nothing."""
    loaded = loaded_after("import installer.session")
    assert {"pydantic", "httpx", "jinja2", "yaml"} <= loaded & set(HEAVY)
