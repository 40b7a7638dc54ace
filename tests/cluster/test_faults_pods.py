"""Pods that cannot start: told in words with evidence, and gone on with once they are mended."""

import json
import re
from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster.ends import canaries_of
from tests.cluster.installs import Line, Operator, Ran, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane
from tests.lab.stages import PodFault

_NUMBERS = count(1)
WORKLOADS = "redis/2-workloads"
# The first mutation of the second step: the namespaces are there, no workload is.
NAMESPACES_ONLY = "call:5:before"
pytestmark = pytest.mark.timeout(240)

Fragile = tuple[ControlPlane, Wire]


@pytest.fixture
def desk(fragile: Fragile) -> Iterator[Operator]:
    with operator(*fragile, f"pods{next(_NUMBERS):02d}") as made:
        yield made


def begun(desk: Operator) -> Operator:
    assert desk.install(die_at=NAMESPACES_ONLY).killed
    return desk


def assert_told(failure: Line, code: str, *words: str) -> None:
    """As the failure screen needs it: what, why, what to do, and where it was seen."""
    assert failure["code"] == code
    assert failure["retryable"]
    assert failure["title"]
    assert failure["remedy"]
    text = "\n".join([failure["title"], failure["cause"], *failure["evidence"]])
    for word in words:
        assert word in text, text


def delete_pods(desk: Operator, labels: str) -> None:
    """A fault is for a pod's life: its successor is looked at anew."""
    path = f"/api/v1/namespaces/{desk.namespaces[0]}/pods"
    for pod in desk.cluster.api.items(path, labelSelector=labels):
        desk.cluster.api.delete(f"{path}/{pod['metadata']['name']}", gracePeriodSeconds=0)


def assert_mended(desk: Operator) -> Ran:
    ran = desk.resume()
    assert ran.events[-1]["event"] == "run-finished"
    desk.assert_quiet()
    return ran


def fails_with(desk: Operator, fault: PodFault) -> Line:
    """The failure of a resumed install whose Redis pods for Synapse have the fault."""
    labels = {"app.kubernetes.io/name": "redis-synapse"}
    with desk.cluster.pod_fault(fault, desk.namespaces[0], labels):
        ran = desk.resume(code=1)
    assert ran.of("step-failed")[-1]["data"]["step"] == WORKLOADS
    delete_pods(desk, "app.kubernetes.io/name=redis-synapse")
    return ran.failure


def test_a_crash_loop(desk: Operator) -> None:
    canaries = canaries_of(begun(desk))
    password = canaries.values["redis-synapse-password"]
    desk.cluster.write_pod_log(
        ["cannot read server.conf", f"requirepass {password}"], previous=True
    )
    failure = fails_with(desk, PodFault.CRASH_LOOP)
    assert_told(
        failure,
        "CRASH-LOOP",
        "redis-synapse-",
        "exit code 1, 5 restarts",
        "owner StatefulSet redis-synapse",
        "on node node-",
        "CrashLoopBackOff",
        "cannot read server.conf",
    )
    assert f"kubectl -n {desk.namespaces[0]} logs redis-synapse-" in failure["remedy"]
    assert any("requirepass" in line for line in failure["evidence"])
    mended = assert_mended(desk)
    kept = [desk.directory / "secrets.age"]
    leaks = canaries.in_files([desk.directory], but_not=kept)
    assert not leaks + canaries.in_data(json.dumps(failure) + mended.text, "what was told")


def test_a_lost_node(desk: Operator) -> None:
    """Its pods are missed, by name and number, and the run goes on when it is back."""
    desk.install()
    cluster = desk.cluster
    cluster.nodes.lose("node-1")
    try:
        report_pods(desk, "node-1", ready=False)
        running = desk.begin("--answers", str(desk.answers), "--yes")
        running.until(_misses_a_pod)
    finally:
        cluster.nodes.restore("node-1")
    report_pods(desk, "node-1", ready=True)
    ran = running.finish()
    assert ran.code == 0, ran.text[-3000:]
    desk.assert_quiet()


def _misses_a_pod(line: Line) -> bool:
    """The workload is named, with how many of its pods are there."""
    return line["type"] == "progress" and bool(
        re.search(
            r"(Deployment|StatefulSet) redis-\S+ in pods\d+-redis \d of \d ready", line["text"]
        )
    )


def report_pods(desk: Operator, node: str, *, ready: bool) -> None:
    """What kube-controller-manager writes when a kubelet falls silent, and the kubelet later."""
    path = f"/api/v1/namespaces/{desk.namespaces[0]}/pods"
    for pod in desk.cluster.api.items(path, fieldSelector=f"spec.nodeName={node}"):
        conditions = [
            {**c, "status": str(ready)} if c["type"].endswith("Ready") else c
            for c in pod["status"]["conditions"]
        ]
        change = {"status": {"conditions": conditions}}
        desk.cluster.api.patch(f"{path}/{pod['metadata']['name']}/status", change)
