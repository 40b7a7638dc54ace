"""Deletes objects of ours in order and waits until they are really gone."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass

from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.handle import ClusterHandle
from installer.cluster.ordering import rank, ranked
from installer.cluster.ownership import is_ours
from installer.cluster.records import Record
from installer.cluster.telling import sent_again
from installer.cluster.vanishing import wait_gone
from installer.core.errors import InstallError
from installer.core.objects import Manifest, ObjectRef
from installer.core.step import StepContext

_WORKLOADS = 3  # rank: their pods go first, so that what pods use is free after

# Deleting one of these deletes data, or what others may keep in it.
DATA_KINDS = frozenset(
    {
        "persistentvolumeclaim",
        "persistentvolume",
        "namespace",
        "customresourcedefinition.apiextensions.k8s.io",
        "cluster.postgresql.cnpg.io",
        "database.postgresql.cnpg.io",
        "objectstore.barmancloud.cnpg.io",
    }
)


def holds_data(ref: ObjectRef) -> bool:
    return ref.group_kind in DATA_KINDS


@dataclass(frozen=True)
class Doomed:
    """An object to delete; an empty ``uid`` means that we are not sure to have made it."""

    ref: ObjectRef
    uid: str = ""

    @classmethod
    def of(cls, record: Record) -> "Doomed":
        return cls(record.ref, record.uid)


def in_reverse(doomed: Iterable[Doomed]) -> Sequence[tuple[Doomed, ...]]:
    """Groups in the order of removal: custom resources while their operators still run, and
    namespaces and definitions last."""
    return list(reversed(ranked((item.ref, item) for item in doomed)))


async def still_there(handle: ClusterHandle, doomed: Iterable[Doomed]) -> tuple[Doomed, ...]:
    """Those that exist and are ours, with their uid."""
    items = tuple(doomed)
    live = await handle.snapshot.find([item.ref for item in items])
    found = []
    for item in items:
        manifest = live.get(item.ref.key)
        if manifest is not None and _may_go(handle, item, manifest):
            found.append(Doomed(item.ref, manifest["metadata"]["uid"]))
    return tuple(found)


def _may_go(handle: ClusterHandle, item: Doomed, live: Manifest) -> bool:
    """By uid what we made; under another uid only what carries our mark (we made it again)."""
    return live["metadata"]["uid"] == item.uid or is_ours(live, handle.install_uid)


async def remove_all(
    handle: ClusterHandle, ctx: StepContext, doomed: Iterable[Doomed]
) -> tuple[str, ...]:
    """Keys of what was there and is gone, group by group; the inventory forgets all of it at once.

    Raises InstallError: OBJECT-STUCK, NAMESPACE-STUCK.
    """
    items = tuple(doomed)
    there = await still_there(handle, items)
    for group in in_reverse(there):
        await _settled(_delete(handle, ctx, item) for item in group)
        handle.snapshot.forget(item.ref for item in group)
        await _settled(wait_gone(handle, ctx, item.ref, uid=item.uid) for item in group)
    await handle.inventory.load_once()
    await handle.inventory.remove(ctx, [item.ref.key for item in items])
    return tuple(item.ref.key for item in there)


async def _delete(handle: ClusterHandle, ctx: StepContext, item: Doomed) -> None:
    propagation = "Foreground" if rank(item.ref) == _WORKLOADS else "Background"

    async def once() -> None:
        async with handle.limit.slot(), ctx.gate.mutation("delete", item.ref.key):
            await handle.api.delete(item.ref, uid=item.uid, propagation=propagation)

    try:
        await handle.retry.run(once, on_wait=sent_again(ctx, item.ref))
    except ApiFailure as failure:
        # Gone and made again by somebody since we looked: that one is not ours to delete.
        if failure.kind is not FailureKind.VERSION_CONFLICT:
            raise


async def _settled(calls: Iterable[Awaitable[None]]) -> None:
    """All of them end before the first failure is raised."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise next((f for f in failures if not isinstance(f, InstallError)), failures[0])
