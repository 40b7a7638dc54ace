"""StatefulSets and DaemonSets."""

import contextlib
from collections.abc import Iterable
from typing import Any

from installer.rehearsal.kube.controllers.cluster import (
    Cluster,
    is_going,
    is_ready,
    key_of,
)
from installer.rehearsal.kube.controllers.deployments import owners_key
from installer.rehearsal.kube.controllers.scheduling import tolerates
from installer.rehearsal.kube.controllers.templates import (
    pod_from,
    reference_to,
    template_hash,
)
from installer.rehearsal.kube.problems import ApiError, Json
from installer.rehearsal.kube.store import Change, Key

STATEFUL = "statefulsets.apps"
DAEMONS = "daemonsets.apps"
PODS = "pods."
REVISION_LABEL = "controller-revision-hash"


class StatefulSets:
    """Pods with fixed names and claims, one after the other or side by side."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The StatefulSet, or the one that owns a changed pod."""
        if change.key[0] == STATEFUL:
            yield change.key
        elif change.key[0] == PODS:
            yield from owners_key(change, "StatefulSet", STATEFUL)

    def reconcile(self, key: Key) -> float | None:
        """Create what is missing, roll what is old, remove what is too much, count."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj):
            return None
        self._cluster.adopt("controllerrevisions.apps", obj)
        update = self._revision(obj)
        pods = {pod["metadata"]["name"]: pod for pod in self._cluster.adopt(PODS, obj)}
        try:
            again = self._make(obj, pods, update)
        except ApiError as refusal:
            text = f"create Pod in StatefulSet {key[2]} failed error: {refusal}"
            self._cluster.event(obj, "Warning", "FailedCreate", text)
            again = 2.0
        self._shrink(obj, pods)
        self._roll(obj, update)
        self._report(key, obj, update)
        return again

    def _names(self, obj: Json) -> list[str]:
        start = (obj["spec"].get("ordinals") or {}).get("start", 0)
        name = obj["metadata"]["name"]
        return [f"{name}-{start + number}" for number in range(obj["spec"]["replicas"])]

    def _make(self, obj: Json, pods: dict[str, Json], update: str) -> float | None:
        ordered = obj["spec"]["podManagementPolicy"] == "OrderedReady"
        for name in self._names(obj):
            pod = pods.get(name)
            if pod is None:
                self._claims(obj, name)
                self._pod(obj, name, update)
                if ordered:
                    return None
            elif ordered and (is_going(pod) or not is_ready(pod)):
                return None
        return None

    def _pod(self, obj: Json, name: str, update: str) -> None:
        ordinal = name.rpartition("-")[2]
        labels = {
            REVISION_LABEL: f"{obj['metadata']['name']}-{update}",
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": ordinal,
        }
        body = pod_from(obj, obj["spec"]["template"], name, labels)
        volumes = list(body["spec"].get("volumes") or [])
        for claim in obj["spec"].get("volumeClaimTemplates") or []:
            source = {"claimName": f"{claim['metadata']['name']}-{name}"}
            own = {"name": claim["metadata"]["name"], "persistentVolumeClaim": source}
            volumes = [item for item in volumes if item["name"] != own["name"]] + [own]
        service = obj["spec"].get("serviceName", "")
        body["spec"] = {**body["spec"], "hostname": name, "subdomain": service}
        if volumes:
            body["spec"]["volumes"] = volumes
        self._cluster.create("pods", "", body)
        text = f"create Pod {name} in StatefulSet {obj['metadata']['name']} successful"
        self._cluster.event(obj, "Normal", "SuccessfulCreate", text)

    def _claims(self, obj: Json, name: str) -> None:
        labels = obj["spec"]["selector"].get("matchLabels") or {}
        for claim in obj["spec"].get("volumeClaimTemplates") or []:
            metadata = {
                "name": f"{claim['metadata']['name']}-{name}",
                "namespace": obj["metadata"]["namespace"],
                "labels": {**(claim["metadata"].get("labels") or {}), **labels},
                "annotations": dict(claim["metadata"].get("annotations") or {}),
            }
            body = {"metadata": metadata, "spec": claim["spec"]}
            self._cluster.create("persistentvolumeclaims", "", body)

    def _shrink(self, obj: Json, pods: dict[str, Json]) -> None:
        surplus = [name for name in pods if name not in self._names(obj)]
        for name in sorted(surplus, key=lambda text: -int(text.rpartition("-")[2]))[:1]:
            if not is_going(pods[name]):
                self._cluster.delete(key_of(PODS, pods[name]))

    def _roll(self, obj: Json, update: str) -> None:
        strategy = obj["spec"]["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        pods = {pod["metadata"]["name"]: pod for pod in self._cluster.owned(PODS, obj)}
        names = self._names(obj)
        for name in reversed(names[partition:]):
            pod = pods.get(name)
            if pod is None or is_going(pod):
                return
            if _revision_of(pod) != f"{obj['metadata']['name']}-{update}":
                self._cluster.delete(key_of(PODS, pod))
                return
            if not is_ready(pod):
                return

    def _revision(self, obj: Json) -> str:
        """The hash of the present template; its ControllerRevision is made when missing."""
        update = template_hash(obj["spec"]["template"])
        name = f"{obj['metadata']['name']}-{update}"
        place = ("controllerrevisions.apps", obj["metadata"]["namespace"], name)
        if self._cluster.get(place) is None:
            older = self._cluster.owned("controllerrevisions.apps", obj)
            body = {
                "metadata": {
                    "name": name,
                    "namespace": obj["metadata"]["namespace"],
                    "labels": obj["spec"]["template"]["metadata"].get("labels") or {},
                    "ownerReferences": [reference_to(obj)],
                },
                "data": {"spec": {"template": obj["spec"]["template"]}},
                "revision": len(older) + 1,
            }
            with contextlib.suppress(ApiError):
                self._cluster.create("controllerrevisions", "apps", body)
        return update

    def _report(self, key: Key, obj: Json, update: str) -> None:
        pods = [pod for pod in self._cluster.owned(PODS, obj) if not is_going(pod)]
        ready = [pod for pod in pods if is_ready(pod)]
        name = f"{obj['metadata']['name']}-{update}"
        updated = [pod for pod in pods if _revision_of(pod) == name]
        known = obj.get("status") or {}
        current = known.get("currentRevision") or name
        if len(updated) == len(ready) == obj["spec"]["replicas"]:
            current = name
        counts = {
            "readyReplicas": len(ready),
            "availableReplicas": len(ready),
            "currentReplicas": sum(_revision_of(pod) == current for pod in pods),
            "updatedReplicas": len(updated),
        }
        status: dict[str, Any] = {field: value for field, value in counts.items() if value}
        status |= {
            "observedGeneration": obj["metadata"]["generation"],
            "replicas": len(pods),
            "availableReplicas": len(ready),
            "currentRevision": current,
            "updateRevision": name,
            "collisionCount": 0,
        }
        self._cluster.set_status(key, status)


def _revision_of(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


class DaemonSets:
    """One pod on every node that fits."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The DaemonSet, or the one that owns a changed pod; all when a node comes or goes."""
        if change.key[0] == DAEMONS:
            yield change.key
        elif change.key[0] == PODS:
            yield from owners_key(change, "DaemonSet", DAEMONS)
        elif change.key[0] == "nodes." and (change.before is None or change.after is None):
            for obj in self._cluster.items(DAEMONS):
                yield key_of(DAEMONS, obj)

    def reconcile(self, key: Key) -> float | None:
        """Create and delete pods node by node, then count."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj):
            return None
        update = template_hash(obj["spec"]["template"])
        nodes = [node for node in self._cluster.items("nodes.") if self._fits(obj, node)]
        pods = [pod for pod in self._cluster.adopt(PODS, obj) if not is_going(pod)]
        by_node = {pod["spec"].get("nodeName"): pod for pod in pods}
        names = {node["metadata"]["name"] for node in nodes}
        for name in sorted(names - set(by_node)):
            self._pod(obj, name, update)
        for name, pod in by_node.items():
            if name not in names:
                self._cluster.delete(key_of(PODS, pod))
        if obj["spec"]["updateStrategy"]["type"] == "RollingUpdate":
            self._roll(pods, update)
        self._report(key, obj, names, update)
        return None

    def _fits(self, obj: Json, node: Json) -> bool:
        spec = obj["spec"]["template"]["spec"]
        labels = node["metadata"].get("labels") or {}
        wanted = spec.get("nodeSelector") or {}
        if any(labels.get(name) != value for name, value in wanted.items()):
            return False
        taints = (node.get("spec") or {}).get("taints") or []
        ignored = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
        return all(
            taint["key"] in ignored or tolerates(spec.get("tolerations") or [], taint)
            for taint in taints
            if taint["effect"] in ("NoSchedule", "NoExecute")
        )

    def _pod(self, obj: Json, node: str, update: str) -> None:
        name = f"{obj['metadata']['name']}-"
        body = pod_from(obj, obj["spec"]["template"], name, {REVISION_LABEL: update})
        body["spec"] = {**body["spec"], "nodeName": node}
        self._cluster.create("pods", "", body)

    def _roll(self, pods: list[Json], update: str) -> None:
        if all(is_ready(pod) for pod in pods):
            for pod in pods:
                if _revision_of(pod) != update:
                    self._cluster.delete(key_of(PODS, pod))
                    return

    def _report(self, key: Key, obj: Json, names: set[str], update: str) -> None:
        pods = [pod for pod in self._cluster.owned(PODS, obj) if not is_going(pod)]
        ready = sum(is_ready(pod) for pod in pods)
        status: dict[str, Any] = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": len(names),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "observedGeneration": obj["metadata"]["generation"],
        }
        counts = {
            "updatedNumberScheduled": sum(_revision_of(pod) == update for pod in pods),
            "numberAvailable": ready,
            "numberUnavailable": len(names) - ready,
        }
        status |= {field: value for field, value in counts.items() if value}
        self._cluster.set_status(key, status)
