"""One install gives the same events on the simulated API server and on the real one.

Compared step by step: type, step, objects, outcome. Uids, versions, times, retries and the words
of waits are the far end's own.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.installs import Line, Operator, Ran, disk_folder, operator
from tests.cluster.rehearsed import RehearsedOperator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

ID = "alike"
# The shapes of the shared cluster's nodes, as the simulated server takes them.
NODES = tuple(f"node-{number}:64:256Gi:1000Gi" for number in (1, 2, 3))
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def real(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(control_plane, wire, ID) as made:
        yield made


@pytest.fixture
def simulated(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    folder = disk_folder()
    with RehearsedOperator(control_plane, wire, folder, ID, nodes=NODES) as made:
        yield made


def events(ran: Ran) -> list[tuple[Any, ...]]:
    return [_alike(line) for line in ran.events if line["event"] != "step-waiting"]


def _alike(line: Line) -> tuple[Any, ...]:
    data = line["data"]
    match line["event"]:
        case "run-started":
            return ("run-started", data["run"], data["kind"], data["resumes"])
        case "plan-approved":
            steps = [{**s, "input_hash": ""} for s in data["plan"]["steps"]]
            return ("plan-approved", steps, data["plan"]["standing"], data["plan"]["notes"])
        case "step-done":
            outputs = {name: sorted(value) for name, value in data["outputs"].items()}
            return ("step-done", data["step"], sorted(data["changed"]), outputs)
        case "step-failed":
            return ("step-failed", data["step"], data["error"]["code"])
        case "drift-found":
            return ("drift-found", data["step"], data["policy"], len(data["details"]))
        case "run-finished":
            return ("run-finished", data["changed"])
        case kind:
            return (kind, data.get("step", ""))


def test_the_same_events_on_both(real: Operator, simulated: Operator) -> None:
    stages: list[tuple[str, ...]] = [
        ("--answers", "FILE"),
        ("--answers", "FILE"),
        ("--answers", "FILE"),
        ("--uninstall", "destroy"),
    ]
    for number, words in enumerate(stages):
        told = []
        for desk in (real, simulated):
            if number == 2:
                desk.write_settings(scale__overrides={"redis": {"memory": "3Gi"}})
            said = [str(desk.answers) if word == "FILE" else word for word in words]
            told.append(events(desk.run(*said, "--yes")))
        assert told[0] == told[1], f"stage {number}"
