"""Three hundred objects in twelve kinds and six namespaces, as a real install has them."""

from typing import Any

from installer.core.canonical import keyed_digest
from installer.core.objects import (
    ANNOTATION_HASH,
    ANNOTATION_OWNER,
    LABEL_COMPONENT,
    LABEL_INSTALL,
    Manifest,
)

NAMESPACES = 6
PER_NAMESPACE = 49  # with the namespace itself 50, so 300 in all
KEY = bytes(range(32))


def objects(install_id: str, install_uid: str, *, marked: bool) -> list[Manifest]:
    """Namespaces first. ``marked``: with the labels and hashes that the engine needs."""
    made: list[Manifest] = []
    for number in range(NAMESPACES):
        space = f"{install_id}-{number}"
        made.append(_object("v1", "Namespace", "", space, {}))
        made += [_of_kind(index, space) for index in range(PER_NAMESPACE)]
    made.sort(key=lambda manifest: manifest["kind"] != "Namespace")
    return [_marked(manifest, install_id, install_uid) if marked else manifest for manifest in made]


def _marked(manifest: Manifest, install_id: str, install_uid: str) -> Manifest:
    meta = manifest["metadata"]
    meta["labels"] = {LABEL_INSTALL: install_id, LABEL_COMPONENT: "bench"}
    meta["annotations"] = {ANNOTATION_OWNER: install_uid}
    meta["annotations"][ANNOTATION_HASH] = keyed_digest(KEY, manifest)
    return manifest


def _object(version: str, kind: str, namespace: str, name: str, fields: dict[str, Any]) -> Manifest:
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **fields}


def _of_kind(index: int, space: str) -> Manifest:
    """One of eleven kinds in turn."""
    name = f"part-{index}"
    make = _KINDS[index % len(_KINDS)]
    version, kind, fields = make(name, space)
    return _object(version, kind, space, name, fields)


def _config_map(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    text = "".join(f"line {number} of the configuration of {name}\n" for number in range(40))
    return "v1", "ConfigMap", {"data": {"server.conf": text, "name": name}}


def _secret(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    return "v1", "Secret", {"data": {"password": "cGFzc3dvcmQtb2YtYmVuY2g="}, "type": "Opaque"}


def _account(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    return "v1", "ServiceAccount", {"automountServiceAccountToken": False}


def _service(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return "v1", "Service", {"spec": {"selector": {"app": name}, "ports": ports}}


def _template(name: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "registry.example.org/app:1.0.0",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": f"SETTING_{number}", "value": name} for number in range(8)],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 5},
    }
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def _workload(name: str, **more: Any) -> dict[str, Any]:
    # No pods: the server's work on the objects is measured, not that of its controllers.
    selector = {"matchLabels": {"app": name}}
    return {"spec": {"replicas": 0, "selector": selector, "template": _template(name), **more}}


def _deployment(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    return "apps/v1", "Deployment", _workload(name, revisionHistoryLimit=2)


def _stateful_set(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    return "apps/v1", "StatefulSet", _workload(name, serviceName=name)


def _cron_job(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    pod = {**_template(name), "spec": {**_template(name)["spec"], "restartPolicy": "Never"}}
    job = {"spec": {"template": pod}}
    return (
        "batch/v1",
        "CronJob",
        {"spec": {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": job}},
    )


def _policy(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    peer = [{"podSelector": {"matchLabels": {"app": "edge"}}}]
    ingress = [{"from": peer, "ports": [{"port": 8080, "protocol": "TCP"}]}]
    spec = {
        "podSelector": {"matchLabels": {"app": name}},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    return "networking.k8s.io/v1", "NetworkPolicy", {"spec": spec}


def _role(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    return "rbac.authorization.k8s.io/v1", "Role", {"rules": rules}


def _binding(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": space}]
    role = {"apiGroup": group, "kind": "Role", "name": "part-8"}
    return f"{group}/v1", "RoleBinding", {"roleRef": role, "subjects": subjects}


def _budget(name: str, space: str) -> tuple[str, str, dict[str, Any]]:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}
    return "policy/v1", "PodDisruptionBudget", {"spec": spec}


_KINDS = (
    _config_map,
    _secret,
    _account,
    _service,
    _deployment,
    _stateful_set,
    _cron_job,
    _policy,
    _role,
    _binding,
    _budget,
)
