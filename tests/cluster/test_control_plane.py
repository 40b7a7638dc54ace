"""The lab's control plane behaves as the tests that stand on it assume."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client
from kubernetes.config.kube_config import load_kube_config

from tests.lab.api import ApiError, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.stages import FAULT_LABEL, READY_AFTER, PodFault
from tests.lab.workloads import claim, pod_of, ready, waiting_for, workload

Factory = Callable[..., ControlPlane]


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


def test_the_first_version_is_always_too_old(control_plane: ControlPlane) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    with pytest.raises(ApiError) as caught:
        next(iter(control_plane.api.watch(path, resource_version="1")))
    assert caught.value.status == 410
