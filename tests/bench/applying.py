"""Applying 300 objects: ``kubectl apply --server-side`` and the engine in turn on one server, on
this machine and with the ten milliseconds of a round trip that a cluster down the line has."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.measuring import Cost, measure, median
from tests.bench.objects import objects
from tests.lab import builds
from tests.lab.control_plane import ControlPlane

ROUND_TRIP = 10.0  # milliseconds of the far server


@dataclass(frozen=True)
class Row:
    """One thing done by both: medians over all rounds. ``within``: of ours, the part after the
    cluster was reached, which is what a step of a running engine costs."""

    what: str
    peer: Cost
    ours: Cost
    within: Cost


def run(folder: Path, rounds: int) -> tuple[Row, ...]:
    """Peer and ours in turn, each round in namespaces of its own."""
    with ControlPlane(folder / "plane") as plane:
        near = plane.admin_kubeconfig(folder / "near")
        rows = _series(folder, "near", str(near), rounds)
        with _far(folder, near, plane.server) as far:
            return (*rows, *_series(folder, "far", str(far), rounds))


def _series(folder: Path, place: str, kubeconfig: str, rounds: int) -> tuple[Row, ...]:
    costs: dict[tuple[str, str], list[Cost]] = {}
    for number in range(rounds):
        commands = list(_commands(folder, f"{place}{number}", kubeconfig))
        for phase in ("create 300 objects", "apply them again, nothing changed"):
            # Whoever comes second finds a warmer server: they take turns at that too.
            for who, words in commands if number % 2 else reversed(commands):
                costs.setdefault((phase, who), []).append(measure(words))
    far = f", {ROUND_TRIP:.0f} ms away" if place == "far" else ""
    rows = []
    for phase in dict.fromkeys(phase for phase, _ in costs):
        ours = costs[phase, "ours"]
        peer = median(costs[phase, "kubectl"])
        rows.append(Row(phase + far, peer, median(ours), median([_within(cost) for cost in ours])))
    return tuple(rows)


def _within(cost: Cost) -> Cost:
    said = json.loads(cost.said)
    return Cost(said["wall"], said["cpu"], cost.peak_mib)


def _commands(folder: Path, name: str, kubeconfig: str) -> Iterator[tuple[str, Sequence[str]]]:
    theirs = _written(folder, f"kubectl-{name}", "", marked=False)
    kubectl = [str(builds.kubectl()), "--kubeconfig", kubeconfig, "apply", "--server-side"]
    yield "kubectl", [*kubectl, "-f", str(theirs)]
    uid = str(uuid.uuid4())
    mine = _written(folder, f"ours-{name}", uid, marked=True)
    ours = [sys.executable, "-m", "tests.bench.ours", kubeconfig, str(mine)]
    yield "ours", [*ours, f"ours-{name}", uid, str(folder / "scratch")]


def _written(folder: Path, install_id: str, uid: str, *, marked: bool) -> Path:
    path = folder / f"{install_id}.json"
    items = objects(install_id, uid, marked=marked)
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path


@contextmanager
def _far(folder: Path, near: Path, server: str) -> Iterator[Path]:
    """A kubeconfig that leads to the server through a slower line."""
    port = str(urlsplit(server).port)
    command = [sys.executable, "-m", "tests.bench.latency", port, str(ROUND_TRIP)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            through = proxy.stdout.readline().strip()
            path = folder / "far"
            path.write_text(near.read_text().replace(f":{port}", f":{through}"))
            path.chmod(0o600)
            yield path
        finally:
            proxy.kill()
