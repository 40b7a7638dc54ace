"""Applies one wave: each object that differs is written once, by server-side apply.

The inventory says first what is about to be written, then what was. Whatever the API objects to is
mended by the rule for it, within bounds, or told with its cause.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from installer.cluster.conflicts import settle
from installer.cluster.failures import Action, ApiFailure, FailureKind
from installer.cluster.handle import ClusterHandle
from installer.cluster.judging import Judgement, Standing, Wanted, judge_all, ready_to_send
from installer.cluster.ordering import ranked
from installer.cluster.ownership import refusal
from installer.cluster.readiness_parts import holds
from installer.cluster.records import Record, RecordState
from installer.cluster.recreate import make_way, remove
from installer.cluster.telling import sent_again
from installer.cluster.vanishing import wait_gone
from installer.core.errors import InstallError
from installer.core.objects import ANNOTATION_HASH, Manifest, ObjectRef, ObjectWave
from installer.core.step import StepContext

CRD_TIMEOUT = 60.0  # seconds from the CRD to the first answer for its kind
CRD_LOOK = 1.0
MENDINGS = 6  # objections mended for one object before its last one is told
_GONE = (Standing.ABSENT, Standing.LEAVING)


@dataclass(frozen=True)
class WaveResult:
    """``changed``: keys that were written and differ from before. ``details``: what differed."""

    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    details: tuple[str, ...]


async def apply_wave(
    handle: ClusterHandle, ctx: StepContext, wave: ObjectWave, revealed: Sequence[Manifest]
) -> WaveResult:
    """Brings the wave's objects to the declared state; nothing is written that is as declared.

    ``revealed`` are the wave's objects with real values in place of secrets' digests. Raises
    InstallError: FOREIGN-OWNER, FIELD-CONFLICT, CRD-MISSING, NAMESPACE-DELETED, those of
    ``recreate`` and ``vanishing``, and ApiFailure for what stays refused.
    """
    wanted = [Wanted(plan, real) for plan, real in zip(wave.objects, revealed, strict=True)]
    judged = await judge_all(handle, wanted)
    foreign = [j.foreign for j in judged if j.foreign is not None]
    if foreign:
        raise refusal(foreign)
    todo = [j for j in judged if j.standing is not Standing.SAME]
    kept = [j for j in judged if j.standing is Standing.SAME]
    details = tuple(f"{j.ref}: {line}" for j in todo for line in j.lines)
    for line in details:
        ctx.log(line)
    if todo:
        intended = [_intended(handle, wave, j) for j in todo]
        await handle.inventory.put(ctx, [*_emptied(handle, todo), *intended])
    written = await _write_all(handle, ctx, todo)
    live = {**{j.ref.key: j.live for j in kept}, **written}
    await handle.inventory.put(ctx, _records(handle, wave, judged, live))
    return WaveResult(tuple(j.ref.key for j in todo), tuple(j.ref.key for j in kept), details)


def _planned_hash(judgement: Judgement) -> str:
    annotations = judgement.wanted.planned["metadata"].get("annotations") or {}
    return str(annotations.get(ANNOTATION_HASH, ""))


def _intended(handle: ClusterHandle, wave: ObjectWave, judgement: Judgement) -> Record:
    live = judgement.live if judgement.standing is Standing.DIFFERS else None
    meta = (live or {}).get("metadata", {})
    return Record(
        judgement.ref,
        meta.get("uid", ""),
        meta.get("generation", 0),
        _planned_hash(judgement),
        wave.component,
        wave.id,
        RecordState.INTENDED,
    )


def _records(
    handle: ClusterHandle,
    wave: ObjectWave,
    judged: Sequence[Judgement],
    live: dict[str, Manifest | None],
) -> list[Record]:
    """Records of the whole wave. An unchanged object keeps the record it has: a generation that a
    controller raised is no reason to write."""
    records = []
    for judgement in judged:
        old = handle.inventory.get(judgement.ref)
        meta = (live[judgement.ref.key] or {}).get("metadata")
        if meta is None:
            continue  # a Job that finished long ago: its record stays as it is
        record = replace(
            _intended(handle, wave, judgement),
            uid=meta["uid"],
            generation=meta.get("generation", 0),
            state=RecordState.APPLIED,
        )
        same = judgement.standing is Standing.SAME and old is not None
        if not (same and old and replace(old, generation=record.generation) == record):
            records.append(record)
    return records


def _emptied(handle: ClusterHandle, todo: Sequence[Judgement]) -> list[Record]:
    """Records of what was in namespaces that are made anew: whatever they say is outdated."""
    anew = {j.ref.name for j in todo if j.ref.kind == "Namespace" and j.standing in _GONE}
    return [
        replace(record, state=RecordState.INTENDED)
        for record in handle.inventory.records.values()
        if record.ref.namespace in anew
    ]


async def _write_all(
    handle: ClusterHandle, ctx: StepContext, todo: Sequence[Judgement]
) -> dict[str, Manifest | None]:
    """Side by side within a rank. All of a rank are finished before a failure is raised, so that
    no write is left under way."""
    written: dict[str, Manifest | None] = {}
    for group in ranked((j.ref, j) for j in todo):
        results = await asyncio.gather(
            *(_write(handle, ctx, j) for j in group), return_exceptions=True
        )
        handle.snapshot.forget(j.ref for j in group)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise _worst(failures)
        for judgement, result in zip(group, results, strict=True):
            if not isinstance(result, BaseException):
                written[judgement.ref.key] = result
    return written


def _worst(failures: Sequence[BaseException]) -> BaseException:
    """What is not an InstallError (a cancellation, a defect) goes before what is."""
    return next((f for f in failures if not isinstance(f, InstallError)), failures[0])


async def _write(handle: ClusterHandle, ctx: StepContext, judgement: Judgement) -> Manifest:
    ref, live = judgement.ref, judgement.live
    if live is not None and judgement.standing is Standing.LEAVING:
        await wait_gone(handle, ctx, ref, uid=live["metadata"]["uid"])
        live = None
    elif live is not None and ref.kind == "Job" and holds(live, "Failed"):
        await remove(handle, ctx, live)
        live = None
    assert judgement.wanted.revealed is not None
    sending = _Sending(ready_to_send(judgement.wanted.revealed))
    for _ in range(MENDINGS):
        try:
            written = await _send(handle, ctx, ref, sending)
        except ApiFailure as failure:
            sending = await _mend(handle, ctx, sending, live, failure)
        else:
            if ref.kind == "Namespace" and live is None:
                handle.snapshot.namespace_made(ref.name)
            return written
    return await _send(handle, ctx, ref, sending)


@dataclass(frozen=True)
class _Sending:
    manifest: Manifest
    force: bool = False


async def _send(
    handle: ClusterHandle, ctx: StepContext, ref: ObjectRef, sending: _Sending
) -> Manifest:
    async def once() -> Manifest:
        async with handle.limit.slot(), ctx.gate.mutation("apply", ref.key):
            return await handle.api.apply(sending.manifest, force=sending.force)

    return await handle.retry.run(once, on_wait=sent_again(ctx, ref))


async def _mend(
    handle: ClusterHandle,
    ctx: StepContext,
    sending: _Sending,
    live: Manifest | None,
    failure: ApiFailure,
) -> _Sending:
    """What to send next, after whatever had to be done first; raises where nothing can be."""
    ref = ObjectRef.of(sending.manifest)
    action = failure.verdict.action
    if action is Action.RESOLVE:
        return _resolve(handle, sending, failure)
    if action is Action.WAIT_FOR_API:
        await wait_for_kind(handle, ctx, ref)
        return sending
    if action is Action.REPLACE and live is not None:
        await make_way(handle, ctx, sending.manifest, live, failure)
        return sending
    if action in (Action.WAIT_GONE, Action.APPLY_NAMESPACE):
        raise await _namespace_deleted(handle, ctx, ref, failure)
    raise failure


def _resolve(handle: ClusterHandle, sending: _Sending, failure: ApiFailure) -> _Sending:
    ref = ObjectRef.of(sending.manifest)
    take_back = handle.consents.may_take_back(ref.key)
    conflicts = failure.verdict.conflicts
    settled = settle(sending.manifest, conflicts, take_back=take_back)
    if settled is None or sending.force:
        raise field_conflict(ref, failure)
    return _Sending(settled.manifest, settled.force)


def field_conflict(ref: ObjectRef, failure: ApiFailure) -> InstallError:
    """FIELD-CONFLICT, naming each path and its manager."""
    conflicts = failure.verdict.conflicts
    return InstallError(
        "FIELD-CONFLICT",
        f"somebody else manages fields of {ref} that this install declares",
        "; ".join(f"{c.path} is set by {c.manager}" for c in conflicts) or failure.cause,
        "See whether that change is wanted. To keep it, put it into the settings; to undo it, look "
        "at the plan again, which shows it, and accept that.",
        retryable=True,
        evidence=failure.evidence,
    )


async def wait_for_kind(handle: ClusterHandle, ctx: StepContext, ref: ObjectRef) -> None:
    """Until discovery lists the kind of ``ref``. Raises InstallError CRD-MISSING."""
    started = handle.clock.monotonic()
    while True:
        try:
            await handle.retry.run(partial(handle.api.resource, ref.api_version, ref.kind))
            return
        except ApiFailure as failure:
            if failure.kind is not FailureKind.NO_SUCH_API:
                raise
            if handle.clock.monotonic() - started > CRD_TIMEOUT:
                raise _crd_missing(ref, failure) from failure
        ctx.waiting(f"the API to serve {ref.kind} ({ref.api_version})", "not served yet")
        await handle.clock.sleep(CRD_LOOK)


def _crd_missing(ref: ObjectRef, failure: ApiFailure) -> InstallError:
    return InstallError(
        "CRD-MISSING",
        f"the cluster does not know the kind {ref.kind}",
        f"{ref.api_version} is not served, {CRD_TIMEOUT:.0f} s after it was first asked for",
        "Its CustomResourceDefinition is missing: choose 'install' for the component that brings "
        "it, or have it installed, then try again.",
        retryable=True,
        evidence=failure.evidence,
    )


async def _namespace_deleted(
    handle: ClusterHandle, ctx: StepContext, ref: ObjectRef, failure: ApiFailure
) -> InstallError:
    """The namespace went away under our hands, and with it all that was in it."""
    namespace = ObjectRef("v1", "Namespace", "", ref.namespace)
    handle.snapshot.namespace_left(ref.namespace)
    live = await handle.retry.run(partial(handle.api.get, namespace))
    if live is not None and live["metadata"].get("deletionTimestamp"):
        await wait_gone(handle, ctx, namespace, uid=live["metadata"]["uid"])
    return InstallError(
        "NAMESPACE-DELETED",
        f"namespace {ref.namespace} was deleted while it was in use",
        f"{ref} could not be written: {failure.cause}",
        "See who deleted it. Then resume: the namespace and all that belongs in it is made anew.",
        retryable=True,
        evidence=failure.evidence,
    )
