"""An install while the API server or its database is killed, frozen, overloaded or forgetful."""

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from installer.engine.client import EngineClient
from tests.cluster.installs import Line, Operator, Ran, Running, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import APISERVER, ControlPlane

_NUMBERS = count(1)
CONFIGURATION, WORKLOADS = "redis/1-configuration", "redis/2-workloads"
FOUNDATION = "namespaces/0-foundation"
FROZEN = 6.0  # seconds; tests/deep has it longer
pytestmark = pytest.mark.timeout(240)

Fragile = tuple[ControlPlane, Wire]


@pytest.fixture
def desk(fragile: Fragile) -> Iterator[Operator]:
    with operator(*fragile, f"fault{next(_NUMBERS):02d}") as made:
        yield made


def happened(event: str, step: str) -> Callable[[Line], bool]:
    def wanted(line: Line) -> bool:
        return line.get("event") == event and line["data"].get("step") == step

    return wanted


def waits_for(words: str) -> Callable[[Line], bool]:
    def wanted(line: Line) -> bool:
        return line["type"] == "progress" and words in line["text"]

    return wanted


def assert_finished(ran: Ran) -> None:
    assert ran.code == 0, ran.text[-3000:]
    assert ran.events[-1]["event"] == "run-finished"
    assert not ran.of("step-failed"), ran.failure


def slow_readiness(seconds: int) -> dict[str, object]:
    """Settings with which the workloads take that long to become ready."""
    annotations = {"lab.ready-after": f"{seconds}s"}
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    return {"patches": {"deployment/redis-synapse-proxy": patch}}


def in_mid_wave(desk: Operator) -> Running:
    """An install in the middle of a wave, with writes that are sent again within a second.

    A webhook holds the Services back until the others are written; it goes when this returns.
    """
    api = desk.cluster.api
    hook = webhook(desk.install_id)
    path = api.path_of(api.apply(hook))
    try:
        running = desk.begin("--answers", str(desk.answers), "--yes")
        running.until(waits_for(hook["webhooks"][0]["name"]))
    finally:
        api.delete(path)
    return running


def test_api_killed_in_mid_wave(desk: Operator) -> None:
    running = in_mid_wave(desk)
    desk.cluster.freeze(APISERVER)  # at once, so that writes are under way
    desk.cluster.restart_apiserver(signum=signal.SIGKILL)
    ran = running.finish()
    assert_finished(ran)
    made = Counter(r.target for r in ran.mutations if r.status == 201)
    assert set(made.values()) == {1}, "nothing was made twice"
    desk.assert_quiet()
    assert desk.install().steps("step-intent") == ()


def test_api_frozen(desk: Operator) -> None:
    running = in_mid_wave(desk)
    with desk.cluster.frozen(APISERVER):
        ends = time.monotonic() + FROZEN
        while time.monotonic() < ends:
            assert asyncio.run(_answers(desk)) < 3.0, "the engine answers its views meanwhile"
            threading.Event().wait(1.0)
    assert_finished(running.finish())


async def _answers(desk: Operator) -> float:
    """Seconds in which the engine says hello."""
    began = time.monotonic()
    client = await EngineClient.connect(desk.directory, after=0)
    await client.close()
    return time.monotonic() - began


def test_etcd_loses_its_leader(desk: Operator) -> None:
    cluster = desk.cluster
    running = in_mid_wave(desk)
    leader = cluster.etcd.leader()
    cluster.stop(leader, signal.SIGKILL)
    try:
        assert_finished(running.finish())
    finally:
        cluster.start_program(leader)


def test_etcd_frozen_leaves_no_false_failure(desk: Operator) -> None:
    freeze_etcd(desk, FROZEN)


def freeze_etcd(desk: Operator, seconds: float) -> None:
    """An install during which the database hangs for that long, in mid-wave."""
    running = in_mid_wave(desk)
    with ExitStack() as frozen:
        for name in desk.cluster.etcd.names:
            frozen.enter_context(desk.cluster.frozen(name))
        threading.Event().wait(seconds)
    ran = running.finish()
    assert_finished(ran)
    slowest = max(ran.mutations, key=lambda request: request.seconds)
    assert slowest.seconds > seconds / 2, "a write was under way"


def test_forgotten_versions_cost_one_list_each(desk: Operator) -> None:
    desk.write_settings(components__redis=slow_readiness(8))
    running = desk.begin("--answers", str(desk.answers), "--yes")
    running.until(waits_for("all objects to be ready"))
    mark = desk.wire.mark()
    desk.cluster.expire_versions()
    ran = running.finish()
    assert_finished(ran)
    assert isinstance(desk.wire, Wire)
    asked = [r for r in desk.wire.requests(desk.user, mark) if r.verb == "list"]
    kinds = Counter(r.target for r in asked)
    assert kinds, "the watches ended"
    assert max(kinds.values()) <= 3, kinds


def test_overload_is_backed_off_from(desk: Operator) -> None:
    cluster = desk.cluster
    cluster.restart_apiserver(
        "--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=1"
    )
    try:
        running = desk.begin("--answers", str(desk.answers), "--yes")
        running.until(happened("step-done", FOUNDATION))
        with cluster.mutations_in_flight(1):
            running.until(waits_for("again in"))
            threading.Event().wait(5.0)
        ran = running.finish()
    finally:
        cluster.restart_apiserver()
    assert_finished(ran)
    refused = [r for r in ran.mutations if r.status == 429]
    assert refused
    assert len(refused) <= 60, "it backs off"


def test_a_dead_webhook_is_named(desk: Operator) -> None:
    api = desk.cluster.api
    hook = webhook(desk.install_id)
    path = api.path_of(api.apply(hook))
    try:
        running = desk.begin("--answers", str(desk.answers), "--yes")
        seen = running.until(waits_for(hook["webhooks"][0]["name"]))
        assert seen["step"] == CONFIGURATION
        paused = desk.pause(running)
        assert paused.code == 5
        assert paused.events[-1]["event"] == "run-paused"
    finally:
        api.delete(path)
    resumed = desk.resume()
    assert_finished(resumed)
    assert resumed.steps("step-unchanged") == (FOUNDATION, "namespaces/1-configuration")


def webhook(install_id: str) -> Line:
    """One that nobody answers and that must agree to every Service of the install."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"guard-{install_id}"},
        "webhooks": [
            {
                "name": f"guard.{install_id}.test",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 2,
                "clientConfig": {"url": "https://127.0.0.1:9/"},
                "namespaceSelector": {"matchLabels": {"matrix-install.io/install": install_id}},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["services"],
                    }
                ],
            }
        ],
    }


def test_a_stuck_namespace_is_explained(desk: Operator) -> None:
    desk.install()
    api = desk.cluster.api
    space = desk.namespaces[0]
    held = api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "namespace": space, "finalizers": ["lab.test/hold"]},
        }
    )
    api.delete(f"/api/v1/namespaces/{space}")
    running = desk.begin("--answers", str(desk.answers), "--yes")
    told = running.until(waits_for("lab.test/hold"))
    assert f"Namespace {space}" in told["text"]
    api.patch(api.path_of(held), {"metadata": {"finalizers": None}})
    ran = running.finish()
    assert_finished(ran)
    assert set(ran.steps("step-done")) == {step["id"] for step in ran.plan["plan"]["steps"]}
