"""The simulated API server as a process of its own: `python -m installer.rehearsal.server_main`.

It ends by itself when nobody has been connected for a while, and when its directory vanishes.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from installer.rehearsal.faults import checked
from installer.rehearsal.kube.bootstrap import ClusterShape, NodeShape
from installer.rehearsal.kube.server import Options, SimulatedApi

LOOK_SECONDS = 0.5
ROLE_LABEL = "matrix.io/role"
NODE_FORM = "NAME:CPU:MEMORY[:DISK[:ROLE]], ROLE as in the label matrix.io/role; repeatable"


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; prints one line `ready KUBECONFIG` once clients can come."""
    given = _parser().parse_args(arguments)
    try:
        faults = checked(given.fault)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = Options(
        speed=given.speed,
        faults=faults,
        shape=_shape(given.node, given.load_balancer_pool),
    )
    asyncio.run(_serve(given.dir, options, given.idle))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="installer.rehearsal.server_main")
    parser.add_argument("--dir", type=Path, required=True, help="the cluster is kept in DIR")
    parser.add_argument("--speed", type=float, default=1.0, help="1 as slow as real, inf at once")
    parser.add_argument("--fault", action="append", default=[], help="show a fault; repeatable")
    parser.add_argument("--idle", type=float, default=120.0, help="end after N unused seconds")
    parser.add_argument("--node", action="append", default=[], help=NODE_FORM)
    parser.add_argument("--load-balancer-pool", default="", help="IPv4 prefix, as 198.51.100.")
    return parser


def _shape(nodes: list[str], pool: str) -> ClusterShape:
    if not nodes:
        return ClusterShape(load_balancer_pool=pool)
    return ClusterShape(nodes=tuple(_node(text) for text in nodes), load_balancer_pool=pool)


def _node(text: str) -> NodeShape:
    name, cpu, memory, *more = text.split(":")
    disk, role = (*more, "", "")[:2]
    return NodeShape(
        name,
        int(cpu),
        memory,
        disk or NodeShape.disk,
        labels=((ROLE_LABEL, role),) if role else (),
        control_plane=role == "control",
    )


async def _serve(folder: Path, options: Options, idle: float) -> None:
    server = SimulatedApi(folder, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end)
    await server.start()
    sys.stdout.write(f"ready {server.kubeconfig}\n")
    sys.stdout.flush()
    try:
        await _until_unused(server, idle)
    finally:
        await server.stop()


async def _until_unused(server: SimulatedApi, idle: float) -> None:
    used = time.monotonic()
    while not server.ended.is_set():
        if server.busy():
            used = time.monotonic()
        if time.monotonic() - max(used, server.last_used) > idle:
            return
        if not await asyncio.to_thread(server.folder.is_dir):
            return
        waiting = asyncio.create_task(server.ended.wait())
        await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
        waiting.cancel()


if __name__ == "__main__":
    sys.exit(main())
