"""Replacing the sealed file: whatever interrupts it, one whole version is there and known."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from installer.core.errors import InstallError
from installer.store.sealed import FILE_NAME
from installer.store.sealed_file import NO_FILE, SealedFile, checksum

OLD, NEW = b"old version", b"new version"
CALLS = ("open", "fsync", "rename")


class Interrupted(BaseException):
    """The process is gone at this point; nothing of ours runs after it."""


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    return SealedFile(tmp_path / FILE_NAME)


def fail_at(
    monkeypatch: pytest.MonkeyPatch, count: int, make_error: Callable[[], BaseException]
) -> list[str]:
    """Lets the ``count``-th call to the disk fail before it does anything; lists calls made."""
    made: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(made) == count:
                raise make_error()
            made.append(name)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    return made


def calls_of_a_replacement(file: SealedFile, monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as patch:
        made = fail_at(patch, -1, Interrupted)
        file.replace(OLD, expected={NO_FILE})
        first = len(made)
        file.replace(NEW, expected={checksum(OLD)})
        return len(made) - first


def test_a_crash_at_any_call_leaves_one_whole_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counted").mkdir()
    total = calls_of_a_replacement(SealedFile(tmp_path / "counted" / FILE_NAME), monkeypatch)
    assert total >= 12  # three files, each opened, synced, renamed, and its directory synced
    seen = set()
    for count in range(total):
        directory = tmp_path / str(count)
        directory.mkdir()
        file = SealedFile(directory / FILE_NAME)
        file.replace(OLD, expected={NO_FILE})
        with monkeypatch.context() as patch:
            fail_at(patch, count, Interrupted)
            with pytest.raises(Interrupted):
                file.replace(NEW, expected={checksum(OLD)})
        left = file.read()
        seen.add(left)
        assert left in (OLD, NEW)
        assert file.is_as_written(left)
        file.replace(b"third", expected={checksum(left)})
        assert file.read() == b"third"
        assert file.previous.read_bytes() == left
        names = {entry.name for entry in directory.iterdir()}
        assert names == {FILE_NAME, f"{FILE_NAME}.previous", f"{FILE_NAME}.sum"}
    assert seen == {OLD, NEW}


def test_a_crash_at_the_very_first_write_leaves_no_half_file(
    file: SealedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in range(7):
        with monkeypatch.context() as patch:
            fail_at(patch, count, Interrupted)
            with pytest.raises(Interrupted):
                file.replace(OLD, expected={NO_FILE})
        assert not file.exists() or file.read() == OLD
        file.path.unlink(missing_ok=True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_is_told_and_the_old_version_stays(
    file: SealedFile, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file.replace(OLD, expected={NO_FILE})
    for count in range(13):  # up to and with the last rename
        with monkeypatch.context() as patch:
            fail_at(patch, count, lambda: OSError(number, os.strerror(number)))
            with pytest.raises(InstallError, match="SECRETS-NOT-WRITTEN"):
                file.replace(NEW, expected={checksum(OLD)})
        assert file.read() == OLD
        assert file.is_as_written(OLD)


def test_the_file_is_synced_before_it_takes_its_place_and_the_directory_after(
    file: SealedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        made = fail_at(patch, -1, Interrupted)
        file.replace(OLD, expected={NO_FILE})
    assert made == ["open", "fsync", "rename", "open", "fsync"] * 2


def test_a_version_that_was_not_opened_is_never_replaced(file: SealedFile) -> None:
    file.replace(OLD, expected={NO_FILE})
    for expected in (NO_FILE, checksum(b"another")):
        with pytest.raises(InstallError, match="SECRETS-CHANGED"):
            file.replace(NEW, expected={expected})
        assert file.read() == OLD
    file.path.unlink()
    with pytest.raises(InstallError, match="SECRETS-CHANGED"):
        file.replace(NEW, expected={checksum(OLD)})
    assert not file.exists()


def test_a_link_planted_at_the_staging_name_is_not_followed(
    file: SealedFile, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / f"{FILE_NAME}.new").symlink_to(victim)
    file.replace(OLD, expected={NO_FILE})
    assert victim.read_text() == "untouched"
    assert file.read() == OLD
    assert not file.path.is_symlink()
