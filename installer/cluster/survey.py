"""What a plan needs to know of the cluster before the first write. Reads and dry runs only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from installer.cluster.failures import Replacement
from installer.cluster.handle import ClusterHandle, Consents
from installer.cluster.inventory import listed_by_others
from installer.cluster.judging import Judgement, Standing, Wanted, judge_all
from installer.cluster.ownership import ForeignObject
from installer.cluster.records import Record
from installer.cluster.recreate import growth
from installer.cluster.removal import Doomed, holds_data, still_there
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import Manifest, ObjectRef, ObjectWave

Reveal: TypeAlias = Callable[[str], Sequence[Manifest]]  # wave id -> its objects with real values


@dataclass(frozen=True)
class Surveyed:
    """How one wanted object stands. ``owner`` is set for a foreign one; ``conflict``: fields of
    ours that somebody else set (``lines`` say who); ``replacement``: it cannot be changed in
    place; ``refusal``: it cannot be done at all, in words."""

    ref: ObjectRef
    wave: str
    standing: Standing
    lines: tuple[str, ...] = ()
    owner: str = ""
    conflict: bool = False
    replacement: Replacement | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Survey:
    """``prune``: recorded objects that are no longer wanted and will be removed; ``kept``: those
    that only typed consent removes, because data hangs on them."""

    objects: tuple[Surveyed, ...]
    prune: tuple[Record, ...]
    kept: tuple[Record, ...]
    foreign: tuple[ForeignObject, ...]

    def standing(self, *wanted: Standing) -> tuple[Surveyed, ...]:
        return tuple(found for found in self.objects if found.standing in wanted)

    @property
    def new(self) -> tuple[Surveyed, ...]:
        return self.standing(Standing.ABSENT, Standing.LEAVING)

    @property
    def changed(self) -> tuple[Surveyed, ...]:
        return self.standing(Standing.DIFFERS)

    @property
    def unchanged(self) -> tuple[Surveyed, ...]:
        return self.standing(Standing.SAME)

    @property
    def nothing_to_do(self) -> bool:
        return len(self.unchanged) == len(self.objects) and not self.prune

    @property
    def need_consent(self) -> tuple[Surveyed, ...]:
        """Objects that can only be changed by an outage of theirs: each needs its name typed."""
        return tuple(
            found
            for found in self.objects
            if found.replacement is Replacement.RECREATE_WITH_CONSENT
        )

    @property
    def refused(self) -> tuple[Surveyed, ...]:
        """Objects that an apply would stop at, as far as it can be known before."""
        return tuple(found for found in self.objects if found.refusal)

    def consents(self, accepted: Consents | None = None) -> Consents:
        """What approval of a plan that shows this survey covers, with what was typed on top.

        A changed field that is shown, with who changed it, may be set back; nothing else is
        implied.
        """
        shown = frozenset(found.ref.key for found in self.objects if found.conflict)
        base = accepted or Consents()
        return replace(base, take_back=base.take_back | shown)

    def lines(self) -> tuple[str, ...]:
        """For the plan: what is not simply new or unchanged, one line each."""
        found = [f"{item.ref}: {line}" for item in self.changed for line in item.lines]
        found += [f"{item.ref} is removed: no longer wanted" for item in self.prune]
        found += [
            f"{item.ref} stays although no longer wanted: it may hold data" for item in self.kept
        ]
        return tuple(found)


async def survey(
    handle: ClusterHandle, waves: Sequence[ObjectWave], reveal: Reveal | None = None
) -> Survey:
    """Judges every object of the waves, and what the inventory lists beyond them.

    Without ``reveal`` Secrets are judged by hash and by who wrote them. Raises ApiFailure, and
    InstallError for an inventory that cannot be read.
    """
    await handle.inventory.load()
    wanted = [item for wave in waves for item in _wanted(wave, reveal)]
    judged = await judge_all(handle, wanted)
    wave_of = {ObjectRef.of(m).key: wave.id for wave in waves for m in wave.objects}
    prune, kept = await _unwanted(handle, wave_of)
    return Survey(
        tuple([await _surveyed(handle, judgement, wave_of) for judgement in judged]),
        prune,
        kept,
        tuple(j.foreign for j in judged if j.foreign is not None),
    )


def refused_changes(found: Survey) -> InstallError | None:
    """CHANGE-REFUSED for all of ``found.refused`` at once; None where there are none."""
    if not found.refused:
        return None
    lines = [f"{item.ref}: {item.refusal}" for item in found.refused]
    return InstallError(
        "CHANGE-REFUSED",
        f"{len(lines)} of the changes cannot be made",
        "; ".join(lines[:10]),
        "Set back the settings behind them; see each object named above.",
        exit_code=ExitCode.REFUSED,
    )


def _wanted(wave: ObjectWave, reveal: Reveal | None) -> list[Wanted]:
    if reveal is None:
        return [Wanted(m, None if m["kind"] == "Secret" else m) for m in wave.objects]
    return [Wanted(m, real) for m, real in zip(wave.objects, reveal(wave.id), strict=True)]


async def _surveyed(
    handle: ClusterHandle, judgement: Judgement, wave_of: Mapping[str, str]
) -> Surveyed:
    failure = judgement.failure
    return Surveyed(
        judgement.ref,
        wave_of[judgement.ref.key],
        judgement.standing,
        judgement.lines,
        judgement.foreign.owner if judgement.foreign else "",
        judgement.conflict,
        failure.verdict.replacement if failure is not None else None,
        await _refusal(handle, judgement),
    )


async def _refusal(handle: ClusterHandle, judgement: Judgement) -> str:
    failure, live = judgement.failure, judgement.live
    if failure is None or live is None or judgement.conflict:
        return ""
    replacement = failure.verdict.replacement
    if replacement is None or replacement in (Replacement.NEVER, Replacement.NEW_NAME):
        return failure.cause
    if replacement is Replacement.ORPHAN_RECREATE:
        try:
            await growth(handle, judgement.wanted.planned, live)
        except InstallError as refused:
            return refused.cause
    return ""


async def _unwanted(
    handle: ClusterHandle, wave_of: Mapping[str, Any]
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """(to remove, to keep for lack of consent), as far as they still exist and are only ours."""
    records = {k: r for k, r in handle.inventory.records.items() if k not in wave_of}
    if not records:
        return (), ()
    shared = await listed_by_others(handle.api, handle.install_id)
    there = await still_there(handle, (Doomed.of(record) for record in records.values()))
    present = {item.ref.key for item in there}
    # What is gone already is pruned too: only the inventory forgets it.
    prune = [r for k, r in records.items() if k not in shared]
    keep = [
        r
        for r in prune
        if holds_data(r.ref) and r.ref.key in present and r.ref.key not in handle.consents.destroy
    ]
    return tuple(r for r in prune if r not in keep), tuple(keep)
