"""The chores: what a newcomer's first minutes depend on."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
LOCKS = ("run", "dev")


def lock_entries(name: str) -> dict[str, list[str]]:
    """Package to its hashes, out of requirements/NAME.txt."""
    text = (TOP / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            package = re.match(r"([A-Za-z0-9._-]+)==\S+", line)
            assert package, line
            found[package[1].lower()] = re.findall(r"--hash=sha256:[0-9a-f]{64}", line)
    return found


def run(
    *command: str, path: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Runs a chore with programs of ``path`` before the others."""
    search = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=TOP,
        env={**os.environ, "PATH": search, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def stub(folder: Path, name: str, body: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_hashes(name: str) -> None:
    entries = lock_entries(name)
    assert len(entries) > 20
    assert [package for package, hashes in entries.items() if not hashes] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host_and_no_folder(name: str) -> None:
    for line in (TOP / "requirements" / f"{name}.txt").read_text().splitlines():
        if not line.lstrip().startswith("#"):
            assert "://" not in line
            assert "--find-links" not in line
            assert "--index" not in line
            assert " @ " not in line


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in project["dependencies"]}  # type: ignore[index]  # every requirement begins with a name
    for line in (TOP / "requirements" / "dev.in").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.split(r"[>=<]", line)[0].lower() in lock_entries("dev")
    assert wanted <= set(lock_entries("run"))
    assert set(lock_entries("run")) <= set(lock_entries("dev"))


def test_help_names_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert phony
    told = run("make", "--no-print-directory", "help").stdout
    assert re.findall(r"^make ([a-z-]+) ", told, re.MULTILINE) == phony[1].split()


def test_the_build_server_runs_every_rung_even_after_a_failure(tmp_path: Path) -> None:
    stub(tmp_path, "make", 'echo "rung $1 CI=$CI"; read line && exit 9; [ "$1" != test ]')
    done = run(".ci/run", path=tmp_path)
    assert re.findall(r"^rung (\S+) CI=true$", done.stdout, re.MULTILINE) == [
        "check", "test", "test-truth", "test-cluster",
    ]  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.endswith("failed: make test\n")


def test_the_build_server_passes_when_all_rungs_do(tmp_path: Path) -> None:
    stub(tmp_path, "make", "exit 0")
    assert run(".ci/run", path=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('[ "$1" = -V ] && echo "Python 3.9.2"', "Python 3.11, 3.12 or 3.13 is needed"),
        (
            f'case "$*" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"',
            "apt-get install python3-venv",
        ),
    ],
)
def test_a_python_that_will_not_do_is_told_in_one_line(
    tmp_path: Path, body: str, words: str
) -> None:
    # A copy of the project's chores, so that the environment in use stays as it is.
    for name in ("scripts", "requirements"):
        (tmp_path / name).mkdir()
    for name in ("scripts/venv", "requirements/run.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((TOP / name).read_bytes())
    (tmp_path / "scripts" / "venv").chmod(0o755)
    stub(tmp_path, "some-python", body)
    done = run(str(tmp_path / "scripts" / "venv"), "run", PYTHON=str(tmp_path / "some-python"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_without_root_the_missing_packages_are_one_apt_line(tmp_path: Path) -> None:
    stub(tmp_path, "id", "echo 1000")
    stub(tmp_path, "dpkg-query", '[ "$4" = here ] && echo installed')
    stub(tmp_path, "apt-get", "exit 9")
    (tmp_path / "list.txt").write_text("# why\nhere\ngone\nlost\n")
    done = run("scripts/debian-packages", str(tmp_path / "list.txt"), path=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "The tests need Debian packages that are not here: "
        "apt-get install --no-install-recommends gone lost\n"
    )


def test_nothing_is_installed_when_nothing_is_missing(tmp_path: Path) -> None:
    stub(tmp_path, "dpkg-query", "echo installed")
    stub(tmp_path, "apt-get", "exit 9")
    (tmp_path / "list.txt").write_text("here\n")
    done = run("scripts/debian-packages", str(tmp_path / "list.txt"), path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_wheel_holds_the_code_its_templates_and_its_license(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    listed = subprocess.run(
        ["git", "ls-files", "installer", "manifests"],
        cwd=TOP, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert set(listed) <= set(names)
    assert any(name.endswith(".j2") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "scripts/")) for name in names)
