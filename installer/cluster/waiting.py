"""Waits until applied objects are ready, on informers, and fails as soon as pods say why not."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from installer.cluster.api import Follower
from installer.cluster.apply import wait_for_kind
from installer.cluster.evidence import events_about, failure_of, times_seen, warnings_about
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.handle import ClusterHandle
from installer.cluster.readiness import ClusterView, is_gated, readiness
from installer.cluster.readiness_parts import Readiness, State
from installer.cluster.readiness_pods import (
    PodProblem,
    account_is_late,
    leaving,
    owned_by,
    pod_problems,
    refused_pods,
    workload_problem,
)
from installer.core.errors import InstallError
from installer.core.objects import LABEL_INSTALL, Manifest, ObjectRef
from installer.core.step import StepContext

READY_TIMEOUT = 600.0  # seconds
EVENTS_EVERY = 15.0  # seconds between two looks at events
LOOK_EVERY = 1.0  # for rules that depend on time; changes are seen at once
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job"})


class _PodFailure(Exception):
    """Ends a wait; what else is known is gathered outside of it."""

    def __init__(self, workload: Manifest, pod: Manifest | None, problem: PodProblem) -> None:
        super().__init__(problem.title)
        self.workload, self.pod, self.problem = workload, pod, problem


async def wait_ready(
    handle: ClusterHandle,
    ctx: StepContext,
    objects: Sequence[Manifest],
    within: float = READY_TIMEOUT,
    *,
    ours: bool = True,
) -> tuple[str, ...]:
    """Until all are ready by their kind's rule; returns warnings in words.

    ``ours``: the objects carry our install's label; others are followed by namespace. Raises
    InstallError: NOT-READY after ``within`` seconds, or earlier what the object or its pods say
    (IMAGE-NOT-FOUND, CRASH-LOOP, UNSCHEDULABLE, ROLLOUT-STUCK, JOB-FAILED, ...).
    """
    groups: defaultdict[tuple[str, str, str], list[Manifest]] = defaultdict(list)
    for manifest in objects:
        ref = ObjectRef.of(manifest)
        if is_gated(ref):
            alone = not ours or handle.snapshot.is_narrow(ref.api_version, ref.kind)
            space = ref.namespace if alone else ""
            groups[ref.api_version, ref.kind, space].append(manifest)
    if not groups:
        return ()
    await handle.inventory.load_once()
    view = await _view(handle, objects)
    told = _Told(ctx, sum(map(len, groups.values())))
    label = f"{LABEL_INSTALL}={handle.install_id}" if ours else ""
    waits = [
        _KindWait(handle, told, view, group, label, space).run(within)
        for (_, _, space), group in groups.items()
    ]
    warnings = await _all(waits)
    await _all(wait_for_kind(handle, ctx, ref) for ref in _defined(objects))
    return tuple(line for lines in warnings for line in lines)


async def _all(waits: Iterable[Awaitable[Any]]) -> list[Any]:
    """Side by side; the first failure ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _view(handle: ClusterHandle, objects: Sequence[Manifest]) -> ClusterView:
    view = ClusterView(
        load_balancer=handle.load_balancer,
        # Discovery is asked separately once the definitions are established.
        served=frozenset(f"{ref.api_version}/{ref.kind}" for ref in _defined(objects)),
    )
    claims = [m for m in objects if m["kind"] == "PersistentVolumeClaim"]
    if not claims:
        return view
    try:
        ask = partial(handle.api.list, "storage.k8s.io/v1", "StorageClass")
        classes = (await handle.retry.run(ask)).items
    except ApiFailure as failure:
        if failure.kind is not FailureKind.FORBIDDEN:
            raise
        # What cannot be known is not waited for: a pod that gets no volume tells soon enough.
        named = {claim["spec"].get("storageClassName", "") for claim in claims}
        return replace(view, late_binding=frozenset(named))
    late = {c["metadata"]["name"] for c in classes if _binds_late(c)}
    default = next((c["metadata"]["name"] for c in classes if _is_default(c)), "")
    return replace(view, late_binding=frozenset(late), default_class=default)


def _binds_late(storage_class: Manifest) -> bool:
    return bool(storage_class.get("volumeBindingMode") == "WaitForFirstConsumer")


def _is_default(storage_class: Manifest) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return bool(annotations.get("storageclass.kubernetes.io/is-default-class") == "true")


