"""Changes of fields that the API does not let change: how each kind gets there instead."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from installer.cluster.failures import ApiFailure, Replacement
from installer.cluster.handle import ClusterHandle
from installer.cluster.quantities import quantity
from installer.cluster.telling import sent_again
from installer.cluster.vanishing import wait_gone
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import Manifest, ObjectRef
from installer.core.step import StepContext

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def claims_of(manifest: Mapping[str, Any]) -> Iterator[ObjectRef]:
    """The volume claims that a StatefulSet's pods have: ``<template>-<set>-<number>``."""
    if manifest["kind"] != "StatefulSet":
        return
    meta, spec = manifest["metadata"], manifest["spec"]
    first = (spec.get("ordinals") or {}).get("start", 0)
    for template in spec.get("volumeClaimTemplates") or ():
        for number in range(first, first + spec.get("replicas", 1)):
            name = f"{template['metadata']['name']}-{meta['name']}-{number}"
            yield ObjectRef("v1", "PersistentVolumeClaim", meta.get("namespace", ""), name)


async def make_way(
    handle: ClusterHandle, ctx: StepContext, manifest: Manifest, live: Manifest, failure: ApiFailure
) -> None:
    """Removes the old object so that the new one can be applied, where that may be done.

    Raises InstallError: RECREATE-NEEDS-CONSENT, IMMUTABLE-NEEDS-NEW-NAME, IMMUTABLE-HOLDS-DATA,
    VOLUME-CANNOT-CHANGE.
    """
    ref = ObjectRef.of(manifest)
    how = failure.verdict.replacement
    if how is Replacement.NEW_NAME:
        raise _refused(
            "IMMUTABLE-NEEDS-NEW-NAME",
            ref,
            failure,
            "It is marked immutable; a change of it needs another name. This is a defect of the "
            "component: report it.",
        )
    if how is Replacement.RECREATE_WITH_CONSENT and ref.key not in handle.consents.recreate:
        raise _refused(
            "RECREATE-NEEDS-CONSENT",
            ref,
            failure,
            "It can only be deleted and made anew, during which it does not serve. Look at the "
            "plan again and accept that by its name.",
        )
    if how is Replacement.ORPHAN_RECREATE:
        await _orphan(handle, ctx, manifest, live, failure)
    elif how in (Replacement.RECREATE, Replacement.RECREATE_WITH_CONSENT):
        await remove(handle, ctx, live)
    else:
        raise _refused(
            "IMMUTABLE-HOLDS-DATA",
            ref,
            failure,
            "Data hangs on it, so it is never replaced by itself. Move the data, or set the "
            "setting back.",
        )


def _refused(code: str, ref: ObjectRef, failure: ApiFailure, remedy: str) -> InstallError:
    fields = ", ".join(failure.verdict.fields) or "its fields"
    return InstallError(
        code,
        f"{ref} cannot be changed in place",
        f"{fields}: {failure.cause}",
        remedy,
        retryable=True,
        evidence=failure.evidence,
        exit_code=ExitCode.REFUSED,
    )


async def _orphan(
    handle: ClusterHandle, ctx: StepContext, manifest: Manifest, live: Manifest, failure: ApiFailure
) -> None:
    """A StatefulSet goes without its pods, which the new one adopts; claims grow in place."""
    ref = ObjectRef.of(manifest)
    selector = manifest["spec"].get("selector") != live["spec"].get("selector")
    if selector and ref.key not in handle.consents.recreate:
        raise _refused(
            "RECREATE-NEEDS-CONSENT",
            ref,
            failure,
            "With another selector its pods are not adopted but made anew. Look at the plan again "
            "and accept that by its name.",
        )
    for claim, size in await growth(handle, manifest, live):
        ctx.log(f"{claim} grows to {size}")
        await _resize(handle, ctx, claim, size)
    await remove(handle, ctx, live, "Background" if selector else "Orphan")


