"""What tests of applying start from: a cluster in memory, a handle on it, a step's context."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from installer.cluster.handle import ClusterHandle, Consents, open_handle
from installer.core.canonical import digest
from installer.core.clock import Clock
from installer.core.objects import ANNOTATION_HASH, ANNOTATION_OWNER, LABEL_INSTALL, Manifest
from installer.core.step import MutationGate
from tests.unit.cluster.memory_cluster import MemoryCluster
from tests.unit.cluster.quick_clock import QuickClock

INSTALL, UID = "mx", "uid-of-install"


class Timeline(QuickClock):
    """Runs what is due while somebody sleeps."""

    def __init__(self) -> None:
        super().__init__(breath=0)
        self._due: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        self._due.append((seconds, act))

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        due = [act for when, act in self._due if when <= self.passed]
        self._due = [entry for entry in self._due if entry[0] > self.passed]
        for act in due:
            act()


class Gate:
    """Records every mutation; refuses what is not allowed."""

    def __init__(self, passed: list[str], allowed: Iterable[str] | None) -> None:
        self.passed = passed
        self.allowed = None if allowed is None else set(allowed)

    @asynccontextmanager
    async def mutation(self, verb: str, target: str) -> AsyncIterator[None]:
        assert self.allowed is None or target in self.allowed, f"{verb} {target} is not planned"
        self.passed.append(f"{verb} {target}")
        yield


class Context:
    """core.step.StepContext for tests."""

    def __init__(self, clock: QuickClock, allowed: Iterable[str] | None = None) -> None:
        self.clock: Clock = clock
        self.passed: list[str] = []
        self.gate: MutationGate = Gate(self.passed, allowed)
        self.outputs: Mapping[str, Mapping[str, Any]] = {}
        self.waits: list[tuple[str, str]] = []
        self.lines: list[str] = []

    def waiting(self, what: str, last_seen: str = "") -> None:
        self.waits.append((what, last_seen))

    def log(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class World:
    """A cluster with the control namespace, a handle on it, and a context for steps."""

    cluster: MemoryCluster
    clock: Timeline
    handle: ClusterHandle
    ctx: Context

    def again(self, consents: Consents | None = None) -> ClusterHandle:
        """A handle of a later process: nothing remembered but what the cluster holds."""
        self.handle = open_handle(
            self.cluster,
            self.cluster,
            install_id=INSTALL,
            install_uid=UID,
            clock=self.clock,
            consents=consents,
        )
        self.ctx = Context(self.clock)
        self.cluster.calls.clear()
        return self.handle


def world(consents: Consents | None = None) -> World:
    clock = Timeline()
    cluster = MemoryCluster(clock)
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": f"{INSTALL}-install", "annotations": {ANNOTATION_OWNER: UID}},
        }
    )
    handle = open_handle(
        cluster, cluster, install_id=INSTALL, install_uid=UID, clock=clock, consents=consents
    )
    return World(cluster, clock, handle, Context(clock))


def ours(
    api_version: str, kind: str, name: str, namespace: str = "mx-app", **body: Any
) -> Manifest:
    """An object as the renderer makes it; its content hash is a digest of its body."""
    meta: dict[str, Any] = {"name": name, "labels": {LABEL_INSTALL: INSTALL}}
    if namespace:
        meta["namespace"] = namespace
    manifest: Manifest = {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}
    meta["annotations"] = {ANNOTATION_OWNER: UID, ANNOTATION_HASH: digest(manifest)[:16]}
    return manifest
