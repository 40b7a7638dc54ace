"""What seals a rehearsal's secrets: an age identity, made once and kept beside them. Nothing there
is worth sealing; so a rehearsal runs, resumes and repeats without being asked for a passphrase."""

import os

from installer.store.directory import InstallDirectory
from installer.store.sealed_key import Recipients, new_identity, own_recipients, read_identity_file

FILE_NAME = "rehearsal.identity"


def rehearsal_key(directory: InstallDirectory) -> Recipients:
    """Reads it, or makes it (0600) where there is none yet. The directory must exist."""
    path = directory.root / FILE_NAME
    if not path.exists():
        made = new_identity()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(made.identities[0].reveal() + "\n")
    identities = read_identity_file(path).identities
    return Recipients(own_recipients(identities), identities)
