"""The one door for views: which directory, which cluster, and what is refused at the door."""

import sys
from pathlib import Path

import pytest

from installer.cli import options_from
from installer.core.errors import ExitCode, InstallError
from installer.session import Inputs, Rehearsal, Session, fault_lines, unforeseen
from installer.views import command
from installer.views.options import Options
from installer.wiring import target, workspace
from installer.wiring.target import Target
from tests.unit.wiring.samples import EXAMPLES

SMALL = EXAMPLES / "small.yaml"
EXISTING = EXAMPLES / "existing-cluster.yaml"


def refused(inputs: Inputs) -> InstallError:
    with pytest.raises(InstallError) as found:
        Session.open(inputs)
    return found.value


def installed(folder: Path, goal: Target) -> Path:
    """The directory of an install that has a target."""
    directory = Session.open(Inputs(SMALL, folder, rehearsal=Rehearsal())).directory
    directory.create()
    workspace.adopt_settings(directory, workspace.read_settings(SMALL))
    target.remember(folder, goal)
    return folder


def test_without_settings_there_is_no_install(tmp_path: Path) -> None:
    error = refused(Inputs(directory=tmp_path))
    assert error.code == "NO-INSTALL"
    assert error.exit_code is ExitCode.USAGE
    assert str(tmp_path) in error.cause
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_never_enters_the_directory_of_a_real_install(tmp_path: Path) -> None:
    real = installed(tmp_path / "real", Target(Path("/k"), "prod", cluster_uid="u"))
    error = refused(Inputs(directory=real, rehearsal=Rehearsal()))
    assert error.code == "NOT-A-REHEARSAL"
    assert target.recall(real) == Target(Path("/k"), "prod", cluster_uid="u")


def test_an_unknown_fault_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    error = refused(Inputs(SMALL, tmp_path / "new", rehearsal=Rehearsal(faults=("moon",))))
    assert error.code == "FAULT-UNKNOWN"
    assert "node-lost" in error.cause
    assert not (tmp_path / "new").exists()
    assert any(line.startswith("node-lost") for line in fault_lines())


def test_the_target_is_what_was_asked_for_then_remembered_then_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Session.open(Inputs(SMALL, tmp_path / "a", rehearsal=Rehearsal())).is_rehearsal
    monkeypatch.setattr("installer.session.check_directory", lambda _: None)
    assert Session.open(Inputs(SMALL, tmp_path / "a")).target is None

    of_settings = Session.open(Inputs(EXISTING, tmp_path / "b")).target
    assert of_settings is not None
    assert of_settings.kubeconfig == tmp_path / ".kube" / "prod.yaml"

    given = tmp_path / "given"
    asked = Session.open(Inputs(EXISTING, tmp_path / "b", given, "ctx")).target
    assert asked == Target(given, "ctx")

    kept = Target(Path("/kept"), "prod", cluster_uid="u")
    real = installed(tmp_path / "c", kept)
    assert Session.open(Inputs(directory=real)).target == kept
    again = Session.open(Inputs(directory=real, kubeconfig=given)).target
    assert again == Target(given, "", cluster_uid="u")  # another file, the same cluster


def test_a_rehearsal_is_remembered_and_calmed_by_a_resume_without_options(tmp_path: Path) -> None:
    faulty = Rehearsal(50.0, ("node-lost",))
    folder = installed(tmp_path / "r", Target(Path("/k"), rehearsal=faulty))
    session = Session.open(Inputs(directory=folder))
    session.calm()
    assert session.target is not None
    assert session.target.rehearsal == Rehearsal(50.0)
    asked_again = Session.open(Inputs(directory=folder, rehearsal=faulty))
    asked_again.calm()
    assert asked_again.target is not None
    assert asked_again.target.rehearsal == faulty


def test_another_server_is_refused_in_the_directory_of_an_install(tmp_path: Path) -> None:
    """Before anything is planned, let alone written."""
    folder = installed(tmp_path / "i", Target(Path("/k"), rehearsal=Rehearsal()))
    (folder / "journal" / "run-0001.jsonl").touch()
    other = tmp_path / "other.yaml"
    other.write_text(SMALL.read_text().replace("example.org", "other.example"))
    before = (folder / "settings.yaml").read_bytes()
    with pytest.raises(InstallError) as found:
        Session.open(Inputs(other, folder, rehearsal=Rehearsal()))
    assert found.value.code == "IDENTITY-FIXED"
    assert (folder / "settings.yaml").read_bytes() == before
    assert not (folder / "secrets.age").exists()


async def test_without_a_target_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installer.session.check_directory", lambda _: None)
    session = Session.open(Inputs(SMALL, tmp_path / "new"))
    session.unlock("five words that nobody guesses")
    with pytest.raises(InstallError) as found:
        await session.establish()
    assert found.value.code == "TARGET-UNKNOWN"
    assert not (tmp_path / "new").exists()


def test_nothing_can_be_resumed_where_nothing_began(tmp_path: Path) -> None:
    folder = installed(tmp_path / "i", Target(Path("/k"), rehearsal=Rehearsal()))
    with pytest.raises(InstallError) as found:
        Session.open(Inputs(directory=folder)).interrupted()
    assert found.value.code == "NOTHING-TO-RESUME"


@pytest.mark.parametrize("directory", [True, False])
def test_a_defect_is_reported_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    error = unforeseen(tmp_path if directory else None, KeyError("a secret word"))
    assert error.code == "INTERNAL"
    assert error.exit_code is ExitCode.INTERNAL
    assert "secret word" not in f"{error} {error.remedy}"
    (report,) = tmp_path.rglob("*.txt")
    assert str(report) in error.remedy
    assert report.stat().st_mode & 0o077 == 0


def test_a_defect_in_a_view_ends_in_words_and_not_in_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(options: Options, _: object) -> ExitCode:
        raise KeyError(options.action)

    monkeypatch.setattr(command, "_act", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = command.run(options_from(["--plan"]), sys.stdout, sys.stderr)
    told = capsys.readouterr()
    assert code is ExitCode.INTERNAL
    assert told.err.startswith("INTERNAL")
    assert "Traceback" not in told.err
