"""The directory of an install: choosing, making, and the places that are refused."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from installer.core.errors import InstallError
from installer.store.directory import (
    InstallDirectory,
    check_directory,
    choose_directory,
    filesystem_of,
    git_ignores,
    installs_below,
)

LINE = "{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} {source} rw\n"


def mounts(folder: Path, *entries: tuple[str, str, str]) -> Path:
    """A mountinfo file: point, type, source; the root is ext4."""
    path = folder / "mountinfo"
    all_of = [("/", "ext4", "/dev/sda1"), *entries]
    path.write_text(
        "".join(
            LINE.format(number=number, point=point, kind=kind, source=source)
            for number, (point, kind, source) in enumerate(all_of)
        )
    )
    return path


def refused(root: Path, **options: object) -> InstallError:
    with pytest.raises(InstallError) as caught:
        check_directory(root, **options)  # type: ignore[arg-type]  # named options of each case
    assert caught.value.code == "DIRECTORY-UNUSABLE"
    return caught.value


def git(*words: str, cwd: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *words], cwd=cwd, env=environment, check=True, capture_output=True)


def test_a_wanted_directory_is_taken(tmp_path: Path) -> None:
    assert choose_directory(Path("x"), "id", current=tmp_path).root == tmp_path / "x"
    assert choose_directory(tmp_path, "id").root == tmp_path


def test_without_an_id_it_is_the_only_install_below(tmp_path: Path) -> None:
    assert choose_directory(None, "", current=tmp_path).root == tmp_path
    (tmp_path / "install-empty").mkdir()
    assert choose_directory(None, "", current=tmp_path).root == tmp_path
    for name in ("chat", "other"):
        (tmp_path / f"install-{name}").mkdir()
        (tmp_path / f"install-{name}" / "target.json").write_text("{}")
        only = name == "chat"
        expected = tmp_path / "install-chat" if only else tmp_path
        assert choose_directory(None, "", current=tmp_path).root == expected
    assert [found.root.name for found in installs_below(tmp_path)] == [
        "install-chat",
        "install-other",
    ]
    assert choose_directory(None, "third", current=tmp_path).root == tmp_path / "install-third"


def test_the_current_directory_is_taken_when_it_holds_an_install(tmp_path: Path) -> None:
    assert choose_directory(None, "chat", current=tmp_path).root == tmp_path / "install-chat"
    (tmp_path / "settings.yaml").write_text("version: 1\n")
    assert choose_directory(None, "chat", current=tmp_path).root == tmp_path / "install-chat"
    (tmp_path / "journal").mkdir()
    assert choose_directory(None, "chat", current=tmp_path).root == tmp_path
    (tmp_path / "settings.yaml").unlink()
    assert choose_directory(None, "chat", current=tmp_path).root == tmp_path / "install-chat"
    (tmp_path / "secrets.age").write_text("x")
    assert choose_directory(None, "chat", current=tmp_path).root == tmp_path


def test_choosing_makes_nothing(tmp_path: Path) -> None:
    choose_directory(None, "chat", current=tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_is_made_is_private_under_any_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        InstallDirectory(tmp_path / "a" / "b").create()
    finally:
        os.umask(old)
    for folder in ("a", "a/b", "a/b/journal", "a/b/logs", "a/b/reports", "a/b/scratch"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_modes_of_what_exists_are_never_changed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    tmp_path.chmod(0o750)
    InstallDirectory(tmp_path).create()
    InstallDirectory(tmp_path).create()
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o755
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_file_in_the_way_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("")
    with pytest.raises(InstallError, match="journal: not a directory") as caught:
        InstallDirectory(tmp_path).create()
    assert caught.value.remedy


def test_a_local_disk_is_accepted(tmp_path: Path) -> None:
    check_directory(tmp_path / "new" / "er", mounts=mounts(tmp_path), ignored=lambda path: None)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    table = mounts(tmp_path, (str(tmp_path), kind, "filer:/export"))
    error = refused(tmp_path / "new", mounts=table)
    assert "filer:/export" in error.cause
    assert kind in error.cause
    assert "--dir" in error.remedy


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_memory_is_refused(tmp_path: Path, kind: str) -> None:
    error = refused(tmp_path, mounts=mounts(tmp_path, (str(tmp_path), kind, "none")))
    assert "reboot" in error.cause


def test_the_innermost_and_latest_mount_counts(tmp_path: Path) -> None:
    inner = tmp_path / "with blank" / "inner"
    inner.mkdir(parents=True)
    escaped = str(tmp_path / "with blank").replace(" ", "\\040")
    table = mounts(
        tmp_path,
        (escaped, "tmpfs", "none"),
        (str(tmp_path / "with"), "nfs", "x:/y"),
        (escaped, "xfs", "/dev/sdb1"),
    )
    assert filesystem_of(inner, table) == ("xfs", "/dev/sdb1")
    assert filesystem_of(tmp_path, table) == ("ext4", "/dev/sda1")


def test_a_link_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    table = mounts(tmp_path, (str(tmp_path / "far"), "nfs", "x:/y"))
    refused(tmp_path / "link" / "new", mounts=table)


def test_this_machine_s_own_table_is_understood(tmp_path: Path) -> None:
    done = subprocess.run(
        ["df", "--output=fstype", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert filesystem_of(tmp_path)[0] == done.stdout.split()[-1]


def test_a_git_work_tree_that_does_not_ignore_it_is_refused(tmp_path: Path) -> None:
    git("init", "--quiet", cwd=tmp_path)
    table = mounts(tmp_path)
    error = refused(tmp_path / "install-x", mounts=table)
    assert "/install-x/" in error.remedy
    refused(tmp_path, mounts=table)
    (tmp_path / ".gitignore").write_text("/install-x/\n")
    check_directory(tmp_path / "install-x", mounts=table)
    check_directory(tmp_path / "install-x" / "deeper", mounts=table)
    refused(tmp_path / "install-y", mounts=table)


def test_a_work_tree_that_ignores_single_files_only_is_refused(tmp_path: Path) -> None:
    git("init", "--quiet", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("secrets.age\nany-file\n")
    refused(tmp_path, mounts=mounts(tmp_path))
    (tmp_path / ".gitignore").write_text("secrets.age\n")
    refused(tmp_path / "install-x", mounts=mounts(tmp_path))


def test_outside_of_any_work_tree_git_has_no_say(tmp_path: Path) -> None:
    assert git_ignores(tmp_path / "new") is None


def test_without_the_git_program_a_work_tree_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_ignores(tmp_path / "new") is False


def test_a_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o770)
    error = refused(place, mounts=mounts(tmp_path), ignored=lambda path: None)
    assert "0770" in error.cause
    assert stat.S_IMODE(place.stat().st_mode) == 0o770


def test_a_directory_of_one_s_own_is_accepted_whatever_others_may_read(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    check_directory(place, mounts=mounts(tmp_path), ignored=lambda path: True)


def test_a_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    error = refused(tmp_path, mounts=mounts(tmp_path), ignored=lambda path: None)
    assert f"belongs to user {owner}" in error.cause


def test_lines_of_the_mount_table_that_are_not_understood_are_passed_over(tmp_path: Path) -> None:
    table = mounts(tmp_path, (str(tmp_path), "xfs", "/dev/sdb1"))
    table.write_text(table.read_text() + "\nnonsense\n1 2 - x\n")
    assert filesystem_of(tmp_path, table) == ("xfs", "/dev/sdb1")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = refused(tmp_path / "file", mounts=mounts(tmp_path), ignored=lambda path: None)
    assert "not a directory" in error.cause


def test_every_name_lies_within(tmp_path: Path) -> None:
    directory = InstallDirectory(tmp_path)
    names = [n for n in vars(InstallDirectory) if isinstance(vars(InstallDirectory)[n], property)]
    found = {getattr(directory, name).relative_to(tmp_path).as_posix() for name in names}
    assert found == {
        "settings.yaml", "secrets.age", "journal", "known_hosts", "kubeconfig", "rendered", "logs",
        "reports", "engine.sock", "lock", "scratch",
    }  # fmt: skip
