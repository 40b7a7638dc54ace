"""The passphrase of a rehearsal's secrets: made once and kept beside them, as nothing there is
worth sealing; so a rehearsal runs, resumes and repeats without being asked for one."""

import os
import secrets

from installer.store.directory import InstallDirectory
from installer.store.sealed_key import SealKey, read_passphrase_file

FILE_NAME = "rehearsal.passphrase"


def rehearsal_key(directory: InstallDirectory) -> SealKey:
    """Reads it, or makes it (0600) where there is none yet. The directory must exist."""
    path = directory.root / FILE_NAME
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_urlsafe(24) + "\n")
    return read_passphrase_file(path)