def _defined(objects: Iterable[Manifest]) -> list[ObjectRef]:
    """The kinds that CustomResourceDefinitions among the objects define."""
    return [
        ObjectRef(f"{m['spec']['group']}/{version['name']}", m["spec"]["names"]["kind"], "", "")
        for m in objects
        if m["kind"] == "CustomResourceDefinition"
        for version in m["spec"]["versions"]
        if version.get("served", True)
    ]


@dataclass
class _Told:
    """One line for all kinds that a wave waits for."""

    ctx: StepContext
    total: int
    missing: dict[str, str] = field(default_factory=dict)
    unseen: set[str] = field(default_factory=set)  # not judged yet: neither ready nor missing

    def say(self) -> None:
        if self.missing and not self.unseen:
            done = self.total - len(self.missing)
            ref, reason = next(iter(sorted(self.missing.items())))
            seen = f"{done} of {self.total} are; {ref} {reason}"
            self.ctx.waiting("all objects to be ready", seen)


class _KindWait:
    """The objects of one kind. Pods and ReplicaSets are followed beside them."""

    def __init__(
        self,
        handle: ClusterHandle,
        told: _Told,
        view: ClusterView,
        wanted: Sequence[Manifest],
        label: str,
        space: str,
    ) -> None:
        self._handle = handle
        self._told = told
        self._view = view
        self._wanted = {ObjectRef.of(manifest): manifest for manifest in wanted}
        told.unseen.update(map(str, self._wanted))
        self._since: dict[tuple[str, str, str], float] = {}
        self._seen: set[ObjectRef] = set()
        self._refused: dict[str, int] = {}  # event -> how often it was seen to happen
        self._warnings: dict[ObjectRef, str] = {}
        first = ObjectRef.of(wanted[0])
        kind = first.kind
        self._label = label
        self._namespace = space
        self._objects = self._follow(first.api_version, kind)
        follows_pods = kind in _WORKLOADS or kind == "PersistentVolumeClaim"
        self._pods = self._follow("v1", "Pod") if follows_pods else None
        self._sets = self._follow("apps/v1", "ReplicaSet") if kind == "Deployment" else None

    def _follow(self, api_version: str, kind: str) -> Follower:
        return self._handle.followers.of(
            api_version, kind, namespace=self._namespace, labels=self._label
        )

    async def run(self, within: float) -> tuple[str, ...]:
        await self._leave_out_finished()
        end = self._handle.clock.monotonic() + within
        await self._pods_still_refused()  # what happened before our write is no sign
        while not await self._became_ready(min(within, EVENTS_EVERY)):
            if self._handle.clock.monotonic() >= end:
                raise await self._not_ready(within)
            refused = await self._pods_still_refused()
            if refused is not None:
                raise await failure_of(self._handle, refused.workload, None, refused.problem)
        return tuple(f"{ref} {line}" for ref, line in sorted(self._warnings.items()))

    async def _became_ready(self, within: float) -> bool:
        try:
            await self._objects.wait_for(self._all_ready, within, every=LOOK_EVERY)
        except _PodFailure as found:
            raise await failure_of(self._handle, found.workload, found.pod, found.problem) from None
        except TimeoutError:
            return False
        return True

    async def _pods_still_refused(self) -> _PodFailure | None:
        """A workload without any pod whose controller was refused one since the last look.

        Only a Deployment tells so in its status; of the others there are but events.
        """
        found = None
        for workload in self._missing_workloads():
            for event in await self._refusals(workload):
                key, count = event["metadata"]["uid"], times_seen(event)
                if count > self._refused.get(key, 0) and not self._pods_of(workload):
                    message = str(event.get("message", ""))
                    problem = refused_pods(workload, message, f"{event['reason']} {message}")
                    found = _PodFailure(workload, None, problem)
                self._refused[key] = count
        return found

    async def _refusals(self, workload: Manifest) -> tuple[Manifest, ...]:
        try:
            found = await warnings_about(self._handle, workload)
        except ApiFailure:
            return ()  # without the right to read events the time-out tells less, but tells
        return tuple(
            event
            for event in found
            if event.get("reason") == "FailedCreate"
            and not account_is_late(str(event.get("message", "")))
        )

    def _missing_workloads(self) -> list[Manifest]:
        live = [self._objects.objects.get((r.namespace, r.name)) for r in self._wanted]
        return [
            manifest for manifest in live if manifest is not None and manifest["kind"] in _WORKLOADS
        ]

    async def _leave_out_finished(self) -> None:
        """Jobs that finished and were removed before anybody looked."""
        for ref, manifest in list(self._wanted.items()):
            if "ttlSecondsAfterFinished" in (manifest.get("spec") or {}) and (
                await self._handle.retry.run(partial(self._handle.api.get, ref)) is None
            ):
                del self._wanted[ref]
                self._told.unseen.discard(str(ref))

    def _all_ready(self, objects: Mapping[tuple[str, str], Manifest]) -> bool:
        ready = True
        for ref, manifest in self._wanted.items():
            live = self._current(ref, objects.get((ref.namespace, ref.name)))
            found = self._judge(ref, manifest, live)
            self._told.unseen.discard(str(ref))
            if found.error is not None:
                raise InstallError.reported(found.error)
            if found.ready:
                self._told.missing.pop(str(ref), None)
                self._warnings[ref] = found.reason
                continue
            ready = False
            self._told.missing[str(ref)] = found.reason
            if live is not None and manifest["kind"] in _WORKLOADS:
                self._told.missing[str(ref)] += self._fail_fast(live)
        self._told.say()
        self._warnings = {ref: line for ref, line in self._warnings.items() if line}
        return ready

    def _judge(self, ref: ObjectRef, manifest: Manifest, live: Manifest | None) -> Readiness:
        if live is None and ref not in self._seen:
            return Readiness(State.WAITING, "is not yet seen as it was written")
        if live is not None:
            self._seen.add(ref)
        if ref.kind == "PersistentVolumeClaim":
            return readiness(manifest, live, replace(self._view, consumers=self._consumers()))
        return readiness(manifest, live, self._view)

    def _current(self, ref: ObjectRef, live: Manifest | None) -> Manifest | None:
        """None while the informer still shows the object from before our write."""
        record = self._handle.inventory.get(ref)
        if live is None or record is None or not record.uid:
            return live
        meta = live["metadata"]
        if meta["uid"] != record.uid or meta.get("generation", 0) < record.generation:
            return None
        return live

    def _consumers(self) -> frozenset[str]:
        pods = self._pods.objects.values() if self._pods else ()
        return frozenset(
            f"{pod['metadata']['namespace']}/{volume['persistentVolumeClaim']['claimName']}"
            for pod in pods
            for volume in pod["spec"].get("volumes") or ()
            if "persistentVolumeClaim" in volume
        )

    def _fail_fast(self, workload: Manifest) -> str:
        """Raises what will not pass by itself; tells what may, as a further part of a line."""
        refused = workload_problem(workload)
        if refused is not None and self._lasts(refused):
            raise _PodFailure(workload, None, refused)
        name = f"{workload['kind']} {workload['metadata']['name']}"
        told = leaving(workload, self._pods.objects.values() if self._pods else ())
        for pod in self._pods_of(workload):
            for problem in pod_problems(pod, name):
                if self._lasts(problem):
                    raise _PodFailure(workload, pod, problem)
                told = told or f"{problem.title}: {problem.cause}"
        return f"; {told}" if told else ""

    def _pods_of(self, workload: Manifest) -> list[Manifest]:
        """Of its current revision."""
        pods = self._pods.objects.values() if self._pods else ()
        sets = tuple(self._sets.objects.values()) if self._sets else ()
        return [dict(pod) for pod in owned_by(workload, pods, sets)]

    def _lasts(self, problem: PodProblem) -> bool:
        now = self._handle.clock.monotonic()
        return now - self._since.setdefault(problem.key, now) >= problem.grace

    async def _not_ready(self, within: float) -> InstallError:
        missing = {r: why for r, why in self._told.missing.items() if r in map(str, self._wanted)}
        first = next(iter(sorted(missing)), "an object")
        evidence = [f"waited {within:.0f} s"]
        for ref in self._wanted:
            live = self._objects.objects.get((ref.namespace, ref.name))
            if str(ref) in missing and live is not None and len(evidence) < 10:
                evidence += await events_about(self._handle, live)
        return InstallError(
            "NOT-READY",
            f"{first} did not become ready in time",
            "; ".join(f"{ref} {why}" for ref, why in sorted(missing.items())[:10]),
            "See the events and logs of what is named above, then try again.",
            retryable=True,
            evidence=tuple(evidence),
        )
