"""The steps of an install on a cluster: one a wave, and one that prunes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from installer.cluster.apply import apply_wave
from installer.cluster.gates import GATE_KINDS, GateKind, hold
from installer.cluster.handle import ClusterHandle
from installer.cluster.judging import Standing, Wanted, judge_all
from installer.cluster.records import Record, RecordState
from installer.cluster.recreate import claims_of
from installer.cluster.removal import Doomed, holds_data, remove_all, still_there
from installer.cluster.survey import Reveal
from installer.cluster.waiting import READY_TIMEOUT, wait_ready
from installer.core.canonical import digest
from installer.core.objects import ANNOTATION_HASH, Gate, Manifest, ObjectRef, ObjectWave
from installer.core.step import (
    DriftPolicy,
    Finding,
    PlannedStep,
    Probe,
    Step,
    StepContext,
    StepOutcome,
)

PRUNE = "prune"  # id of the step


def install_steps(
    waves: Sequence[ObjectWave],
    reveal: Reveal,
    handle: ClusterHandle,
    *,
    prune: Sequence[Record] = (),
    recreate: Mapping[str, str] | None = None,
    gate_kinds: Mapping[str, GateKind] | None = None,
) -> tuple[Step, ...]:
    """One step a wave, in the order of ``waves``; a pruning step if there is anything to prune.

    ``recreate``: objects that can only be changed by deleting them first, each with its wave; the
    wave's step wants their names typed.

    ``reveal`` gives a wave's objects with real values and is called only while the step runs.
    ``gate_kinds`` are added to those of ``gates``. ``prune`` is what the approved survey showed;
    it must be the same list when the steps are built again to resume.
    """
    kinds = {**GATE_KINDS, **(gate_kinds or {})}
    typed = {wave.id: [k for k, w in (recreate or {}).items() if w == wave.id] for wave in waves}
    steps: list[Step] = [
        WaveStep(wave, reveal, handle, kinds, tuple(typed[wave.id])) for wave in waves
    ]
    if prune:
        phase = waves[-1].phase if waves else "Remove"
        steps.append(PruneStep(prune, handle, phase, tuple(wave.id for wave in waves)))
    return tuple(steps)


def planned_wave(wave: ObjectWave, destroys: tuple[str, ...] = ()) -> PlannedStep:
    """Pure. The input hash is over the objects and gates as planned, and nothing else."""
    refs = [ObjectRef.of(manifest) for manifest in wave.objects]
    claims = [claim.key for manifest in wave.objects for claim in claims_of(manifest)]
    state = {
        "objects": list(wave.objects),
        "gates": [_gate_json(gate) for gate in wave.gates],
    }
    return PlannedStep(
        id=wave.id,
        title=wave.title,
        phase=wave.phase,
        needs=wave.needs,
        input_hash=digest(state),
        targets=(*(ref.key for ref in refs), *claims),
        drift=DriftPolicy.REAPPLY,
        settings_read=wave.settings_read,
        summary=counted(refs),
        destroys=destroys,
    )


def _gate_json(gate: Gate) -> dict[str, Any]:
    params = {name: value for name, value in gate.params.items()}
    return {"kind": gate.kind, "ref": gate.ref.key, "timeout": gate.timeout, "params": params}


def counted(refs: Iterable[ObjectRef]) -> str:
    """``2 ConfigMap, 1 Service``."""
    kinds = Counter(ref.kind for ref in refs)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


class WaveStep:
    """Applies one wave and waits until all of it is ready and its gates hold."""

    def __init__(
        self,
        wave: ObjectWave,
        reveal: Reveal,
        handle: ClusterHandle,
        kinds: Mapping[str, GateKind],
        destroys: tuple[str, ...] = (),
    ) -> None:
        self._wave = wave
        self._reveal = reveal
        self._handle = handle
        self._kinds = kinds
        self._planned = planned_wave(wave, destroys)

    @property
    def planned(self) -> PlannedStep:
        return self._planned

    def _wanted(self) -> list[Wanted]:
        revealed = self._reveal(self._wave.id)
        pairs = zip(self._wave.objects, revealed, strict=True)
        return [Wanted(planned, real) for planned, real in pairs]

    async def probe(self, ctx: StepContext) -> Probe:
        judged = await judge_all(self._handle, self._wanted())
        details = tuple(f"{j.ref}: {line}" for j in judged for line in j.lines)
        standings = {j.standing for j in judged}
        if standings == {Standing.SAME} or not standings:
            incomplete = self._unrecorded()
            return Probe(Finding.DIFFERS if incomplete else Finding.SAME, incomplete)
        if standings == {Standing.ABSENT}:
            return Probe(Finding.ABSENT)
        absent = tuple(f"{j.ref}: is not there" for j in judged if j.standing is Standing.ABSENT)
        return Probe(Finding.DIFFERS, details + absent)

    def _unrecorded(self) -> tuple[str, ...]:
        """Objects that are there as declared but were not recorded as such before a crash."""
        inventory = self._handle.inventory
        refs = [ObjectRef.of(manifest) for manifest in self._wave.objects]
        records = [(ref, inventory.get(ref)) for ref in refs]
        return tuple(
            f"{ref}: the inventory does not show it as applied"
            for ref, record in records
            if record is None or record.state is not RecordState.APPLIED
        )

    async def apply(self, ctx: StepContext) -> StepOutcome:
        revealed = self._reveal(self._wave.id)
        result = await apply_wave(self._handle, ctx, self._wave, revealed)
        hashes = {ObjectRef.of(m).key: _content_hash(m) for m in self._wave.objects}
        return StepOutcome(outputs={"objects": hashes}, changed=result.changed)

    async def verify(self, ctx: StepContext) -> None:
        timeouts = [gate.timeout for gate in self._wave.gates if gate.kind == "ready"]
        within = max([READY_TIMEOUT, *timeouts])
        for warning in await wait_ready(self._handle, ctx, self._wave.objects, within):
            ctx.log(f"warning: {warning}")
        for gate in self._wave.gates:
            await hold(self._handle, ctx, gate, self._kinds)


def _content_hash(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(ANNOTATION_HASH, ""))


class PruneStep:
    """Removes recorded objects that the settings no longer ask for."""

    def __init__(
        self, records: Sequence[Record], handle: ClusterHandle, phase: str, needs: tuple[str, ...]
    ) -> None:
        self._handle = handle
        self._doomed = tuple(Doomed.of(record) for record in records)
        refs = sorted(record.ref for record in records)
        self._planned = PlannedStep(
            id=PRUNE,
            title="Remove what is no longer wanted",
            phase=phase,
            needs=needs,
            input_hash=digest([ref.key for ref in refs]),
            targets=tuple(ref.key for ref in refs),
            cannot_undo=tuple(f"{ref} is deleted" for ref in refs),
            summary=counted(refs),
            destroys=tuple(ref.key for ref in refs if holds_data(ref)),
            removal=True,
        )

    @property
    def planned(self) -> PlannedStep:
        return self._planned

    async def probe(self, ctx: StepContext) -> Probe:
        await self._handle.inventory.load_once()
        there = await still_there(self._handle, self._doomed)
        recorded = [d for d in self._doomed if self._handle.inventory.get(d.ref) is not None]
        if not there and not recorded:
            return Probe(Finding.SAME)
        return Probe(Finding.DIFFERS, tuple(f"{item.ref}: still there" for item in there))

    async def apply(self, ctx: StepContext) -> StepOutcome:
        return StepOutcome(changed=await remove_all(self._handle, ctx, self._doomed))

    async def verify(self, ctx: StepContext) -> None:
        """``apply`` returns only when all of it is gone."""
        return None
