"""Faults of a real control plane that take as long as our own patience does."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest

from installer.cluster.lease import RENEW_EVERY
from tests.cluster.installs import Operator, operator
from tests.cluster.test_faults_api import (
    Fragile,
    assert_finished,
    freeze_etcd,
    in_mid_wave,
    waits_for,
    webhook,
)
from tests.cluster.test_faults_locks import at_work
from tests.cluster.test_faults_pods import assert_mended, assert_told, begun, fails_with
from tests.lab.control_plane import APISERVER
from tests.lab.stages import PodFault

_NUMBERS = count(1)
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def desk(fragile: Fragile) -> Iterator[Operator]:
    with operator(*fragile, f"deep{next(_NUMBERS):02d}") as made:
        yield made


def test_api_frozen_for_longer_than_our_timeouts(desk: Operator) -> None:
    running = in_mid_wave(desk)
    with desk.cluster.frozen(APISERVER):
        running.until(waits_for("again in"), seconds=120)
        threading.Event().wait(30)
    assert_finished(running.finish(seconds=300))


def test_etcd_frozen_for_longer_than_most_proxies_wait(desk: Operator) -> None:
    freeze_etcd(desk, 12.0)


def test_no_room(desk: Operator) -> None:
    cluster = begun(desk).cluster
    nodes = [node["metadata"]["name"] for node in cluster.api.items("/api/v1/nodes")]
    for name in nodes:
        cluster.api.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    try:
        failure = desk.resume(code=1).failure
    finally:
        for name in nodes:
            cluster.api.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None}})
    assert_told(failure, "UNSCHEDULABLE", "finds no node", "0/3 nodes are available", "owner ")
    assert_mended(desk)


def test_a_dead_webhook_ends_the_wait(desk: Operator) -> None:
    api = desk.cluster.api
    hook = webhook(desk.install_id)
    path = api.path_of(api.apply(hook))
    began = time.monotonic()
    try:
        ran = desk.install(seconds=600, code=1)
    finally:
        api.delete(path)
    assert 200 < time.monotonic() - began < 500
    name = hook["webhooks"][0]["name"]
    assert_told(ran.failure, "API-WEBHOOK-DOWN", name)
    assert_mended(desk)


def test_a_stuck_namespace_ends_the_wait(desk: Operator) -> None:
    desk.install()
    api, space = desk.cluster.api, desk.namespaces[0]
    held = api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "namespace": space, "finalizers": ["lab.test/hold"]},
        }
    )
    api.delete(f"/api/v1/namespaces/{space}")
    ran = desk.install(seconds=600, code=1)
    api.patch(api.path_of(held), {"metadata": {"finalizers": None}})
    assert_told(ran.failure, "NAMESPACE-STUCK", "lab.test/hold", space)
    assert_mended(desk)


def test_an_engine_that_slept_past_its_lease_is_fenced(desk: Operator) -> None:
    running = at_work(desk)
    sleeper = desk.engine_pid()
    os.kill(sleeper, signal.SIGSTOP)
    # Until the last renewal is so old that it does not count as a sign of life any more.
    threading.Event().wait(2 * RENEW_EVERY)
    twin = desk.copied("heir")
    twin.write_settings(source={"kind": "online"})
    ran = twin.install(seconds=400)
    assert ran.events[-1]["event"] == "run-finished"
    mark = desk.wire.mark()
    os.kill(sleeper, signal.SIGCONT)
    fenced = running.finish(seconds=120)
    assert fenced.code == 6, fenced.text[-3000:]
    late = desk.wire.mutations(desk.user, mark)
    assert not [r for r in late if "/lease" not in f"/{r.target}"], late
    assert not [r for r in late if r.status < 400], late


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (PodFault.OOM, "OUT-OF-MEMORY", "memory limit"),
        (PodFault.CONFIG_ERROR, "CONTAINER-CONFIG", 'secret "missing" not found'),
        (PodFault.IMAGE_PULL, "IMAGE-PULL-FAILED", "Back-off pulling image"),
    ],
)
def test_pods_that_cannot_start(desk: Operator, fault: PodFault, code: str, words: str) -> None:
    failure = fails_with(begun(desk), fault)
    assert_told(failure, code, words, "owner StatefulSet redis-synapse", "on node node-")
    assert_mended(desk)
