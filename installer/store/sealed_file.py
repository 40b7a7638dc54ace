"""The sealed file on disk: replaced whole, never lost, its damage told from a wrong key.

Three files lie beside each other, all 0600:

* ``secrets.age``: the current version;
* ``secrets.age.previous``: the version before, for the operator;
* ``secrets.age.sum``: SHA-256 of the encrypted bytes that may be current, one a line. It is
  written before the file it describes, with both the new and the old sum, so that whichever
  version a crash leaves is known. age cannot tell a wrong passphrase from a damaged header; the
  sum can. A file that opens is accepted whatever its sum: the operator may have sealed it anew.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from installer.core.errors import ExitCode, InstallError

LARGEST = 16 * 1024 * 1024  # bytes
NO_FILE = ""  # stands for the checksum where there is no file yet


class SealedFile:
    """Reads and replaces one sealed file. One process at a time: the directory's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.previous = path.with_name(path.name + ".previous")
        self.sums = path.with_name(path.name + ".sum")
        self._staged = path.with_name(path.name + ".new")

    def exists(self) -> bool:
        return self.path.exists()

    def left_traces(self) -> bool:
        """Was there a sealed file here once, although none is here now?"""
        return not self.exists() and (self.previous.exists() or self.sums.exists())

    def read(self) -> bytes:
        """The encrypted bytes. Raises InstallError SECRETS-UNREADABLE."""
        try:
            with self.path.open("rb") as file:
                return file.read(LARGEST)
        except OSError as error:
            raise InstallError(
                code="SECRETS-UNREADABLE",
                title="The sealed secrets cannot be read",
                cause=f"{self.path}: {error.strerror}",
                remedy="Make the file readable for the user who runs this, and try again.",
                retryable=True,
                exit_code=ExitCode.SECRETS,
            ) from None

    def is_as_written(self, data: bytes) -> bool | None:
        """Does the recorded sum agree? None when no sum was recorded (a restored backup)."""
        try:
            sums = self.sums.read_text(errors="replace").split()
        except OSError:
            return None
        return checksum(data) in sums

    def replace(self, data: bytes, *, expected: Collection[str]) -> None:
        """Puts ``data`` in place of a version with one of the expected checksums; NO_FILE among
        them allows the first version.

        A crash at any point leaves the old or the new version, whole. Raises InstallError:
        SECRETS-CHANGED when another version is there, SECRETS-NOT-WRITTEN when the disk refuses.
        """
        current = self.read() if self.exists() else b""
        found = checksum(current) if self.exists() else NO_FILE
        if found not in expected:
            raise InstallError(
                code="SECRETS-CHANGED",
                title="The sealed secrets were changed by somebody else",
                cause=f"{self.path} is not the version that was opened",
                remedy="Start again; the other version is kept as it is.",
                exit_code=ExitCode.SECRETS,
            )
        try:
            known = [checksum(data)] if found is NO_FILE else [checksum(data), found]
            self._put(self.sums, "".join(f"{line}\n" for line in known).encode())
            if found is not NO_FILE:
                self._put(self.previous, current)
            self._put(self.path, data)
        except OSError as error:
            raise InstallError(
                code="SECRETS-NOT-WRITTEN",
                title="The sealed secrets could not be written",
                cause=f"{self.path}: {error.strerror}",
                remedy="Make room or mend the disk, then try again; the version before is intact.",
                retryable=True,
                exit_code=ExitCode.SECRETS,
            ) from None

    def _put(self, target: Path, data: bytes) -> None:
        self._staged.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._staged, flags, 0o600)
        try:
            try:
                with os.fdopen(descriptor, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(self._staged, target)
        except OSError:
            self._staged.unlink(missing_ok=True)
            raise
        self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def checksum(data: bytes) -> str:
    """SHA-256 of encrypted bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
