"""Nodes: ready, or lost while the fault is on."""

from collections.abc import Iterable

from installer.rehearsal.faults import FaultBoard
from installer.rehearsal.kube.controllers.cluster import Cluster, condition, is_ready
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.store import Change, Key

NODES = "nodes."
PODS = "pods."
FAULT = "node-lost"
LOST_AFTER_SECONDS = 0.5
EVICT_SECONDS = 300.0
_TAINT = "node.kubernetes.io/unreachable"


class Nodes:
    """Plays the node lifecycle controller."""

    def __init__(self, cluster: Cluster, faults: FaultBoard) -> None:
        self._cluster = cluster
        self._faults = faults
        self._victim = ""
        self._due: dict[str, float] = {}

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The node; the node of a pod that has become ready (a fault waits for one)."""
        if change.key[0] == NODES:
            yield change.key
        elif change.key[0] == PODS and self._faults.is_on(FAULT) and change.after is not None:
            node = change.after.obj["spec"].get("nodeName")
            if node and not self._victim and is_ready(change.after.obj):
                yield (NODES, "", node)

    def reconcile(self, key: Key) -> float | None:
        """Lose the first node on which a pod is ready; bring it back when healed."""
        node = self._cluster.get(key)
        if node is None:
            return None
        lost = (condition(node, "Ready") or {}).get("status") == "Unknown"
        if not self._faults.is_on(FAULT):
            self._victim = ""
            self._due.clear()
            if lost:
                self._back(key, node)
            return None
        if lost:
            self._victim = key[2]
            wait = self._wait("evicting", EVICT_SECONDS)
            if wait is None:
                self._evict(key[2])
            return wait
        if self._victim or not self._ready_pods(key[2]):
            return None
        wait = self._wait("losing", LOST_AFTER_SECONDS)
        if wait is None:
            self._victim = key[2]
            self._lose(key, node)
        return wait

    def _wait(self, stage: str, seconds: float) -> float | None:
        """Cluster seconds left of a wait that begins with the first call; None when it is over."""
        clock = self._cluster.clock
        due = self._due.setdefault(stage, clock.monotonic() + clock.scaled(seconds))
        return clock.until(due)

    def _ready_pods(self, node: str) -> list[Json]:
        return [
            pod
            for pod in self._cluster.items(PODS)
            if pod["spec"].get("nodeName") == node and is_ready(pod)
        ]

    def _lose(self, key: Key, node: Json) -> None:
        now = self._cluster.clock.timestamp()
        taints = [
            {"key": _TAINT, "effect": effect, "timeAdded": now}
            for effect in ("NoSchedule", "NoExecute")
        ]
        spec = {**node["spec"], "taints": [*(node["spec"].get("taints") or []), *taints]}
        text = "Kubelet stopped posting node status."
        ready = {
            "type": "Ready",
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": text,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        self._cluster.put(key, {**node, "spec": spec, "status": _with(node, ready)})
        self._cluster.event(
            node, "Normal", "NodeNotReady", f"Node {key[2]} status is now: NodeNotReady"
        )
        lost = {"type": "Ready", "status": "False", "lastTransitionTime": now}
        for pod in self._ready_pods(key[2]):
            place = (PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
            self._cluster.set_status(place, _with(pod, lost))

    def _back(self, key: Key, node: Json) -> None:
        now = self._cluster.clock.timestamp()
        left = [item for item in node["spec"].get("taints") or [] if item["key"] != _TAINT]
        spec = {name: value for name, value in node["spec"].items() if name != "taints"}
        if left:
            spec["taints"] = left
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        self._cluster.put(key, {**node, "spec": spec, "status": _with(node, ready)})
        for pod in self._lost_pods(key[2]):
            place = (PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
            again = {"type": "Ready", "status": "True", "lastTransitionTime": now}
            self._cluster.set_status(place, _with(pod, again))

    def _lost_pods(self, node: str) -> list[Json]:
        """Pods that are unready for no other reason than that nobody hears of them."""
        return [
            pod
            for pod in self._cluster.items(PODS)
            if pod["spec"].get("nodeName") == node
            and not is_ready(pod)
            and all(
                item["ready"]
                for item in pod["status"].get("containerStatuses") or [{"ready": False}]
            )
        ]

    def _evict(self, node: str) -> None:
        for pod in self._lost_pods(node):
            place = (PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
            self._cluster.delete(place)


def _with(obj: Json, fresh: Json) -> Json:
    status = obj["status"]
    others = [item for item in status.get("conditions") or [] if item["type"] != fresh["type"]]
    return {**status, "conditions": [*others, fresh]}
