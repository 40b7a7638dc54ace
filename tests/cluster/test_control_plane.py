"""The lab's control plane behaves as the tests that stand on it assume."""

import datetime as dt
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client
from kubernetes.config.kube_config import load_kube_config

from tests.lab.api import ApiError, Object
from tests.lab.control_plane import APISERVER, ControlPlane
from tests.lab.nodes import NodeShape
from tests.lab.stages import FAULT_LABEL, READY_AFTER, PodFault

Factory = Callable[..., ControlPlane]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """API server and etcd alone; each test leaves them running as it found them."""
    directory = tmp_path_factory.mktemp("bare")
    with ControlPlane(directory, controllers=False, kubelets=False) as started:
        yield started


def workload(kind: str, name: str, namespace: str, **pod: Any) -> Object:
    """A one-container Deployment or StatefulSet of two; `pod` is more of the pod's spec."""
    labels = {"app": name}
    metadata = {"labels": {**labels, **pod.pop("labels", {})}}
    metadata["annotations"] = pod.pop("annotations", {})
    container = {"name": "main", "image": pod.pop("image", "registry.example/app:1"), **pod}
    spec: Object = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": metadata, "spec": {"containers": [container]}},
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
        spec["volumeClaimTemplates"] = [claim("data")]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def claim(name: str, storage_class: str | None = None) -> Object:
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    if storage_class:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec,
    }


def ready(seen: Object | None) -> bool:
    return seen is not None and seen["status"].get("readyReplicas", 0) == seen["spec"]["replicas"]


def pod_of(control_plane: ControlPlane, namespace: str, app: str) -> str:
    """The path of the first pod of a workload, once there is one."""
    path = f"/api/v1/namespaces/{namespace}/pods"

    def made(seen: Object | None) -> bool:
        return seen is not None and seen["status"].get("replicas", 0) > 0

    control_plane.api.wait_for(f"/apis/apps/v1/namespaces/{namespace}/deployments/{app}", made)
    pods = control_plane.api.items(path, labelSelector=f"app={app}")
    return f"{path}/{pods[0]['metadata']['name']}"


def waiting_for(reason: str) -> Callable[[Object | None], bool]:
    def holds(pod: Object | None) -> bool:
        states = ((pod or {}).get("status") or {}).get("containerStatuses", [])
        return any(s["state"].get("waiting", {}).get("reason") == reason for s in states)

    return holds


def test_a_deployment_becomes_available(control_plane: ControlPlane, namespace: str) -> None:
    applied = control_plane.api.apply(workload("Deployment", "web", namespace))
    path = control_plane.api.path_of(applied)

    def available(seen: Object | None) -> bool:
        conditions = (seen or {"status": {}})["status"].get("conditions", [])
        return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)

    control_plane.api.wait_for(path, available, what="the deployment")
    control_plane.api.wait_for(path, ready)


def test_pods_take_as_long_as_their_annotation_says(
    control_plane: ControlPlane, namespace: str
) -> None:
    slow = workload("Deployment", "slow", namespace, annotations={READY_AFTER: "1h"})
    control_plane.api.apply(slow)
    pod = pod_of(control_plane, namespace, "slow")
    scheduled = control_plane.api.wait_for(
        pod, lambda seen: bool(seen and seen["spec"]["nodeName"])
    )
    assert scheduled is not None
    assert scheduled["status"]["phase"] == "Pending"


