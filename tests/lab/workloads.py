"""Small workloads for tests to put into a cluster, and what to wait for in them."""

from collections.abc import Callable
from typing import Any

from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane


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
