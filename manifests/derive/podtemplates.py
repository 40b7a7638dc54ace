"""Pod templates: where they are in a workload, and what every one of ours has."""

from collections.abc import Mapping, Sequence
from typing import Any

from installer.core.objects import Manifest
from manifests.derive.kinds import WORKLOADS
from manifests.pods import PodSet

NODE_ROLE = "matrix.io/role"  # label that the installer gives to hosts it prepared


REGISTRY_LOGIN = "registry-login"  # Secret in each namespace, when the mirror wants a login


def is_workload(manifest: Mapping[str, Any]) -> bool:
    return manifest["kind"] in WORKLOADS


def pod_template(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The pod template of a workload, shared with it. Raises KeyError when there is none."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: dict[str, Any] = spec["template"]
    return template


def containers(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All containers of a workload's pods, initial ones first."""
    spec = pod_template(manifest)["spec"]
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def replicas(manifest: Mapping[str, Any]) -> int:
    """How many pods a workload runs at a time; a DaemonSet counts as one."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        return 1
    return int(spec.get("replicas", spec.get("parallelism", 1)))


def pod_set_of(manifest: Mapping[str, Any], pod_sets: Sequence[PodSet]) -> PodSet:
    """The declared pod set of a workload. Raises ValueError when it matches none."""
    labels = pod_template(manifest).get("metadata", {}).get("labels", {})
    namespace = manifest["metadata"].get("namespace", "")
    for pods in pod_sets:
        if pods.namespace == namespace and pods.selector.items() <= labels.items():
            return pods
    name = manifest["metadata"]["name"]
    raise ValueError(f"{manifest['kind']} {name}: its pods belong to no declared pod set")


def complete_pods(
    manifest: Manifest, pods: PodSet, *, priority_class: str, registry_login: bool
) -> None:
    """Fills in what all pods of ours share, where the template says nothing of its own.

    The security context is what the Pod Security Standard "restricted" asks for, and a read-only
    root. No token of the API server is mounted unless the template asks for one.
    """
    spec = pod_template(manifest)["spec"]
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    spec.setdefault("priorityClassName", priority_class)
    if registry_login:
        spec.setdefault("imagePullSecrets", [{"name": REGISTRY_LOGIN}])
    context = spec.setdefault("securityContext", {})
    context.setdefault("runAsNonRoot", True)
    context.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for container in containers(manifest):
        container.setdefault("imagePullPolicy", "IfNotPresent")
        own = container.setdefault("securityContext", {})
        own.setdefault("allowPrivilegeEscalation", False)
        own.setdefault("readOnlyRootFilesystem", True)
        own.setdefault("capabilities", {"drop": ["ALL"]})
    _place(spec, manifest["kind"], pods)


def _place(spec: dict[str, Any], kind: str, pods: PodSet) -> None:
    """Towards the hosts of their role, and apart from each other."""
    role = {"key": NODE_ROLE, "operator": "In", "values": [pods.node_role.value]}
    prefer = [{"weight": 100, "preference": {"matchExpressions": [role]}}]
    node = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    # Preferred, not required: a cluster that was there before us may not have the label.
    node.setdefault("preferredDuringSchedulingIgnoredDuringExecution", prefer)
    if pods.replicas > 1 and kind in ("StatefulSet", "Deployment"):
        spec.setdefault(
            "topologySpreadConstraints",
            [
                _spread(pods, kind, "kubernetes.io/hostname", "DoNotSchedule"),
                _spread(pods, kind, "topology.kubernetes.io/zone", "ScheduleAnyway"),
            ],
        )


def _spread(pods: PodSet, kind: str, key: str, otherwise: str) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": otherwise,
        "labelSelector": {"matchLabels": dict(pods.selector)},
        # A host that takes no pods must not count as an empty one that everything has to wait for.
        "nodeTaintsPolicy": "Honor",
    }
    if kind == "Deployment":
        rule["matchLabelKeys"] = ["pod-template-hash"]  # old and new pods of a rollout apart
    return rule


def resources(cpu: float, memory_gb: float) -> dict[str, Any]:
    """Requests and limits for a figure of the size table: CPU in cores, memory in GiB.

    Memory request = limit, so that a pod is never evicted for what it was promised. Half of the
    CPU is requested and none is limited: throttling costs more than sharing.
    """
    memory = f"{round(memory_gb * 1024)}Mi"
    return {
        "requests": {"cpu": f"{round(cpu * 1000 / 2)}m", "memory": memory},
        "limits": {"memory": memory},
    }
