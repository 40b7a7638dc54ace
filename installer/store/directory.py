"""The directory of one install: its files, and the places where it may not lie.

Locks, fdatasync and file modes must mean what they say there. NFS gives none of these reliably,
tmpfs forgets all of it at a reboot, and a git work tree that does not ignore the directory ends up
with the sealed secrets in somebody's history.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from installer.core.errors import ExitCode, InstallError

PRIVATE_DIRECTORY = 0o700
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class InstallDirectory:
    """Names of what an install keeps; nothing is made or read by asking for a name."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "settings.yaml"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.age"

    @property
    def journal(self) -> Path:
        """Folder with one file for each run."""
        return self.root / "journal"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def rendered(self) -> Path:
        return self.root / "rendered"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def socket(self) -> Path:
        return self.root / "engine.sock"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def scratch(self) -> Path:
        """Short-lived private files: key files that a client library insists on. Wiped."""
        return self.root / "scratch"

    def holds_install(self) -> bool:
        """Whether an install was begun here; neither a settings file nor a folder called journal
        makes one by itself."""
        begun = self.settings.exists() and self.journal.is_dir()
        return begun or self.secrets.exists() or (self.root / "target.json").exists()

    def create(self) -> None:
        """Makes the directory and its folders, 0700; what exists keeps its mode.

        Raises InstallError DIRECTORY-UNUSABLE.
        """
        try:
            for folder in (self.root, self.journal, self.logs, self.reports, self.scratch):
                _make_private(folder)
        except OSError as error:
            raise _unusable(
                f"{error.filename or self.root}: {error.strerror or error}",
                "Choose another directory with --dir, or mend its owner and mode.",
            ) from error


def choose_directory(
    wanted: Path | None, install_id: str, *, current: Path | None = None
) -> InstallDirectory:
    """Where the install lives: as wanted, else here if one is here, else ``install-<id>`` here.

    Without an id it is the only install below this directory; where there are none or several it
    is this directory, which holds none.

    Only chooses: :meth:`InstallDirectory.create` makes it, after it was named in the plan.
    """
    here = (Path.cwd() if current is None else current).absolute()
    if wanted is not None:
        return InstallDirectory((here / wanted.expanduser()).absolute())
    if InstallDirectory(here).holds_install():
        return InstallDirectory(here)
    if install_id:
        return InstallDirectory(here / f"install-{install_id}")
    below = installs_below(here)
    return below[0] if len(below) == 1 else InstallDirectory(here)


def installs_below(root: Path) -> tuple[InstallDirectory, ...]:
    """The installs that :func:`choose_directory` made in a directory, by name."""
    found = (InstallDirectory(path) for path in sorted(root.glob("install-*")))
    return tuple(directory for directory in found if directory.holds_install())


def check_directory(
    root: Path, *, mounts: Path = MOUNTS, ignored: Callable[[Path], bool | None] | None = None
) -> None:
    """Refuses places where an install for a real target would not be safe.

    Not called for a rehearsal. ``ignored`` says for a path whether git ignores it, None when it
    lies in no work tree. Raises InstallError DIRECTORY-UNUSABLE; writes nothing.
    """
    place = _nearest(root)
    kind, source = filesystem_of(place, mounts)
    if kind in _NETWORK:
        raise _unusable(
            f"{root} lies on {source}, a network file system ({kind}): locks and writes that must "
            "be on disk before the next step cannot be trusted there.",
            "Choose a directory on a local disk with --dir.",
        )
    if kind in _MEMORY:
        raise _unusable(
            f"{root} lies on {kind}, in memory: the next reboot of this machine would lose the "
            "secrets and all knowledge of the install.",
            "Choose a directory on a local disk with --dir.",
        )
    if (git_ignores if ignored is None else ignored)(root) is False:
        raise _unusable(
            f"{root} lies in a git work tree that does not ignore it: settings and sealed secrets "
            "would be committed.",
            f"Choose a directory outside with --dir, or add /{root.name}/ to the .gitignore.",
        )
    if root.exists():
        _check_owner(root)


def filesystem_of(path: Path, mounts: Path = MOUNTS) -> tuple[str, str]:
    """Type and source of the file system that holds an existing path; empty when not known.

    Source of the format: proc_pid_mountinfo(5). The last mount on the longest mount point counts,
    as a later one hides what was there.
    """
    real = path.resolve()
    best: tuple[int, str, str] = (-1, "", "")
    with contextlib.suppress(OSError):
        for line in mounts.read_text(errors="surrogateescape").splitlines():
            before, _, after = line.partition(" - ")
            fields, rest = before.split(" "), after.split(" ")
            if len(fields) < 5 or len(rest) < 2:
                continue
            point = Path(_unescaped(fields[4]))
            depth = len(point.parts)
            if (point == real or point in real.parents) and depth >= best[0]:
                best = (depth, rest[0], _unescaped(rest[1]))
    return best[1], best[2]


def git_ignores(path: Path) -> bool | None:
    """Whether the work tree around ``path`` ignores it; None when it lies in none.

    Without the git program a work tree counts as one that does not ignore the path, unless
    ``path`` is not inside any.
    """
    real = _nearest(path).resolve() / path.absolute().relative_to(_nearest(path).absolute())
    tree = next((p for p in (real, *real.parents) if (p / ".git").exists()), None)
    if tree is None:
        return None
    if real == tree:
        return False
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), "check-ignore", "--quiet", "--", f"{real}/any-file"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    absolute = path.absolute()
    return next(p for p in (absolute, *absolute.parents) if p.exists())


def _unescaped(text: str) -> str:
    """Blanks in mount points are written as ``\\040``, likewise tab, line feed and backslash."""
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{code}", character)
    return text


def _make_private(folder: Path) -> None:
    for step in _missing(folder):
        with contextlib.suppress(FileExistsError):
            step.mkdir(mode=PRIVATE_DIRECTORY)
    if not folder.is_dir():
        raise NotADirectoryError(20, "not a directory", str(folder))


def _missing(folder: Path) -> Iterable[Path]:
    steps = [folder, *folder.parents]
    return reversed([step for step in steps if not step.exists()])


def _check_owner(root: Path) -> None:
    facts = root.stat()
    if not root.is_dir():
        raise _unusable(f"{root} is not a directory.", "Choose another one with --dir.")
    if facts.st_uid != os.geteuid():
        raise _unusable(
            f"{root} belongs to user {facts.st_uid}, and this is user {os.geteuid()}.",
            "Run as its owner, or choose another directory with --dir.",
        )
    if facts.st_mode & 0o022:
        raise _unusable(
            f"{root} may be written by others (mode {facts.st_mode & 0o777:04o}).",
            f"chmod go-w {root}, after a look at what is in it; or another one with --dir.",
        )


def _unusable(cause: str, remedy: str) -> InstallError:
    return InstallError(
        code="DIRECTORY-UNUSABLE",
        title="The install cannot live in this directory",
        cause=cause,
        remedy=remedy,
        retryable=True,
        exit_code=ExitCode.REFUSED,
    )
