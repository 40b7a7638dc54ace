"""What a cluster holds before anybody installs into it."""

from dataclasses import dataclass, field

from installer.rehearsal.kube.incoming import Place
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.registry import Registry, WriteOptions

MANAGER = WriteOptions("kube-apiserver")
PROVISIONER = "rehearsal.local/disk"


@dataclass(frozen=True)
class NodeShape:
    """One simulated node: whole CPUs, memory and disk as quantities, its labels."""

    name: str
    cpu: int = 16
    memory: str = "64Gi"
    disk: str = "100Gi"
    pods: int = 110
    labels: tuple[tuple[str, str], ...] = ()
    control_plane: bool = False


def _three_workers() -> tuple[NodeShape, ...]:
    return (
        NodeShape("control-1", 4, "16Gi", control_plane=True),
        NodeShape("worker-1"),
        NodeShape("worker-2"),
        NodeShape("worker-3"),
    )


@dataclass(frozen=True)
class ClusterShape:
    """The nodes, the storage class and the load balancer's addresses of a simulated cluster.

    `binding` is the class' volumeBindingMode; without a `load_balancer_pool` (an IPv4 prefix such
    as `198.51.100.`) Services of type LoadBalancer stay pending, as without a controller.
    """

    nodes: tuple[NodeShape, ...] = field(default_factory=_three_workers)
    storage_class: str = "standard"
    binding: str = "WaitForFirstConsumer"
    load_balancer_pool: str = ""


def bootstrap(registry: Registry, shape: ClusterShape) -> None:
    """Create what is missing of a fresh cluster's own objects."""
    for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
        _ensure(registry, "", "namespaces", "", name, {})
    for node in shape.nodes:
        _node(registry, node)
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    body: Json = {
        "metadata": {"annotations": annotations},
        "provisioner": PROVISIONER,
        "volumeBindingMode": shape.binding,
        "allowVolumeExpansion": True,
    }
    _ensure(registry, "storage.k8s.io", "storageclasses", "", shape.storage_class, body)
    for name, value in (
        ("system-cluster-critical", 2000000000),
        ("system-node-critical", 2000001000),
    ):
        _ensure(registry, "scheduling.k8s.io", "priorityclasses", "", name, {"value": value})
    rbac = "rbac.authorization.k8s.io"
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    for name in ("cluster-admin", "admin", "edit", "view"):
        _ensure(registry, rbac, "clusterroles", "", name, {"rules": [everything]})
    ports = [{"name": "https", "port": 443, "targetPort": 6443}]
    service: Json = {"spec": {"clusterIP": "10.96.0.1", "ports": ports}}
    _ensure(registry, "", "services", "default", "kubernetes", service)


def _ensure(
    registry: Registry, group: str, plural: str, namespace: str, name: str, body: Json
) -> None:
    kind = registry.catalogue.by_plural(plural, group)
    place = Place(kind, namespace, name)
    if registry.store.get(place.key) is not None:
        return
    metadata = {**body.get("metadata", {}), "name": name}
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, **body, "metadata": metadata}
    registry.create(place, obj, MANAGER)


def _node(registry: Registry, shape: NodeShape) -> None:
    labels = {
        "kubernetes.io/hostname": shape.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        **dict(shape.labels),
    }
    spec: Json = {"podCIDR": f"10.244.{_number(registry)}.0/24"}
    if shape.control_plane:
        labels["node-role.kubernetes.io/control-plane"] = ""
        spec["taints"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    body = {"metadata": {"labels": labels}, "spec": spec}
    kind = registry.catalogue.by_plural("nodes")
    place = Place(kind, "", shape.name)
    if registry.store.get(place.key) is not None:
        return
    number = _number(registry)
    _ensure(registry, "", "nodes", "", shape.name, body)
    stored = registry.store.get(place.key)
    if stored is not None:
        registry.store.put(
            place.key, {**stored.obj, "status": _node_status(registry, shape, number)}
        )


def _number(registry: Registry) -> int:
    return len(registry.store.items("nodes.")) + 1


def _node_status(registry: Registry, shape: NodeShape, number: int) -> Json:
    now = registry.clock.timestamp()
    room = {
        "cpu": str(shape.cpu),
        "memory": shape.memory,
        "pods": str(shape.pods),
        "ephemeral-storage": shape.disk,
    }
    quiet = [
        ("MemoryPressure", "KubeletHasSufficientMemory"),
        ("DiskPressure", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "KubeletHasSufficientPID"),
    ]
    conditions = [_condition(kind, "False", why, now) for kind, why in quiet]
    conditions.append(_condition("Ready", "True", "KubeletReady", now))
    return {
        "capacity": room,
        "allocatable": room,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": f"192.0.2.{number + 10}"},
            {"type": "Hostname", "address": shape.name},
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "kubeletVersion": "v1.36.2",
            "containerRuntimeVersion": "containerd://2.2.9",
            "osImage": "Debian GNU/Linux 13 (trixie)",
            "kernelVersion": "6.12.0",
            "machineID": shape.name,
            "systemUUID": shape.name,
            "bootID": shape.name,
            "kubeProxyVersion": "",
        },
    }


def _condition(kind: str, status: str, reason: str, now: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
