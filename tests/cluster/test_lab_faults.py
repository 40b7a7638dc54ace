"""What can be done to the lab's control plane, and that nothing of it is left behind."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.lab.api import ApiError
from tests.lab.control_plane import APISERVER, ControlPlane
from tests.lab.nodes import NodeShape
from tests.lab.supervisor import SupervisorError
from tests.lab.workloads import ready, workload

Factory = Callable[..., ControlPlane]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """API server and etcd alone; each test leaves them running as it found them."""
    directory = tmp_path_factory.mktemp("bare")
    with ControlPlane(directory, controllers=False, kubelets=False) as started:
        yield started


def test_a_restart_keeps_data_and_address(bare: ControlPlane) -> None:
    made = config_map(bare, "kept")
    for signum in (signal.SIGTERM, signal.SIGKILL):
        bare.stop_apiserver(signum)
        with pytest.raises(httpx.ConnectError):
            bare.api.get("/version")
        bare.start_apiserver()
        assert bare.api.get(made)["metadata"]["name"] == "kept"


def config_map(control_plane: ControlPlane, name: str) -> str:
    metadata = {"name": name, "namespace": "default"}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return control_plane.api.path_of(control_plane.api.apply(manifest))


def test_old_versions_expire(bare: ControlPlane) -> None:
    api, path = bare.api, "/api/v1/namespaces/default/configmaps"
    for name in ("one", "two"):
        config_map(bare, name)
    page = api.request("GET", path, params={"limit": "1"})["metadata"]
    bare.expire_versions()
    with pytest.raises(ApiError) as of_list:
        api.request("GET", path, params={"limit": "1", "continue": page["continue"]})
    assert of_list.value.status == 410
    for version in ("1", page["resourceVersion"]):
        with pytest.raises(ApiError) as of_watch:
            next(iter(api.watch(path, resource_version=version)))
        assert of_watch.value.status == 410


def test_a_frozen_server_neither_answers_nor_refuses(bare: ControlPlane) -> None:
    for name in (APISERVER, bare.etcd.names[0]):
        with bare.frozen(name), pytest.raises(httpx.TimeoutException):
            bare.api.request("GET", "/api/v1/nodes?resourceVersion=", timeout=1)
        assert bare.api.items("/api/v1/nodes")


def test_flags_of_one_start_make_a_429_storm(bare: ControlPlane) -> None:
    bare.restart_apiserver(
        "--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=2"
    )
    metadata = {"generateName": "a-"}
    path = "/api/v1/namespaces/default/configmaps"
    with bare.mutations_in_flight(2):
        with pytest.raises(ApiError) as caught:
            bare.operator_api.request("POST", path, {"metadata": metadata})
        assert caught.value.status == 429
        # system:masters is never throttled: the lab's own client gets through.
        assert bare.api.request("POST", path, {"metadata": metadata})
    bare.restart_apiserver()
    assert bare.operator_api.request("POST", path, {"metadata": metadata})


def test_three_members_outlive_their_leader(private_control_plane: Factory) -> None:
    control_plane = private_control_plane(controllers=False, kubelets=False, etcd_members=3)
    config_map(control_plane, "before")
    leader = control_plane.etcd.leader()
    control_plane.stop(leader, signal.SIGKILL)
    path = "/api/v1/namespaces/default/configmaps/before"
    control_plane.api.wait_for(path, lambda seen: seen is not None, what="a new leader")
    config_map(control_plane, "after")
    assert control_plane.etcd.leader() != leader
    control_plane.start_program(leader)


def test_a_lost_node_is_tainted_and_comes_back(private_control_plane: Factory) -> None:
    control_plane = private_control_plane(
        nodes=[
            NodeShape(count=2),
            NodeShape(count=1, prefix="gpu", taints=[("a", "b", "NoSchedule")]),
        ]
    )
    control_plane.nodes.lose("node-1")
    seen = control_plane.api.get("/api/v1/nodes/node-1")
    assert {"node.kubernetes.io/unreachable"} <= {t["key"] for t in seen["spec"]["taints"]}
    spread = workload("Deployment", "web", "default")
    control_plane.api.wait_for(control_plane.api.path_of(control_plane.api.apply(spread)), ready)
    pods = control_plane.api.items("/api/v1/namespaces/default/pods")
    assert {p["spec"]["nodeName"] for p in pods} == {"node-2"}
    control_plane.nodes.restore("node-1")


def test_nothing_outlives_a_killed_test_process(tmp_path: Path) -> None:
    """The inner process starts a cluster, says so and is killed without a chance to clean up.

    A fork of its own lives on with every descriptor it had.
    """
    script = (
        "import os, pathlib, signal\n"
        "from tests.lab.control_plane import ControlPlane\n"
        f"lab = ControlPlane(pathlib.Path({str(tmp_path)!r}), controllers=False, kubelets=False)\n"
        "lab.start()\n"
        "fork = os.fork()\n"
        "if fork:\n"
        "    print(fork, *lab.pids(), flush=True)\n"
        "signal.pause()\n"
    )
    inner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert inner.stdout is not None
    with inner.stdout:
        fork, *pids = [int(pid) for pid in inner.stdout.readline().split()]
    try:
        assert len(pids) == 3
        watched = [os.pidfd_open(pid) for pid in pids]
        inner.kill()
        inner.wait()
        for descriptor in watched:
            assert program_ended(descriptor, 10), "a program outlived the tests"
    finally:
        os.kill(fork, signal.SIGKILL)
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "logs").is_dir()


def test_nothing_outlives_a_killed_supervisor(private_control_plane: Factory) -> None:
    control_plane = private_control_plane(controllers=False, kubelets=False)
    supervisor, *programs = control_plane.pids()
    watched = [os.pidfd_open(pid) for pid in programs]
    control_plane.freeze(APISERVER)
    os.kill(supervisor, signal.SIGKILL)
    for descriptor in watched:
        assert program_ended(descriptor, 10), "a program outlived its supervisor"
    with pytest.raises(SupervisorError):
        control_plane.start_apiserver()


def program_ended(pidfd: int, seconds: float) -> bool:
    readable, _, _ = select.select([pidfd], [], [], seconds)
    os.close(pidfd)
    return bool(readable)