def test_a_statefulset_gets_volumes_and_gives_them_back(
    control_plane: ControlPlane, namespace: str
) -> None:
    api = control_plane.api
    path = api.path_of(api.apply(workload("StatefulSet", "db", namespace)))
    api.wait_for(path, ready, what="the stateful set")
    claims = api.items(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")
    assert [c["status"]["phase"] for c in claims] == ["Bound", "Bound"]
    assert {c["spec"]["storageClassName"] for c in claims} == {"standard"}
    volume = f"/api/v1/persistentvolumes/{claims[0]['spec']['volumeName']}"
    api.delete(path)
    api.delete(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-db-0")
    api.wait_for(volume, lambda seen: seen is None, what="the volume's end")


def test_a_class_that_retains_keeps_the_volume(control_plane: ControlPlane, namespace: str) -> None:
    api = control_plane.api
    stateful = workload("StatefulSet", "kept", namespace)
    stateful["spec"]["volumeClaimTemplates"] = [claim("data", "retain")]
    path = api.path_of(api.apply(stateful))
    api.wait_for(path, ready)
    bound = api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-kept-0")
    volume = f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}"
    api.delete(path)
    api.delete(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-kept-0")
    api.wait_for(volume, lambda seen: bool(seen and seen["status"]["phase"] == "Released"))


def test_a_claim_of_a_stuck_class_stays_pending(
    control_plane: ControlPlane, namespace: str
) -> None:
    stuck, given = claim("stuck", "stuck"), claim("given", "immediate")
    for manifest in (stuck, given):
        manifest["metadata"]["namespace"] = namespace
        control_plane.api.apply(manifest)
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    control_plane.api.wait_for(
        f"{path}/given", lambda seen: bool(seen and seen["status"]["phase"] == "Bound")
    )
    assert control_plane.api.get(f"{path}/stuck")["status"]["phase"] == "Pending"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (PodFault.IMAGE_PULL, "ImagePullBackOff"),
        (PodFault.CONFIG_ERROR, "CreateContainerConfigError"),
        (PodFault.CRASH_LOOP, "CrashLoopBackOff"),
        (PodFault.OOM, "CrashLoopBackOff"),
    ],
)
def test_a_labelled_pod_ends_in_its_fault(
    control_plane: ControlPlane, namespace: str, fault: PodFault, reason: str
) -> None:
    labels = {FAULT_LABEL: fault.value}
    control_plane.api.apply(workload("Deployment", "bad", namespace, labels=labels))
    pod = pod_of(control_plane, namespace, "bad")
    seen = control_plane.api.wait_for(pod, waiting_for(reason), what=fault)
    assert seen is not None
    status = seen["status"]["containerStatuses"][0]
    last = status.get("lastState", {}).get("terminated", {}).get("exitCode")
    assert last == {PodFault.CRASH_LOOP: 1, PodFault.OOM: 137}.get(fault)
    assert not status["ready"]


def test_an_init_container_can_crash(control_plane: ControlPlane, namespace: str) -> None:
    bad = workload("Deployment", "bad", namespace, labels={FAULT_LABEL: PodFault.INIT_CRASH.value})
    init = {"name": "first", "image": "registry.example/app:1"}
    bad["spec"]["template"]["spec"]["initContainers"] = [init]
    control_plane.api.apply(bad)
    pod = pod_of(control_plane, namespace, "bad")
    seen = control_plane.api.wait_for(pod, waiting_for("PodInitializing"))
    assert seen is not None
    hanging = seen["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"]
    assert hanging == "CrashLoopBackOff"


def test_a_pod_can_run_without_being_ready(control_plane: ControlPlane, namespace: str) -> None:
    labels = {FAULT_LABEL: PodFault.NEVER_READY.value}
    control_plane.api.apply(workload("Deployment", "dumb", namespace, labels=labels))
    pod = pod_of(control_plane, namespace, "dumb")

    def runs(seen: Object | None) -> bool:
        states = ((seen or {}).get("status") or {}).get("containerStatuses", [])
        return any("running" in s["state"] and not s["ready"] for s in states)

    control_plane.api.wait_for(pod, runs)


def test_a_job_completes_and_a_faulty_one_fails(
    control_plane: ControlPlane, namespace: str
) -> None:
    def job(name: str, labels: dict[str, str]) -> str:
        spec = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b.example/c:1"}]}
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "backoffLimit": 0,
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
        return control_plane.api.path_of(control_plane.api.apply(manifest))

    def ended(condition: str) -> Callable[[Object | None], bool]:
        return lambda seen: any(
            c["type"] == condition and c["status"] == "True"
            for c in ((seen or {}).get("status") or {}).get("conditions", [])
        )

    control_plane.api.wait_for(job("good", {}), ended("Complete"))
    control_plane.api.wait_for(job("bad", {FAULT_LABEL: PodFault.FAILED.value}), ended("Failed"))


def test_an_image_of_an_invalid_registry_is_not_pulled(
    control_plane: ControlPlane, namespace: str
) -> None:
    nowhere = workload("Deployment", "typo", namespace, image="registry.invalid/app:1")
    control_plane.api.apply(nowhere)
    pod = pod_of(control_plane, namespace, "typo")
    control_plane.api.wait_for(pod, waiting_for("ImagePullBackOff"))


def test_a_fault_can_be_put_on_pods_of_others(control_plane: ControlPlane, namespace: str) -> None:
    api = control_plane.api
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with control_plane.pod_fault(PodFault.CRASH_LOOP, namespace, {"app": "web"}):
        path = api.path_of(api.apply(workload("Deployment", "web", namespace)))
        other = api.path_of(api.apply(workload("Deployment", "other", namespace)))
        api.wait_for(pod_of(control_plane, namespace, "web"), waiting_for("CrashLoopBackOff"))
        api.wait_for(other, ready, what="the one that is spared")
    api.request("DELETE", pods, params={"labelSelector": "app=web"})
    api.wait_for(path, ready, what="the successors")


