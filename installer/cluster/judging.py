"""How an object stands: absent, as declared, different, somebody else's, or on its way out.

Unchanged is what has our content hash and the generation that the inventory recorded; of kinds
without a generation, what has our hash and our fields as declared. For the rest the server is
asked by a dry run, and the answer held against the live object shows who changed what.
"""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from installer.cluster.compare import Difference, changes, differences, metadata_differences
from installer.cluster.conflicts import settle
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.handle import ClusterHandle
from installer.cluster.owners import described, owners_of
from installer.cluster.ownership import ForeignObject, foreign, is_ours
from installer.cluster.readiness_parts import holds
from installer.cluster.records import RecordState
from installer.core.objects import ANNOTATION_HASH, Manifest, ObjectRef


class Standing(StrEnum):
    ABSENT = "absent"
    SAME = "same"
    DIFFERS = "differs"
    FOREIGN = "foreign"
    LEAVING = "leaving"  # being deleted; it must be gone before it can be made anew


@dataclass(frozen=True)
class Wanted:
    """One object in both forms: ``planned`` with keyed digests for secrets, ``revealed`` with
    their values; the latter is None where the values are not at hand (a plan's survey)."""

    planned: Manifest
    revealed: Manifest | None

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.planned)


@dataclass(frozen=True)
class Judgement:
    """``lines`` say what differs and who set it. ``failure`` is the API's objection to our
    object, met in the dry run: a field conflict nobody settled, an immutable field, a refusal."""

    wanted: Wanted
    standing: Standing
    live: Manifest | None = None
    lines: tuple[str, ...] = ()
    failure: ApiFailure | None = None
    foreign: ForeignObject | None = None

    @property
    def ref(self) -> ObjectRef:
        return self.wanted.ref

    @property
    def conflict(self) -> bool:
        return self.failure is not None and self.failure.kind is FailureKind.FIELD_CONFLICT


def ready_to_send(manifest: Manifest) -> Manifest:
    """A Secret's ``stringData`` as ``data``: the API never shows the former, so that it could be
    neither compared nor owned."""
    if manifest["kind"] != "Secret" or "stringData" not in manifest:
        return manifest
    body = {name: value for name, value in manifest.items() if name != "stringData"}
    encoded = {
        name: base64.b64encode(text.encode()).decode()
        for name, text in (manifest["stringData"] or {}).items()
    }
    body["data"] = {**(manifest.get("data") or {}), **encoded}
    return body


async def judge_all(handle: ClusterHandle, wanted: Sequence[Wanted]) -> tuple[Judgement, ...]:
    """In the order given. Raises ApiFailure where the cluster cannot be asked."""
    await handle.inventory.load_once()
    live = await handle.snapshot.find([item.ref for item in wanted])
    return tuple(
        await asyncio.gather(*(_judge(handle, item, live.get(item.ref.key)) for item in wanted))
    )


async def _judge(handle: ClusterHandle, wanted: Wanted, live: Manifest | None) -> Judgement:
    if live is None:
        finished = _has_finished(handle, wanted)
        return Judgement(wanted, Standing.SAME if finished else Standing.ABSENT)
    if live["metadata"].get("deletionTimestamp"):
        since = live["metadata"]["deletionTimestamp"]
        return Judgement(wanted, Standing.LEAVING, live, (f"is being deleted since {since}",))
    if not is_ours(live, handle.install_uid) and wanted.ref.key not in handle.consents.adopt:
        owner = foreign(live, handle.install_uid)
        lines = (f"belongs to {owner.owner}",)
        return Judgement(wanted, Standing.FOREIGN, live, lines, None, owner)
    if wanted.ref.kind == "Job" and holds(live, "Failed"):
        return Judgement(wanted, Standing.DIFFERS, live, ("has failed and is made anew",))
    if _is_unchanged(handle, wanted, live):
        return Judgement(wanted, Standing.SAME, live)
    if wanted.revealed is None and wanted.ref.kind == "Secret":
        return _judge_hidden(wanted, live)
    return await _judge_by_dry_run(handle, wanted, live)


def _has_finished(handle: ClusterHandle, wanted: Wanted) -> bool:
    """A Job that we made and that the cluster removed after its time to live."""
    record = handle.inventory.get(wanted.ref)
    return (
        wanted.ref.kind == "Job"
        and "ttlSecondsAfterFinished" in wanted.planned["spec"]
        and record is not None
        and record.state is RecordState.APPLIED
        and record.content_hash == _hash(wanted.planned)
    )


def _hash(manifest: Manifest) -> str:
    annotations = manifest["metadata"].get("annotations") or {}
    return str(annotations.get(ANNOTATION_HASH, ""))


def _is_unchanged(handle: ClusterHandle, wanted: Wanted, live: Manifest) -> bool:
    if not _hash(wanted.planned) or _hash(wanted.planned) != _hash(live):
        return False
    generation = live["metadata"].get("generation")
    if generation is None:
        if wanted.revealed is None:
            return False
        return not differences(ready_to_send(wanted.revealed), live)
    record = handle.inventory.get(wanted.ref)
    return (
        record is not None
        and record.state is RecordState.APPLIED
        and record.uid == live["metadata"]["uid"]
        and record.generation == generation
        and not metadata_differences(wanted.planned, live)
    )


def _judge_hidden(wanted: Wanted, live: Manifest) -> Judgement:
    """A Secret whose values are not at hand: our hash, and whether another wrote its data."""
    others = owners_of(live, ("data",))
    if _hash(wanted.planned) == _hash(live) and not others:
        return Judgement(wanted, Standing.SAME, live)
    who = f" (set by {others[-1]})" if others else ""
    return Judgement(wanted, Standing.DIFFERS, live, (f"its values differ{who}",))


async def _judge_by_dry_run(handle: ClusterHandle, wanted: Wanted, live: Manifest) -> Judgement:
    manifest = ready_to_send(wanted.revealed or wanted.planned)
    take_back = handle.consents.may_take_back(wanted.ref.key)
    objection: ApiFailure | None = None
    try:
        result = await _dry_run(handle, manifest)
    except ApiFailure as failure:
        if failure.kind is not FailureKind.FIELD_CONFLICT:
            return _objection(wanted, live, failure)
        settled = settle(manifest, failure.verdict.conflicts, take_back=take_back)
        if settled is None:
            objection = failure
        try:
            # Forced, so that the operator sees what taking the fields back would change.
            result = await _dry_run(
                handle,
                settled.manifest if settled else manifest,
                force=settled.force if settled else True,
            )
        except ApiFailure as second:
            return _objection(wanted, live, second)
    found = changes(live, result)
    if not found and objection is None:
        return Judgement(wanted, Standing.SAME, live)
    return Judgement(wanted, Standing.DIFFERS, live, _lines(found, live), objection)


def _objection(wanted: Wanted, live: Manifest, failure: ApiFailure) -> Judgement:
    if failure.verdict.transient:
        raise failure
    return Judgement(wanted, Standing.DIFFERS, live, (failure.cause,), failure)


def _lines(found: Sequence[Difference], live: Manifest) -> tuple[str, ...]:
    """The content hash differs whenever anything does: shown only if nothing else is."""
    telling = [d for d in found if d.path[-1] != ANNOTATION_HASH]
    return tuple(described(tuple(telling or found), live))


async def _dry_run(handle: ClusterHandle, manifest: Manifest, *, force: bool = False) -> Any:
    async def once() -> Manifest:
        async with handle.limit.slot():
            return await handle.api.apply(manifest, force=force, dry_run=True)

    return await handle.retry.run(once)
