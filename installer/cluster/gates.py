"""Gates that the cluster room knows: another object's readiness, and a webhook that answers.

Further kinds are handed in by whoever builds the steps.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.handle import ClusterHandle
from installer.cluster.waiting import wait_ready
from installer.core.errors import InstallError
from installer.core.objects import Gate, Manifest
from installer.core.step import StepContext

WEBHOOK_LOOK = 2.0  # seconds between two dry runs

GateKind: TypeAlias = Callable[[ClusterHandle, StepContext, Gate], Awaitable[None]]


async def ready_gate(handle: ClusterHandle, ctx: StepContext, gate: Gate) -> None:
    """The object that the gate names is ready by its kind's rule; it need not be ours."""
    ref = gate.ref
    stub: Manifest = {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"namespace": ref.namespace, "name": ref.name},
    }
    ctx.waiting(gate.waits_for)
    await wait_ready(handle, ctx, [stub], gate.timeout, ours=False)


async def webhook_gate(handle: ClusterHandle, ctx: StepContext, gate: Gate) -> None:
    """A dry-run create of an object that the webhook guards succeeds.

    ``params["manifest"]`` is that object. A pod that is Ready and a webhook that answers are two
    things: https://github.com/cert-manager/cert-manager/issues/2908.
    """
    manifest: Manifest = dict(gate.params["manifest"])
    started = handle.clock.monotonic()
    while True:
        try:
            async with handle.limit.slot():
                await handle.api.apply(manifest, dry_run=True, force=True)
            return
        except ApiFailure as failure:
            passing = failure.verdict.transient or failure.kind in (
                FailureKind.NO_SUCH_API,
                FailureKind.NAMESPACE_MISSING,
            )
            if not passing:
                raise
            if handle.clock.monotonic() - started > gate.timeout:
                raise _webhook_down(gate, failure) from failure
            ctx.waiting(gate.waits_for, failure.cause)
        await handle.clock.sleep(WEBHOOK_LOOK)


def _webhook_down(gate: Gate, failure: ApiFailure) -> InstallError:
    name = failure.verdict.webhook or "the webhook"
    return InstallError(
        "WEBHOOK-NOT-READY",
        f"{name} does not answer",
        failure.cause,
        "See whether its pods run, its Service has endpoints and the API server reaches them "
        "(network policies, node firewall), then try again.",
        retryable=True,
        evidence=(f"waited {gate.timeout:.0f} s for {gate.waits_for}", *failure.evidence),
    )


GATE_KINDS: Mapping[str, GateKind] = {"ready": ready_gate, "webhook": webhook_gate}


async def hold(
    handle: ClusterHandle, ctx: StepContext, gate: Gate, kinds: Mapping[str, GateKind]
) -> None:
    """Waits for one gate. Raises InstallError GATE-UNKNOWN for a kind that nobody brought."""
    kind = kinds.get(gate.kind)
    if kind is None:
        raise InstallError(
            "GATE-UNKNOWN",
            f"gate {gate.kind} is not known",
            f"{gate.ref} asks for it; known are {', '.join(sorted(kinds))}",
            "This is a defect of the component that declares it: report it.",
        )
    await kind(handle, ctx, gate)