async def _resize(handle: ClusterHandle, ctx: StepContext, claim: ObjectRef, size: str) -> None:
    async def once() -> None:
        async with ctx.gate.mutation("patch", claim.key):
            await handle.api.patch(claim, {"spec": {"resources": {"requests": {"storage": size}}}})

    await handle.retry.run(once, on_wait=sent_again(ctx, claim))


async def remove(
    handle: ClusterHandle, ctx: StepContext, live: Manifest, propagation: str = "Background"
) -> None:
    """Deletes exactly this object, by its uid, and waits until it is gone."""
    live_ref, uid = ObjectRef.of(live), live["metadata"]["uid"]

    async def once() -> None:
        async with ctx.gate.mutation("delete", live_ref.key):
            await handle.api.delete(live_ref, uid=uid, propagation=propagation)

    await handle.retry.run(once, on_wait=sent_again(ctx, live_ref))
    await wait_gone(handle, ctx, live_ref, uid=uid)


async def growth(
    handle: ClusterHandle, manifest: Manifest, live: Manifest
) -> tuple[tuple[ObjectRef, str], ...]:
    """A StatefulSet's claims to resize, with their new size; reads only.

    Raises InstallError VOLUME-CANNOT-CHANGE.
    """
    old = {t["metadata"]["name"]: t for t in live["spec"].get("volumeClaimTemplates") or ()}
    todo: list[tuple[ObjectRef, str]] = []
    for template in manifest["spec"].get("volumeClaimTemplates") or ():
        name = template["metadata"]["name"]
        if name not in old:
            continue  # a new volume: its claims are made with the pods
        _same_class(manifest, template, old[name])
        size = str(_storage(template))
        prefix = f"{name}-{manifest['metadata']['name']}-"
        for claim in claims_of(live):
            if claim.name.startswith(prefix):
                todo += await _claim_growth(handle, claim, size)
    return tuple(todo)


def _storage(spec_holder: Mapping[str, Any]) -> Any:
    return spec_holder["spec"]["resources"]["requests"]["storage"]


def _same_class(manifest: Manifest, template: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    for name in ("storageClassName", "accessModes", "volumeMode"):
        was, now = old["spec"].get(name), template["spec"].get(name)
        if now is not None and now != was:
            raise _cannot(
                ObjectRef.of(manifest),
                f"{name} of volume {template['metadata']['name']} would change from {was} to {now}",
            )


def _cannot(ref: ObjectRef, cause: str) -> InstallError:
    return InstallError(
        "VOLUME-CANNOT-CHANGE",
        f"the volumes of {ref} cannot be changed so",
        cause,
        "Set the setting back; another storage class or a smaller size needs new volumes and a "
        "copy of the data.",
        exit_code=ExitCode.REFUSED,
    )


async def _claim_growth(
    handle: ClusterHandle, claim: ObjectRef, size: str
) -> list[tuple[ObjectRef, str]]:
    live = await handle.retry.run(partial(handle.api.get, claim))
    if live is None:
        return []
    was, now = quantity(_storage(live)), quantity(size)
    if was is None or now is None or now == was:
        return []
    if now < was:
        raise _cannot(claim, f"it has {_storage(live)} and volumes never shrink (asked: {size})")
    if not await _expandable(handle, live):
        name = live["spec"].get("storageClassName") or "(none)"
        raise _cannot(claim, f"storage class {name} does not allow volumes to grow")
    return [(claim, size)]


async def _expandable(handle: ClusterHandle, claim: Manifest) -> bool:
    name = claim["spec"].get("storageClassName")
    listing = await handle.retry.run(partial(handle.api.list, "storage.k8s.io/v1", "StorageClass"))
    for item in listing.items:
        annotations = item["metadata"].get("annotations") or {}
        default = name is None and annotations.get(_DEFAULT_CLASS) == "true"
        if item["metadata"]["name"] == name or default:
            return bool(item.get("allowVolumeExpansion"))
    return False
