"""The faults that a rehearsal can be asked to show, by name."""

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from installer.rehearsal.kube.store import encode, replace_file


@dataclass(frozen=True)
class Fault:
    """One fault: what an operator is told of it, and whether it goes away by itself."""

    name: str
    title: str
    shows: str
    passes: bool


FAULTS = (
    Fault(
        "image-missing",
        "An image is not in the registry",
        "One workload's image cannot be pulled; the run stops at its gate and names image and pod.",
        False,
    ),
    Fault(
        "crash-loop",
        "A program ends right after its start",
        "One workload's container exits with 1 again and again; the run names pod and exit code.",
        False,
    ),
    Fault(
        "too-many-requests",
        "The API refuses with 429",
        "The API lets one write in at a time and refuses the rest for a while; the run slows down.",
        True,
    ),
    Fault(
        "api-restart",
        "The API server restarts in mid-run",
        "All connections break and the API is away for seven seconds; the run goes on by itself.",
        True,
    ),
    Fault(
        "webhook-down",
        "An admission webhook cannot be reached",
        "A policy webhook of the cluster fails every workload; the run names the webhook.",
        False,
    ),
    Fault(
        "node-lost",
        "A node stops answering",
        "One node is NotReady and its pods are lost; the run says which, and waits.",
        False,
    ),
    Fault(
        "slow-etcd",
        "The cluster's database stalls",
        "One write takes twelve seconds and succeeds all the same; nothing fails.",
        True,
    ),
    Fault(
        "api-frozen",
        "The API server does not answer",
        "Connections hang without an answer; the run says so in time, before it does anything.",
        False,
    ),
)

_BY_NAME = {fault.name: fault for fault in FAULTS}


def fault(name: str) -> Fault:
    """The fault of that name; KeyError when there is none."""
    return _BY_NAME[name]


class FaultBoard:
    """Which faults are on, which have been shown or healed; kept in a file across restarts."""

    def __init__(self, folder: Path, asked: Iterable[str] = ()) -> None:
        self._file = folder / "faults.json"
        self._over: set[str] = set()
        self._active: set[str] = set()
        self._listeners: list[Callable[[str, bool], None]] = []
        with contextlib.suppress(FileNotFoundError):
            held = json.loads(self._file.read_bytes())
            self._over, self._active = set(held["over"]), set(held["active"])
        for name in asked:
            if fault(name).name not in self._over:
                self._active.add(name)
        self._save()

    def is_on(self, name: str) -> bool:
        """Whether the fault is to be shown now."""
        return name in self._active

    def active(self) -> list[str]:
        """The faults that are on, in the order of the list."""
        return [item.name for item in FAULTS if item.name in self._active]

    def start(self, name: str) -> None:
        """Show a fault from now on, even one that is over."""
        self._over.discard(fault(name).name)
        self._active.add(name)
        self._tell(name, True)

    def heal(self, name: str) -> None:
        """End a fault; it does not come back when the same faults are asked for again."""
        self._active.discard(fault(name).name)
        self._over.add(name)
        self._tell(name, False)

    def listen(self, listener: Callable[[str, bool], None]) -> None:
        """Call `listener(name, on)` whenever a fault starts or ends."""
        self._listeners.append(listener)

    def _tell(self, name: str, on: bool) -> None:
        self._save()
        for listener in list(self._listeners):
            listener(name, on)

    def _save(self) -> None:
        held = {"over": sorted(self._over), "active": sorted(self._active)}
        replace_file(self._file, encode(held))


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """The names; ValueError tells the first that is no fault, and which there are."""
    listed = tuple(names)
    for name in listed:
        if name not in _BY_NAME:
            known = ", ".join(_BY_NAME)
            raise ValueError(f"there is no fault {name!r}; there are: {known}")
    return listed
