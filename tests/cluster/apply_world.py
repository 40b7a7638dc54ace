"""Installs on a live API server, real or simulated, step by step as the engine does."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from installer.cluster.client import ApiClient
from installer.cluster.concurrency import RetryBudget
from installer.cluster.control import ensure_control_namespace
from installer.cluster.handle import ClusterHandle, Consents, open_handle
from installer.cluster.informer import Informers
from installer.cluster.inventory import standing_targets
from installer.cluster.kubeconfig import load_target
from installer.cluster.steps import install_steps
from installer.cluster.survey import Survey, survey
from installer.cluster.target import ClusterTarget
from installer.cluster.uninstall import uninstall_steps
from installer.cluster.uninstall_survey import UninstallMode, survey_uninstall
from installer.core.canonical import digest
from installer.core.clock import Clock, SystemClock
from installer.core.objects import (
    ANNOTATION_HASH,
    ANNOTATION_OWNER,
    LABEL_INSTALL,
    Manifest,
    ObjectRef,
    ObjectWave,
)
from installer.core.step import Finding, MutationGate, Step

BeforeWrite: TypeAlias = Callable[[int], Awaitable[None]]


class PlannedOnly:
    """A gate that lets through what the plan names, and remembers it.

    ``before`` is called with the number of each write right before it is sent.
    """

    def __init__(self, allowed: Iterable[str], before: BeforeWrite) -> None:
        self.allowed = set(allowed)
        self.passed: list[str] = []
        self._before = before

    @asynccontextmanager
    async def mutation(self, verb: str, target: str) -> AsyncIterator[None]:
        assert target in self.allowed, f"{verb} {target} is not planned"
        self.passed.append(f"{verb} {target}")
        await self._before(len(self.passed))
        yield


async def _nothing(_: int) -> None:
    return None


class Context:
    """``expected``: texts that somebody waits to be told, each with the event to set then."""

    def __init__(
        self, clock: Clock, gate: MutationGate, expected: Mapping[str, asyncio.Event]
    ) -> None:
        self.clock = clock
        self.gate = gate
        self.outputs: Mapping[str, Mapping[str, Any]] = {}
        self._expected = expected

    def waiting(self, what: str, last_seen: str = "") -> None:
        self.log(f"{what}: {last_seen}")

    def log(self, line: str) -> None:
        for text, told in self._expected.items():
            if text in line:
                told.set()


@dataclass
class Install:
    """One install id on one cluster; each call is a process of its own that remembers nothing."""

    kubeconfig: Path
    scratch: Path
    id: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    expected: dict[str, asyncio.Event] = field(default_factory=dict)
    target: ClusterTarget | None = None
    patience: float = 60.0  # seconds for which a failed call is repeated
    before_write: BeforeWrite = _nothing  # with the number of the write within its step

    @asynccontextmanager
    async def opened(self, consents: Consents | None = None) -> AsyncIterator[ClusterHandle]:
        clock = SystemClock()
        retry = RetryBudget(clock, seconds=self.patience)
        if self.target is None:
            self.target = await load_target(self.kubeconfig, None, self.scratch, clock=clock)
        async with (
            ApiClient(self.target, clock=clock, retry=retry) as api,
            Informers(api) as followers,
        ):
            yield open_handle(
                api,
                followers,
                install_id=self.id,
                install_uid=self.uid,
                clock=clock,
                consents=consents,
                retry=retry,
            )

    async def run(
        self, waves: Sequence[ObjectWave], consents: Consents | None = None
    ) -> tuple[Survey, list[str]]:
        """Surveys, approves what is shown, runs; returns the survey and what passed the gate."""
        async with self.opened(consents) as handle:
            found = await survey(handle, waves, _reveal(waves))
        async with self.opened(found.consents(consents)) as handle:
            await ensure_control_namespace(_client(handle), self.id, self.uid)
            steps = install_steps(waves, _reveal(waves), handle, prune=found.prune)
            return found, await self.run_steps(handle, steps)

    async def run_unseen(self, waves: Sequence[ObjectWave]) -> None:
        """As a run whose plan did not show what the cluster looks like now."""
        async with self.opened() as handle:
            await self.run_steps(handle, install_steps(waves, _reveal(waves), handle))

    async def run_steps(self, handle: ClusterHandle, steps: Iterable[Step]) -> list[str]:
        passed: list[str] = []
        for step in steps:
            targets = (*step.planned.targets, *standing_targets(self.id))
            gate = PlannedOnly(targets, self.before_write)
            ctx = Context(handle.clock, gate, self.expected)
            if (await step.probe(ctx)).finding is not Finding.SAME:
                await step.apply(ctx)
            await step.verify(ctx)
            passed += gate.passed
        return passed

    async def uninstall(self, mode: UninstallMode, *accepted: str) -> tuple[str, ...]:
        """Returns the lines on what stays."""
        async with self.opened() as handle:
            found = await survey_uninstall(handle, mode)
            await self.run_steps(handle, uninstall_steps(handle, found, frozenset(accepted)))
        return found.stays

    # objects

    def space(self, name: str = "app") -> str:
        return f"{self.id}-{name}"

    def make(
        self, api_version: str, kind: str, name: str, space: str | None = None, **body: Any
    ) -> Manifest:
        """An object as the renderer makes it; ``space`` empty for cluster-scoped kinds."""
        meta: dict[str, Any] = {"name": name, "labels": {LABEL_INSTALL: self.id}}
        if space != "":
            meta["namespace"] = space or self.space()
        manifest: Manifest = {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}
        meta["annotations"] = {ANNOTATION_OWNER: self.uid, ANNOTATION_HASH: digest(manifest)}
        return manifest

    def namespace(self, name: str = "app") -> Manifest:
        return self.make("v1", "Namespace", self.space(name), "")

    def config(self, name: str = "settings", **data: str) -> Manifest:
        return self.make("v1", "ConfigMap", name, data=data or {"a": "1"})

    def pods(self, image: str = "registry.example.org/web:1", **pod: Any) -> dict[str, Any]:
        labels = {LABEL_INSTALL: self.id, "app": "web"}
        containers = [{"name": "web", "image": image}]
        return {"metadata": {"labels": labels}, "spec": {"containers": containers, **pod}}

    def deployment(self, image: str = "registry.example.org/web:1") -> Manifest:
        spec = {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": self.pods(image),
        }
        return self.make("apps/v1", "Deployment", "web", spec=spec)

    def stateful_set(self, *, service: str = "db", size: str = "1Gi") -> Manifest:
        claim = {
            "metadata": {"name": "data", "labels": {LABEL_INSTALL: self.id}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
            },
        }
        spec = {
            "replicas": 2,
            "serviceName": service,
            "selector": {"matchLabels": {"app": "web"}},
            "template": self.pods(),
            "volumeClaimTemplates": [claim],
        }
        return self.make("apps/v1", "StatefulSet", "db", spec=spec)

    def job(self, image: str = "registry.example.org/init:1") -> Manifest:
        template = self.pods(image, restartPolicy="Never")
        return self.make("batch/v1", "Job", "init", spec={"template": template})

    def waves(self, *objects: Manifest) -> tuple[ObjectWave, ...]:
        first = ObjectWave("ns", "namespaces", "Namespaces", "Main", (), (self.namespace(),))
        return (first, ObjectWave("app/1", "app", "The app", "Main", ("ns",), objects))

    # looking

    async def get(self, manifest: Manifest) -> Manifest | None:
        async with self.opened() as handle:
            return await handle.api.get(ObjectRef.of(manifest))

    async def there(self, manifest: Manifest) -> Manifest:
        found = await self.get(manifest)
        assert found is not None
        return found

    def told(self, text: str) -> asyncio.Event:
        """Set when a step says that it waits for something with this text in it."""
        return self.expected.setdefault(text, asyncio.Event())

    async def until(self, manifest: Manifest, holds: Callable[[Manifest], bool]) -> Manifest:
        """The object as soon as ``holds`` of it; within half a minute."""
        ref = ObjectRef.of(manifest)

        def found(objects: Mapping[tuple[str, str], Manifest]) -> Manifest | None:
            live = objects.get((ref.namespace, ref.name))
            return live if live is not None and holds(live) else None

        async with self.opened() as handle:
            follower = handle.followers.of(ref.api_version, ref.kind, namespace=ref.namespace)
            return await follower.wait_for(found, 30.0)

    async def versions(self, waves: Iterable[ObjectWave]) -> dict[str, str]:
        """Each object's resourceVersion: an equal one means that nothing wrote it."""
        refs = [ObjectRef.of(manifest) for wave in waves for manifest in wave.objects]
        async with self.opened() as handle:
            live = await handle.snapshot.find(refs)
        return {key: found["metadata"]["resourceVersion"] for key, found in live.items()}


def _client(handle: ClusterHandle) -> ApiClient:
    assert isinstance(handle.api, ApiClient)
    return handle.api


def _reveal(waves: Sequence[ObjectWave]) -> Any:
    objects = {wave.id: wave.objects for wave in waves}
    return lambda wave: objects[wave]
