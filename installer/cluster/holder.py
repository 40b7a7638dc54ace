"""Who holds a lock of the cluster: a process on a machine, at work for an install directory."""

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ANNOTATION_HOLDER = "matrix-install.io/holder"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTED_FIELD = 19  # of /proc/PID/stat after the closing bracket: start time in clock ticks


@dataclass(frozen=True)
class Holder:
    """``boot`` and ``pid_namespace`` say for which processes ``pid`` means anything;
    ``started`` (clock ticks since boot) tells a pid from its later reuse; ``directory`` is the
    install directory's device and inode."""

    user: str
    host: str
    pid: int
    run: str
    install_uid: str
    boot: str
    pid_namespace: str
    started: str
    directory: str

    @classmethod
    def here(cls, directory: Path, *, run: str, install_uid: str) -> "Holder":
        """This process."""
        place = directory.stat()
        return cls(
            user=_user(),
            host=socket.gethostname(),
            pid=os.getpid(),
            run=run,
            install_uid=install_uid,
            boot=_BOOT_ID.read_text().strip(),
            pid_namespace=os.readlink("/proc/self/ns/pid"),
            started=_started(os.getpid()),
            directory=f"{place.st_dev}:{place.st_ino}",
        )

    @classmethod
    def parse(cls, text: str) -> "Holder | None":
        """What ``text`` (the annotation) says; None where it is not ours to read."""
        try:
            data = json.loads(text)
        except ValueError:
            return None
        names = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping) or not names <= set(data):
            return None
        return cls(**{name: data[name] for name in names})

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def identity(self) -> str:
        """For the Lease's holderIdentity, read by people."""
        return f"{self.user}@{self.host} pid {self.pid} run {self.run} install {self.install_uid}"

    def is_predecessor_of(self, other: "Holder") -> bool:
        """Whether this holder can no longer act, and ``other`` inherits what it held.

        Only where all of it is certain: same install, same directory (whose flock ``other``
        holds, so that no third process is between), same boot of the same machine and the same
        view of its processes, and the process is gone. After a reboot, or from a copy of the
        directory, the lease is waited out instead: a cloned machine looks the same.
        """
        same_place = (
            self.install_uid == other.install_uid
            and self.directory == other.directory
            and self.boot == other.boot
            and self.pid_namespace == other.pid_namespace
        )
        if not same_place:
            return False
        same_process = self.pid == other.pid and self.started == other.started
        return same_process or _started(self.pid) != self.started


def _started(pid: int) -> str:
    """When a process started, empty where there is none (or only a zombie is left)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[_STARTED_FIELD - 1]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"
