"""A program that holds an install's lease with short times and writes as long as it may.

`python -m tests.cluster.lease_holder KUBECONFIG INSTALL_ID DIRECTORY`: prints `held`, then writes
the ConfigMap `beat` through the engine's gate, over and over, until the gate refuses; prints the
code of the refusal. Tests stop and continue it by signals.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

from installer.cluster.client import ApiClient
from installer.cluster.holder import Holder
from installer.cluster.kubeconfig import load_target
from installer.cluster.lease import ClusterLease
from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from installer.core.objects import ObjectRef
from installer.core.plan import Plan, RunKind
from installer.core.step import PlannedStep
from installer.engine.crash import CrashPoints
from installer.engine.gate import PlanGate

DURATION, RENEW_EVERY, RESERVE = 4.0, 0.5, 1.5  # seconds
_BEAT_EVERY = 0.05
INSTALL_UID = "3b0ff3a1-5f5c-4b0e-9d0b-4f1c9c9f8a00"


def lease_of(client: ApiClient, install_id: str, directory: Path) -> ClusterLease:
    return ClusterLease(
        client,
        install_id=install_id,
        holder=Holder.here(directory, run="install", install_uid=INSTALL_UID),
        duration=DURATION,
        renew_every=RENEW_EVERY,
        write_reserve=RESERVE,
    )


def beat_of(install_id: str, number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "beat", "namespace": f"{install_id}-install"},
        "data": {"number": str(number)},
    }


async def hold(kubeconfig: Path, install_id: str, directory: Path) -> str:
    """Returns the code of the error that ended it."""
    clock = SystemClock()
    target = await load_target(kubeconfig, None, directory, clock=clock)
    async with ApiClient(target, clock=clock) as client:
        lease = lease_of(client, install_id, directory)
        await lease.acquire()
        keeping = asyncio.create_task(lease.keep())
        sys.stdout.write("held\n")
        sys.stdout.flush()
        try:
            await _write(client, lease, install_id)
        except InstallError as error:
            return error.code
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
    raise AssertionError("writing ends with an error")


async def _write(client: ApiClient, lease: ClusterLease, install_id: str) -> None:
    ref = ObjectRef("v1", "ConfigMap", f"{install_id}-install", "beat")
    step = PlannedStep("beat", "Beat", "test", (), "0" * 64, (ref.key,))
    plan = Plan(RunKind.INSTALL, install_id, "the lab", (step,), ("test",))
    gate = PlanGate(plan, lease, CrashPoints()).of(step)
    for number in count(1):
        async with gate.mutation("apply", ref.key):
            await client.apply(beat_of(install_id, number))
        await client.clock.sleep(_BEAT_EVERY)


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(hold(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))}\n")