def test_logs_of_a_pod_are_those_of_the_file(control_plane: ControlPlane, namespace: str) -> None:
    api = control_plane.api
    api.wait_for(api.path_of(api.apply(workload("Deployment", "web", namespace))), ready)
    control_plane.write_pod_log(["first", "second"])
    pod = pod_of(control_plane, namespace, "web")
    assert api.text(f"{pod}/log?tailLines=1") == "second\n"


def test_the_product_version_is_told(control_plane: ControlPlane) -> None:
    """Helm and kubelets parse it; an unstamped build says v0.0.0."""
    version = control_plane.api.get("/version")
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


def connected(kubeconfig: Path) -> client.ApiClient:
    """The Python client's way in, plugins and all."""
    configuration = client.Configuration()
    load: Any = load_kube_config
    load(str(kubeconfig), client_configuration=configuration)
    return client.ApiClient(configuration)


def user_of(kubeconfig: Path) -> str:
    """Who the server says this kubeconfig is."""
    with connected(kubeconfig) as connection:
        review = client.AuthenticationV1Api(connection).create_self_subject_review(
            client.V1SelfSubjectReview(), _request_timeout=10
        )
    return str(review.to_dict()["status"]["user_info"]["username"])


def test_kubeconfigs_of_every_kind_come_in(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    access = control_plane.access
    account = f"system:serviceaccount:{namespace}:robot"
    assert user_of(control_plane.admin_kubeconfig(tmp_path / "admin")) == "lab-operator"
    assert user_of(access.certificate_kubeconfig(tmp_path / "crt", "eve", groups=["a"])) == "eve"
    token = access.token_kubeconfig(tmp_path / "token", "robot", namespace=namespace)
    assert user_of(token) == account
    plugin = access.exec_kubeconfig(tmp_path / "exec", "robot", namespace=namespace)
    assert user_of(plugin) == account
    assert (tmp_path / "exec.credential.calls").read_text() == "call\n"
    assert {path.stat().st_mode & 0o077 for path in (token, plugin)} == {0}


def test_expired_credentials_are_refused(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    past = dt.timedelta(hours=-1)
    token = control_plane.access.token("robot", namespace=namespace, lifetime=past)
    answer = httpx.get(
        f"{control_plane.server}/api/v1/namespaces",
        verify=control_plane.access.ssl_context(),
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 401
    expired = control_plane.access.certificate_kubeconfig(tmp_path / "crt", "eve", lifetime=past)
    with pytest.raises(client.ApiException) as caught:
        user_of(expired)
    assert caught.value.status == 401


def test_what_is_not_granted_is_forbidden(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = control_plane.access.token_kubeconfig(tmp_path / "t", "robot", namespace=namespace)
    with connected(kubeconfig) as connection:
        core = client.CoreV1Api(connection)
        with pytest.raises(client.ApiException) as caught:
            core.list_namespaced_secret(namespace, _request_timeout=10)
    assert caught.value.status == 403


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


def test_the_first_version_is_always_too_old(control_plane: ControlPlane) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    with pytest.raises(ApiError) as caught:
        next(iter(control_plane.api.watch(path, resource_version="1")))
    assert caught.value.status == 410


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
    """The inner process starts a cluster, says so and is killed without a chance to clean up."""
    script = (
        "import pathlib, signal\n"
        "from tests.lab.control_plane import ControlPlane\n"
        f"lab = ControlPlane(pathlib.Path({str(tmp_path)!r}), controllers=False, kubelets=False)\n"
        "lab.start()\n"
        "print(*lab.pids(), flush=True)\n"
        "signal.pause()\n"
    )
    inner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert inner.stdout is not None
    pids = [int(pid) for pid in inner.stdout.readline().split()]
    assert len(pids) == 3
    watched = [os.pidfd_open(pid) for pid in pids]
    inner.kill()
    inner.wait()
    inner.stdout.close()
    for descriptor in watched:
        assert ended(descriptor, 10), "a program outlived the tests"
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "logs").is_dir()


def ended(pidfd: int, seconds: float) -> bool:
    readable, _, _ = select.select([pidfd], [], [], seconds)
    os.close(pidfd)
    return bool(readable)
