"""Each fault shows what it says, and ends when it is healed."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from installer.rehearsal.faults import FAULTS, FaultBoard, checked
from tests.contract.client import collection, path_of, refused
from tests.contract.objects import config_map, deployment
from tests.unit.rehearsal.cluster import TestedCluster
from tests.unit.rehearsal.conftest import Start

Json = dict[str, Any]


def _ready(count: int) -> Callable[[Json | None], bool]:
    return lambda obj: ((obj or {}).get("status") or {}).get("readyReplicas", 0) == count


async def _waiting_reason(cluster: TestedCluster, reason: str) -> Json:
    """Wait until the first pod of the namespace waits for that reason; its state."""
    path = collection("Pod", cluster.client.namespace)

    def shows(listed: Json | None) -> bool:
        return any(
            (state.get("state", {}).get("waiting") or {}).get("reason") == reason
            for pod in (listed or {}).get("items", [])
            for state in (pod.get("status") or {}).get("containerStatuses") or []
        )

    listed = await cluster.client.until(path, shows)
    assert listed is not None
    found: Json = listed["items"][0]["status"]["containerStatuses"][0]
    return found


@pytest.mark.parametrize(
    ("fault", "reason"), [("image-missing", "ImagePullBackOff"), ("crash-loop", "CrashLoopBackOff")]
)
async def test_a_pod_fault_hits_one_workload_until_healed(
    start: Start, fault: str, reason: str
) -> None:
    cluster = await start(fault)
    client = cluster.client
    await client.make_namespace()
    hit, spared = deployment(client.namespace, "hit"), deployment(client.namespace, "spared")
    await client.applied(hit)
    await _waiting_reason(cluster, reason)
    await client.applied(spared)
    await client.until(path_of(spared), _ready(1))
    assert not _ready(1)(await client.seen(path_of(hit)))
    cluster.server.faults.heal(fault)
    await client.until(path_of(hit), _ready(1))


async def test_a_crash_loop_counts_its_restarts(start: Start) -> None:
    cluster = await start("crash-loop")
    await cluster.client.make_namespace()
    await cluster.client.applied(deployment(cluster.client.namespace))
    state = await _waiting_reason(cluster, "CrashLoopBackOff")
    assert state["restartCount"] >= 1
    assert state["lastState"]["terminated"]["exitCode"] == 1


async def test_a_storm_of_429_ends_after_enough_refusals(start: Start) -> None:
    cluster = await start("too-many-requests")
    client = cluster.client
    await client.make_namespace()
    refusals = 0
    pending = [f"c{number}" for number in range(20)]
    async with asyncio.timeout(30):
        while pending:
            answers = await asyncio.gather(
                *(client.apply(config_map(client.namespace, name)) for name in pending)
            )
            refusals += sum(answer.status_code == 429 for answer in answers)
            pending = [
                name
                for name, answer in zip(pending, answers, strict=True)
                if answer.status_code == 429
            ]
    assert refusals >= 10


async def test_the_api_restarts_once_in_the_middle(start: Start) -> None:
    cluster = await start("api-restart")
    client = cluster.client
    await client.make_namespace()
    seen: set[Any] = set()
    for number in range(20):
        wanted = config_map(client.namespace, f"c{number}")
        async with asyncio.timeout(30):
            while True:
                try:
                    answer = await client.apply(wanted)
                except httpx.TransportError as error:
                    seen.add(type(error).__name__)
                    continue
                if answer.is_success:
                    break
                seen.add(answer.status_code)
                assert answer.headers["retry-after"]
    assert 503 in seen
    listed = await client.seen(collection("ConfigMap", client.namespace))
    assert {f"c{number}" for number in range(20)} <= {
        item["metadata"]["name"] for item in listed["items"]
    }
    assert cluster.server.faults.active() == []


async def test_a_policy_webhook_is_down_until_healed(start: Start) -> None:
    cluster = await start("webhook-down")
    client = cluster.client
    await client.make_namespace()
    wanted = deployment(client.namespace)
    answer = await client.apply(wanted)
    message = refused(answer, 500, "InternalError")
    assert 'failed calling webhook "validate.policy.rehearsal.local"' in message
    assert (await client.apply(config_map(client.namespace))).is_success
    cluster.server.faults.heal("webhook-down")
    hooks = collection("ValidatingWebhookConfiguration") + "/rehearsal-policy"
    await client.until(hooks, lambda obj: obj is None)
    assert (await client.apply(wanted)).is_success


async def test_a_lost_node_takes_its_pods_and_gives_them_back(start: Start) -> None:
    cluster = await start("node-lost", speed=200.0)
    client = cluster.client
    await client.make_namespace()
    wanted = deployment(client.namespace, replicas=4)
    await client.applied(wanted)

    def node_lost(listed: Json | None) -> bool:
        return any(
            item["type"] == "Ready" and item["status"] == "Unknown"
            for node in (listed or {})["items"]
            for item in node["status"]["conditions"]
        )

    listed = await client.until("/api/v1/nodes", node_lost)
    assert listed is not None
    lost = [node for node in listed["items"] if node["spec"].get("taints")]
    assert any(
        taint["key"] == "node.kubernetes.io/unreachable"
        for node in lost
        for taint in node["spec"]["taints"]
    )
    cluster.server.faults.heal("node-lost")
    await client.until("/api/v1/nodes", lambda nodes: not node_lost(nodes))
    await client.until(path_of(wanted), _ready(4))


async def test_one_write_is_slow_and_succeeds(start: Start) -> None:
    cluster = await start("slow-etcd", speed=20.0)
    client = cluster.client
    await client.make_namespace()
    slowest = 0.0
    for number in range(8):
        began = time.monotonic()
        await client.applied(config_map(client.namespace, f"c{number}"))
        slowest = max(slowest, time.monotonic() - began)
    assert slowest >= 12.0 / 20.0
    assert cluster.server.faults.active() == []


async def test_questions_do_not_start_a_fault(start: Start) -> None:
    cluster = await start("api-restart", "slow-etcd", "too-many-requests")
    client = cluster.client
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for number in range(30):
        answer = await client.request("POST", path, review)
        assert answer.json()["status"]["allowed"] is True
        wanted = config_map("default", f"c{number}")
        assert (await client.apply(wanted, dryRun="All")).status_code == 201
    assert cluster.server.faults.active() == ["too-many-requests", "api-restart", "slow-etcd"]


async def test_a_frozen_api_says_nothing_until_healed(start: Start) -> None:
    cluster = await start("api-frozen")
    with pytest.raises(httpx.TimeoutException):
        await cluster.client.get("/readyz", within=0.3)
    cluster.server.faults.heal("api-frozen")
    await cluster.client.reconnect()
    assert (await cluster.client.get("/readyz")).text == "ok"


def test_what_is_healed_stays_healed(tmp_path: Path) -> None:
    board = FaultBoard(tmp_path, ("crash-loop", "node-lost"))
    board.heal("crash-loop")
    again = FaultBoard(tmp_path, ("crash-loop", "node-lost"))
    assert again.active() == ["node-lost"]
    again.start("crash-loop")
    assert FaultBoard(tmp_path).active() == ["crash-loop", "node-lost"]


def test_unknown_faults_are_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"'nonsense'.*image-missing.*api-frozen"):
        checked(["crash-loop", "nonsense"])
    assert checked([fault.name for fault in FAULTS]) == tuple(fault.name for fault in FAULTS)
