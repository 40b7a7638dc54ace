"""The engine's way of applying, as a program: ``ours KUBECONFIG OBJECTS.json INSTALL-ID UID DIR``.

Everything that a run does to objects is in it: credentials, client, inventory, judging, writing.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.cluster.apply import apply_wave
from installer.cluster.client import ApiClient
from installer.cluster.control import ensure_control_namespace
from installer.cluster.handle import open_handle
from installer.cluster.informer import Informers
from installer.cluster.kubeconfig import load_target
from installer.core.clock import Clock, SystemClock
from installer.core.objects import Manifest, ObjectWave
from installer.core.step import MutationGate


class OpenGate:
    """Lets everything pass: nobody approves a plan in a measurement."""

    @asynccontextmanager
    async def mutation(self, verb: str, target: str) -> AsyncIterator[None]:
        yield


@dataclass
class QuietContext:
    """A step's context that tells nobody."""

    clock: Clock = field(default_factory=SystemClock)
    gate: MutationGate = field(default_factory=OpenGate)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def waiting(self, what: str, last_seen: str = "") -> None:
        return None

    def log(self, line: str) -> None:
        return None


async def apply_all(
    kubeconfig: Path, objects: Sequence[Manifest], install_id: str, uid: str, scratch: Path
) -> dict[str, float]:
    """Applies, and writes what it took once the cluster was reached: number of objects written,
    wall and CPU seconds."""
    clock = SystemClock()
    target = await load_target(kubeconfig, None, scratch, clock=clock)
    async with ApiClient(target, clock=clock) as client, Informers(client) as informers:
        handle = open_handle(client, informers, install_id=install_id, install_uid=uid, clock=clock)
        await ensure_control_namespace(client, install_id, uid)
        await handle.inventory.load()
        spaces = [m for m in objects if m["kind"] == "Namespace"]
        rest = [m for m in objects if m["kind"] != "Namespace"]
        changed, wall, cpu = 0, time.monotonic(), time.process_time()
        for number, group in enumerate((spaces, rest)):
            wave = ObjectWave(f"bench/{number}", "bench", "Bench", "bench", (), tuple(group))
            changed += len((await apply_wave(handle, QuietContext(), wave, group)).changed)
        return {
            "changed": changed,
            "wall": time.monotonic() - wall,
            "cpu": time.process_time() - cpu,
        }


def main(arguments: Sequence[str]) -> int:
    kubeconfig, objects, install_id, uid, scratch = arguments
    loaded = json.loads(Path(objects).read_bytes())["items"]
    took = asyncio.run(apply_all(Path(kubeconfig), loaded, install_id, uid, Path(scratch)))
    sys.stdout.write(json.dumps(took) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
