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
from collections.abc import Collection
from pathlib import Path

from installer.core.errors import ExitCode, InstallError
from installer.store.atomic import write_privately

LARGEST = 16 * 1024 * 1024  # bytes
NO_FILE = ""  # stands for the checksum where there is no file yet


class SealedFile:
    """Reads and replaces one sealed file. One process at a time: the directory's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.previous = path.with_name(path.name + ".previous")
        self.sums = path.with_name(path.name + ".sum")

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
            write_privately(self.sums, "".join(f"{line}\n" for line in known).encode())
            if found is not NO_FILE:
                write_privately(self.previous, current)
            write_privately(self.path, data)
        except OSError as error:
            raise InstallError(
                code="SECRETS-NOT-WRITTEN",
                title="The sealed secrets could not be written",
                cause=f"{self.path}: {error.strerror}",
                remedy="Make room or mend the disk, then try again; the version before is intact.",
                retryable=True,
                exit_code=ExitCode.SECRETS,
            ) from None


def checksum(data: bytes) -> str:
    """SHA-256 of encrypted bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
