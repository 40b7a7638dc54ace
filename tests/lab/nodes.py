"""What a lab cluster has from the start, as manifests: nodes, storage classes, an operator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab.builds import KUBERNETES
from tests.lab.stages import PROVISIONER

# kwok keeps alive the nodes that bear it; without it a node is as good as unplugged.
MANAGED = {"type": "kwok"}
STORAGE_CLASSES = {
    "standard": "WaitForFirstConsumer",
    "immediate": "Immediate",
    "retain": "WaitForFirstConsumer",
    "stuck": "Immediate",
}


@dataclass(frozen=True)
class NodeShape:
    """`count` alike nodes; `cpu`, `memory` and `disk` are Kubernetes quantities.

    `taints` are (key, value, effect).
    """

    count: int = 3
    cpu: str = "8"
    memory: str = "32Gi"
    disk: str = "200Gi"
    prefix: str = "node"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[tuple[str, str, str]] = ()


def node_manifests(shapes: Sequence[NodeShape]) -> Iterator[dict[str, Any]]:
    number = 0
    for shape in shapes:
        for index in range(1, shape.count + 1):
            number += 1
            yield _node(shape, f"{shape.prefix}-{index}", number)


def _node(shape: NodeShape, name: str, number: int) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        **MANAGED,
        **shape.labels,
    }
    taints = [{"key": k, "value": v, "effect": e} for k, v, e in shape.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": f"10.244.{number}.0/24", "taints": taints},
        "status": _status(shape, name, number),
    }


def _status(shape: NodeShape, name: str, number: int) -> dict[str, Any]:
    room = {
        "cpu": shape.cpu,
        "memory": shape.memory,
        "ephemeral-storage": shape.disk,
        "pods": "110",
    }
    return {
        "capacity": room,
        "allocatable": room,
        "addresses": [
            # RFC 5737's addresses for documentation; kube-apiserver is told to reach the
            # kubelets, which all are kwok, by the ExternalDNS name.
            {"type": "InternalIP", "address": f"192.0.2.{number}"},
            {"type": "Hostname", "address": name},
            {"type": "ExternalDNS", "address": "localhost"},
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "kernelVersion": "6.1.0-31-amd64",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "containerRuntimeVersion": "containerd://2.2.9",
            "kubeletVersion": f"v{KUBERNETES}",
            "kubeProxyVersion": "",
            "bootID": f"00000000-0000-4000-8000-{number:012d}",
            # kwok's template does not quote it: digits alone would come out as a number.
            "machineID": f"ab{number:030d}",
            "systemUUID": f"00000000-0000-4000-9000-{number:012d}",
        },
    }


def storage_classes() -> Iterator[dict[str, Any]]:
    """`standard` is the default; `retain` keeps its volumes; `stuck` never gives one."""
    for name, binding in STORAGE_CLASSES.items():
        default = {"storageclass.kubernetes.io/is-default-class": str(name == "standard").lower()}
        yield {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name, "annotations": default},
            "provisioner": "lab.test/nobody" if name == "stuck" else PROVISIONER,
            "reclaimPolicy": "Retain" if name == "retain" else "Delete",
            "volumeBindingMode": binding,
        }


def operators_binding(group: str) -> dict[str, Any]:
    """Gives a group every right."""
    api = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": group},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group}],
    }
