"""Applying 300 objects: ``kubectl apply --server-side`` and the engine in turn on one server."""

import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import Cost, measure, median
from tests.bench.objects import objects
from tests.lab import builds
from tests.lab.control_plane import ControlPlane


@dataclass(frozen=True)
class Applying:
    """Medians over all rounds."""

    kubectl_create: Cost
    kubectl_again: Cost
    ours_create: Cost
    ours_again: Cost

    def rows(self) -> Iterator[tuple[str, Cost, Cost]]:
        yield "create 300 objects", self.kubectl_create, self.ours_create
        yield "apply them again, nothing changed", self.kubectl_again, self.ours_again


def run(folder: Path, rounds: int) -> Applying:
    """Peer and ours in turn, each round in namespaces of its own."""
    kubectl = str(builds.kubectl())
    costs: dict[str, list[Cost]] = {"kc": [], "ka": [], "oc": [], "oa": []}
    with ControlPlane(folder / "plane") as plane:
        kubeconfig = str(plane.admin_kubeconfig(folder / "kubeconfig"))
        for number in range(rounds):
            theirs = _written(folder, f"kubectl{number}", "", marked=False)
            command = [kubectl, "--kubeconfig", kubeconfig, "apply", "--server-side"]
            command += ["-f", str(theirs)]
            uid = str(uuid.uuid4())
            mine = _written(folder, f"ours{number}", uid, marked=True)
            own = [sys.executable, "-m", "tests.bench.ours", kubeconfig, str(mine)]
            own += [f"ours{number}", uid, str(folder / "scratch")]
            pairs = [("k", command), ("o", own)]
            for phase in "ca":
                for who, words in pairs if number % 2 else reversed(pairs):
                    costs[who + phase].append(measure(words))
    return Applying(*(median(costs[name]) for name in ("kc", "ka", "oc", "oa")))


def _written(folder: Path, install_id: str, uid: str, *, marked: bool) -> Path:
    path = folder / f"{install_id}.json"
    items = objects(install_id, uid, marked=marked)
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path
