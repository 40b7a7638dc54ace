"""Which far end an install belongs to, remembered in its directory.

The kubeconfig stays where the operator keeps it: a renewed token there is the one that counts. A
rehearsal's lies inside the directory and is written by the simulated cluster itself.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from installer.core.errors import ExitCode, InstallError
from installer.store.atomic import write_atomically

FILE_NAME = "target.json"


@dataclass(frozen=True)
class Rehearsal:
    """How the simulated far end behaves. ``speed`` is times faster than real."""

    speed: float = 20.0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """Where to install. ``cluster_uid`` is the uid of ``kube-system``, empty until first seen."""

    kubeconfig: Path
    context: str = ""
    rehearsal: Rehearsal | None = None
    cluster_uid: str = ""

    def place(self, name: str, url: str) -> str:
        """The place in words. A rehearsal's port changes from start to start, so it is left out."""
        return "a simulated cluster" if self.rehearsal else f"cluster {name} ({url})"


def remember(directory: Path, target: Target) -> None:
    """Writes the target beside the settings, atomically, mode 0600."""
    data = {
        "kubeconfig": str(target.kubeconfig),
        "context": target.context,
        "cluster_uid": target.cluster_uid,
        "rehearsal": None
        if target.rehearsal is None
        else {"speed": target.rehearsal.speed, "faults": list(target.rehearsal.faults)},
    }
    write_atomically(directory / FILE_NAME, json.dumps(data, indent=1).encode() + b"\n")


def recall(directory: Path) -> Target | None:
    """The remembered target, None when there is none. Raises InstallError TARGET-UNREADABLE."""
    path = directory / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rehearsal = data["rehearsal"]
        return Target(
            kubeconfig=Path(data["kubeconfig"]),
            context=data["context"],
            cluster_uid=data["cluster_uid"],
            rehearsal=rehearsal
            and Rehearsal(float(rehearsal["speed"]), tuple(rehearsal["faults"])),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise InstallError(
            code="TARGET-UNREADABLE",
            title="The record of the target cluster cannot be read",
            cause=f"{path}: {broken}",
            remedy="Give --kubeconfig (and --context) again; the record is then written anew.",
            exit_code=ExitCode.REFUSED,
        ) from broken


def required(directory: Path) -> Target:
    """The remembered target. Raises InstallError TARGET-UNKNOWN."""
    target = recall(directory)
    if target is None:
        raise InstallError(
            code="TARGET-UNKNOWN",
            title="It is not known where to install",
            cause="Neither --kubeconfig nor cluster.kubeconfig of the settings names a cluster.",
            remedy="Give --kubeconfig FILE (and --context), or --rehearse for a simulated one.",
            exit_code=ExitCode.USAGE,
        )
    return target
