"""The steps of an uninstall: groups in the reverse of the order in which things are applied."""

from collections.abc import Mapping, Sequence

from installer.cluster.control import control_namespace_ref
from installer.cluster.handle import ClusterHandle
from installer.cluster.inventory import standing_targets
from installer.cluster.ordering import rank
from installer.cluster.ownership import is_ours
from installer.cluster.removal import Doomed, holds_data, remove_all, still_there
from installer.cluster.steps import counted
from installer.cluster.telling import sent_again
from installer.cluster.uninstall_survey import UninstallMode, UninstallSurvey
from installer.cluster.vanishing import wait_gone
from installer.core.canonical import digest
from installer.core.errors import ExitCode, InstallError
from installer.core.step import (
    FarEndLock,
    Finding,
    PlannedStep,
    Probe,
    Step,
    StepContext,
    StepOutcome,
)

PHASE = "Remove"

# Titles by rank, in the order of removal; volumes go when no pod uses them any more.
_TITLES: Mapping[int, str] = {
    5: "Remove custom resources",
    4: "Remove webhooks",
    3: "Remove workloads",
    2: "Remove role bindings",
    1: "Remove configuration",
    0: "Remove namespaces and definitions",
}


def uninstall_steps(
    handle: ClusterHandle, found: UninstallSurvey, accepted: frozenset[str] = frozenset()
) -> tuple[Step, ...]:
    """Steps in a chain, each after the one before.

    ``found`` is the survey that was approved; it must be the same when the steps are built again
    to resume. ``accepted``: the names that were typed. Raises InstallError CONSENT-MISSING.
    """
    missing = [name for name in found.confirm if name not in accepted]
    if missing:
        raise InstallError(
            "CONSENT-MISSING",
            "destroying data needs each name",
            f"not confirmed: {', '.join(missing)}",
            "Give --yes-destroy with each of these names, or keep the data.",
            exit_code=ExitCode.REFUSED,
        )
    steps: list[Step] = []
    for number, title in _TITLES.items():
        group = [item for item in found.removes if rank(item.ref) == number]
        if number == 0:
            steps += _chained(steps, handle, "volumes", "Remove volumes", found.volumes, found)
        steps += _chained(steps, handle, str(number), title, group, found)
    if found.forgotten or found.mode is UninstallMode.DESTROY:
        steps.append(ControlStep(handle, found, _last(steps)))
    return tuple(steps)


def _last(steps: Sequence[Step]) -> tuple[str, ...]:
    return (steps[-1].planned.id,) if steps else ()


def _chained(
    steps: Sequence[Step],
    handle: ClusterHandle,
    name: str,
    title: str,
    group: Sequence[Doomed],
    found: UninstallSurvey,
) -> list[Step]:
    if not group:
        return []
    destroys = tuple(
        item for item in found.confirm if item in {i.ref.name for i in group} | _spaces(group)
    )
    return [RemoveStep(handle, f"remove/{name}", title, group, _last(steps), destroys)]


def _spaces(group: Sequence[Doomed]) -> set[str]:
    return {i.ref.namespace for i in group if i.ref.group_kind == "persistentvolumeclaim"}


class RemoveStep:
    """Removes one group of objects and waits until they are gone."""

    def __init__(
        self,
        handle: ClusterHandle,
        step_id: str,
        title: str,
        group: Sequence[Doomed],
        needs: tuple[str, ...],
        destroys: tuple[str, ...],
    ) -> None:
        self._handle = handle
        self._group = tuple(sorted(group, key=lambda item: item.ref))
        refs = [item.ref for item in self._group]
        self._planned = PlannedStep(
            id=step_id,
            title=title,
            phase=PHASE,
            needs=needs,
            input_hash=digest([ref.key for ref in refs]),
            targets=tuple(ref.key for ref in refs),
            cannot_undo=tuple(f"{ref} is deleted" for ref in refs if holds_data(ref)),
            summary=counted(refs),
            destroys=destroys,
            removal=True,
        )

    @property
    def planned(self) -> PlannedStep:
        return self._planned

    async def probe(self, ctx: StepContext) -> Probe:
        there = await still_there(self._handle, self._group)
        if not there:
            return Probe(Finding.SAME)
        return Probe(Finding.DIFFERS, tuple(f"{item.ref}: still there" for item in there))

    async def apply(self, ctx: StepContext) -> StepOutcome:
        return StepOutcome(changed=await remove_all(self._handle, ctx, self._group))

    async def verify(self, ctx: StepContext) -> None:
        """``apply`` returns only when all of it is gone."""
        return None


class ControlStep:
    """The last one: forgets what is shared, and after ``destroy`` removes the installer's own
    namespace with lease and inventory."""

    def __init__(
        self, handle: ClusterHandle, found: UninstallSurvey, needs: tuple[str, ...]
    ) -> None:
        self._handle = handle
        self._found = found
        self._ref = control_namespace_ref(handle.install_id)
        destroy = found.mode is UninstallMode.DESTROY
        title = "Remove the inventory and the lease" if destroy else "Forget what is shared"
        self._planned = PlannedStep(
            id="remove/control",
            title=title,
            phase=PHASE,
            needs=needs,
            input_hash=digest(found.to_json()),
            targets=standing_targets(handle.install_id),
            removal=True,
        )

    @property
    def planned(self) -> PlannedStep:
        return self._planned

    async def probe(self, ctx: StepContext) -> Probe:
        await self._handle.inventory.load_once()
        if self._found.mode is UninstallMode.DESTROY:
            live = await self._handle.api.get(self._ref)
            there = live is not None and is_ours(live, self._handle.install_uid)
        else:
            forgotten = [self._handle.inventory.get(item.ref) for item in self._found.forgotten]
            there = any(record is not None for record in forgotten)
        return Probe(Finding.DIFFERS if there else Finding.SAME)

    async def apply(self, ctx: StepContext) -> StepOutcome:
        handle = self._handle
        await handle.inventory.load_once()
        if self._found.mode is UninstallMode.KEEP_DATA:
            await handle.inventory.remove(ctx, [i.ref.key for i in self._found.forgotten])
            return StepOutcome()
        live = await handle.api.get(self._ref)
        if live is None or not is_ours(live, handle.install_uid):
            return StepOutcome()
        await handle.inventory.delete(ctx)
        await self._delete(ctx, live["metadata"]["uid"])
        return StepOutcome(changed=(self._ref.key,))

    async def _delete(self, ctx: StepContext, uid: str) -> None:
        handle = self._handle

        async def once() -> None:
            async with ctx.gate.mutation("delete", self._ref.key):
                await handle.api.delete(self._ref, uid=uid)
                handle.control_removed = True

        await handle.retry.run(once, on_wait=sent_again(ctx, self._ref))
        await wait_gone(handle, ctx, self._ref, uid=uid)

    async def verify(self, ctx: StepContext) -> None:
        """``apply`` returns only when all of it is gone."""
        return None


class LeaseUntilRemoved:
    """The cluster's lease for an uninstall: it goes away with the namespace that we delete last,
    which is then no loss."""

    def __init__(self, lease: FarEndLock, handle: ClusterHandle) -> None:
        self._lease = lease
        self._handle = handle

    async def acquire(self) -> None:
        await self._lease.acquire()

    def still_held(self) -> bool:
        return self._handle.control_removed or self._lease.still_held()

    async def keep(self) -> None:
        try:
            await self._lease.keep()
        except InstallError:
            if not self._handle.control_removed:
                raise

    async def release(self) -> None:
        if not self._handle.control_removed:
            await self._lease.release()
