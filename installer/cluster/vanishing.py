"""Waits until an object is really gone, and explains who holds one that stays."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from installer.cluster.handle import ClusterHandle
from installer.core.errors import InstallError
from installer.core.objects import Manifest, ObjectRef
from installer.core.step import StepContext

FIRST_LOOK, SLOWEST_LOOK = 0.25, 2.0  # seconds between looks, doubling
OBJECT_TIMEOUT = 120.0  # seconds
NAMESPACE_TIMEOUT = 300.0  # its contents end first, pods with their grace periods

# Finalizers that the cluster itself sets (k8s.io/kubernetes 1.36: pkg/controller, and the staging
# module cloud-provider); any other is named by its domain, which is its controller's.
_HOLDERS: Mapping[str, str] = {
    "kubernetes.io/pvc-protection": "a pod still uses the volume claim",
    "kubernetes.io/pv-protection": "a volume claim is still bound to it",
    "foregroundDeletion": "objects that belong to it are deleted first",
    "orphan": "the garbage collector detaches what belongs to it",
    "kubernetes": "the namespace controller empties it",
    "service.kubernetes.io/load-balancer-cleanup": "the load balancer's controller frees its "
    "address",
    "batch.kubernetes.io/job-tracking": "the Job controller counts its pods",
    "customresourcecleanup.apiextensions.k8s.io": "its custom resources are deleted first",
}


def holders(live: Mapping[str, Any]) -> tuple[str, ...]:
    """What keeps an object that is being deleted, one line each."""
    meta = live["metadata"]
    return (*_finalizers(meta.get("finalizers") or ()), *_namespace_conditions(live))


def _finalizers(names: list[str] | tuple[str, ...]) -> Iterator[str]:
    for name in names:
        domain, slash, _ = name.partition("/")
        controller = f"the controller of {domain}" if slash else "whoever set it"
        yield f"finalizer {name}: {_HOLDERS.get(name, f'{controller} must remove it')}"


_TELLING = (
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
)


def _namespace_conditions(live: Mapping[str, Any]) -> Iterator[str]:
    if live.get("kind") != "Namespace":
        return
    for entry in live.get("status", {}).get("conditions") or ():
        if entry.get("type") in _TELLING and entry.get("status") == "True":
            yield str(entry.get("message") or entry["type"])


async def wait_gone(
    handle: ClusterHandle, ctx: StepContext, ref: ObjectRef, *, uid: str = ""
) -> None:
    """Returns when the API no longer has it, or has another of its name.

    Raises InstallError: NAMESPACE-STUCK or OBJECT-STUCK with who holds it.
    """
    limit = NAMESPACE_TIMEOUT if ref.kind == "Namespace" else OBJECT_TIMEOUT
    started = handle.clock.monotonic()
    pause = FIRST_LOOK
    while True:
        live = await handle.retry.run(partial(handle.api.get, ref))
        if live is None or (uid and live["metadata"]["uid"] != uid):
            handle.snapshot.forget([ref])
            return
        if handle.clock.monotonic() - started > limit:
            raise stuck(ref, live, limit)
        seen = "; ".join(holders(live)) or "nothing holds it; the cluster is at work"
        ctx.waiting("what is deleted to be gone", f"{ref}: {seen}")
        await handle.clock.sleep(pause)
        pause = min(pause * 2, SLOWEST_LOOK)


def stuck(ref: ObjectRef, live: Manifest, limit: float) -> InstallError:
    """The error for an object that does not go."""
    held = holders(live)
    meta = live["metadata"]
    since = meta.get("deletionTimestamp", "never asked to go")
    code = "NAMESPACE-STUCK" if ref.kind == "Namespace" else "OBJECT-STUCK"
    where = f" -n {ref.namespace}" if ref.namespace else ""
    return InstallError(
        code,
        f"{ref} is being deleted and does not go",
        "; ".join(held) or f"nothing is seen to hold it, after {limit:.0f} s",
        "Let the controller named above finish, or start it again if it is gone. Removing the "
        "finalizer by hand leaves behind what it would have cleaned up: "
        f"kubectl{where} edit {ref.group_kind} {ref.name}. Then try again.",
        retryable=True,
        evidence=(f"deletionTimestamp {since}, waited {limit:.0f} s", *held),
    )
