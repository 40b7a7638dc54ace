"""Which node a pod goes to, and why none when none fits."""

from collections import Counter
from fractions import Fraction

from installer.rehearsal.kube.controllers.cluster import Cluster, condition
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.quantity import amount
from installer.rehearsal.kube.selectors import matches

HOSTNAME = "kubernetes.io/hostname"
_RESOURCES = ("cpu", "memory")


def tolerates(tolerations: list[Json], taint: Json) -> bool:
    """Whether any of the tolerations covers the taint."""
    for item in tolerations:
        if item.get("effect") not in (None, "", taint["effect"]):
            continue
        if item.get("operator", "Equal") == "Exists":
            if item.get("key") in (None, "", taint["key"]):
                return True
        elif item.get("key") == taint["key"] and item.get("value", "") == taint.get("value", ""):
            return True
    return False


def node_is_ready(node: Json) -> bool:
    """Whether a node's kubelet reports."""
    found = condition(node, "Ready")
    return found is not None and found["status"] == "True"


class Scheduler:
    """Filters nodes as the default scheduler does; among those left the emptiest wins."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def place(self, pod: Json) -> tuple[str, str]:
        """The chosen node's name, or an empty one and the scheduler's words."""
        nodes = self._cluster.items("nodes.")
        reasons: Counter[str] = Counter()
        fitting: list[tuple[Fraction, Fraction, str]] = []
        for node in nodes:
            used = self._used(node["metadata"]["name"])
            reason = self._reason(pod, node, used)
            if reason:
                reasons[reason] += 1
            else:
                room = amount(node["status"]["allocatable"]["memory"]) - used["memory"]
                fitting.append((used["pods"], -room, node["metadata"]["name"]))
        if fitting:
            return min(fitting)[2], ""
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        return "", f"0/{len(nodes)} nodes are available: {told}."

    def _reason(self, pod: Json, node: Json, used: dict[str, Fraction]) -> str:
        spec = pod["spec"]
        taints = (node.get("spec") or {}).get("taints") or []
        for taint in taints:
            if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(
                spec.get("tolerations") or [], taint
            ):
                inner = f"{taint['key']}: {taint.get('value', '')}"
                return f"node(s) had untolerated taint {{{inner}}}"
        if (node.get("spec") or {}).get("unschedulable"):
            return "node(s) were unschedulable"
        if not self._selected(spec, node):
            return "node(s) didn't match Pod's node affinity/selector"
        if self._repelled(pod, node):
            return "node(s) didn't match pod anti-affinity rules"
        wanted = requests_of(pod)
        for name in _RESOURCES:
            if used[name] + wanted[name] > amount(node["status"]["allocatable"][name]):
                return f"Insufficient {name}"
        if used["pods"] + 1 > amount(node["status"]["allocatable"]["pods"]):
            return "Too many pods"
        return ""

    def _selected(self, spec: Json, node: Json) -> bool:
        labels = node["metadata"].get("labels") or {}
        for name, value in (spec.get("nodeSelector") or {}).items():
            if labels.get(name) != value:
                return False
        affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution"
        )
        if not affinity:
            return True
        return any(
            matches({"matchExpressions": term.get("matchExpressions") or []}, labels)
            for term in affinity["nodeSelectorTerms"]
        )

    def _repelled(self, pod: Json, node: Json) -> bool:
        terms = ((pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution"
        ) or []
        neighbours = [
            other
            for other in self._cluster.items("pods.", pod["metadata"]["namespace"])
            if other["spec"].get("nodeName") == node["metadata"]["name"]
            and other["metadata"]["uid"] != pod["metadata"]["uid"]
        ]
        return any(
            matches(term.get("labelSelector"), other["metadata"].get("labels") or {})
            for term in terms
            if term.get("topologyKey") == HOSTNAME
            for other in neighbours
        )

    def _used(self, node: str) -> dict[str, Fraction]:
        total = {"cpu": Fraction(0), "memory": Fraction(0), "pods": Fraction(0)}
        for pod in self._cluster.items("pods."):
            if pod["spec"].get("nodeName") != node:
                continue
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                continue
            total["pods"] += 1
            for name, value in requests_of(pod).items():
                total[name] += value
        return total


def requests_of(pod: Json) -> dict[str, Fraction]:
    """The CPU and memory that a pod asks for."""
    total = {name: Fraction(0) for name in _RESOURCES}
    for container in pod["spec"].get("containers") or []:
        wanted = (container.get("resources") or {}).get("requests") or {}
        for name in _RESOURCES:
            total[name] += amount(wanted.get(name, "0"))
    return total
