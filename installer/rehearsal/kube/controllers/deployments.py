"""Deployments and the ReplicaSets below them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from installer.rehearsal.kube.controllers.cluster import (
    Cluster,
    condition,
    is_going,
    is_ready,
    key_of,
    owner_of,
)
from installer.rehearsal.kube.controllers.templates import (
    pod_from,
    reference_to,
    share,
    template_hash,
)
from installer.rehearsal.kube.problems import ApiError, Json
from installer.rehearsal.kube.store import Change, Key

DEPLOYMENTS = "deployments.apps"
SETS = "replicasets.apps"
PODS = "pods."
HASH_LABEL = "pod-template-hash"
# However fast the clock: this much real time the machine itself may need to start some pods.
SHORTEST_DEADLINE_SECONDS = 10.0
REVISION = "deployment.kubernetes.io/revision"


def owners_key(change: Change, kind: str, resource: str) -> Iterable[Key]:
    """The key of the controller of a changed object, when it is of that kind."""
    for side in (change.after, change.before):
        reference = owner_of(side.obj) if side is not None else None
        if reference is not None and reference["kind"] == kind:
            yield (resource, change.key[1], reference["name"])
            return


class Deployments:
    """Keeps one ReplicaSet a template, and rolls from the old to the new."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The Deployment, or the one that owns a changed ReplicaSet."""
        if change.key[0] == DEPLOYMENTS:
            yield change.key
        elif change.key[0] == SETS:
            yield from owners_key(change, "Deployment", DEPLOYMENTS)

    def reconcile(self, key: Key) -> float | None:
        """Create, scale and count ReplicaSets."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj):
            return None
        sets = self._cluster.adopt(SETS, obj)
        label = template_hash(obj["spec"]["template"])
        current = next(
            (item for item in sets if item["metadata"]["labels"].get(HASH_LABEL) == label), None
        )
        if obj["spec"].get("paused"):
            return self._report(key, obj, sets, current)
        if current is None:
            current = self._new_set(obj, label, len(sets))
            sets = self._cluster.owned(SETS, obj)
        if current is not None:
            self._roll(obj, sets, current)
        sets = self._cluster.owned(SETS, obj)
        return self._report(key, obj, sets, current)

    def _new_set(self, obj: Json, label: str, older: int) -> Json | None:
        metadata, spec = obj["metadata"], obj["spec"]
        revision = str(older + 1)
        template = spec["template"]
        labels = {**(template["metadata"].get("labels") or {}), HASH_LABEL: label}
        selector = dict(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: label}
        body = {
            "metadata": {
                "name": f"{metadata['name']}-{label}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": {REVISION: revision},
                "ownerReferences": [reference_to(obj)],
            },
            "spec": {
                "replicas": 0 if older else spec["replicas"],
                "selector": selector,
                "template": {
                    **template,
                    "metadata": {**template["metadata"], "labels": labels},
                },
            },
        }
        created = self._cluster.create("replicasets", "apps", body)
        annotations = {**(metadata.get("annotations") or {}), REVISION: revision}
        fresh = self._cluster.get(key_of(DEPLOYMENTS, obj)) or obj
        changed = {**fresh["metadata"], "annotations": annotations}
        self._cluster.put(key_of(DEPLOYMENTS, obj), {**fresh, "metadata": changed})
        return created

    def _roll(self, obj: Json, sets: list[Json], current: Json) -> None:
        wanted = obj["spec"]["replicas"]
        olds = [item for item in sets if item["metadata"]["uid"] != current["metadata"]["uid"]]
        strategy = obj["spec"]["strategy"]
        if strategy["type"] == "Recreate":
            for old in olds:
                self._scale(old, 0)
            if all(not (old.get("status") or {}).get("replicas") for old in olds):
                self._scale(current, wanted)
            return
        surge = share(strategy["rollingUpdate"]["maxSurge"], wanted, up=True)
        missing = share(strategy["rollingUpdate"]["maxUnavailable"], wanted, up=False)
        in_olds = sum(old["spec"]["replicas"] for old in olds)
        room = wanted + surge - in_olds
        self._scale(current, max(0, min(wanted, room)) if olds else wanted)
        available = sum(_count(item, "availableReplicas") for item in sets)
        spare = available - (wanted - missing)
        for old in olds:
            drop = min(old["spec"]["replicas"], max(spare, 0))
            unready = old["spec"]["replicas"] - _count(old, "availableReplicas")
            drop = max(drop, min(unready, old["spec"]["replicas"]))
            self._scale(old, old["spec"]["replicas"] - drop)
            spare -= drop

    def _scale(self, item: Json, replicas: int) -> None:
        self._cluster.set_spec(key_of(SETS, item), replicas=replicas)

    def _report(self, key: Key, obj: Json, sets: list[Json], current: Json | None) -> float | None:
        fresh = self._cluster.get(key) or obj
        name = current["metadata"]["name"] if current else ""
        updated = next((item for item in sets if item["metadata"]["name"] == name), None)
        counts = {
            "replicas": sum(_count(item, "replicas") for item in sets),
            "updatedReplicas": _count(updated, "replicas") if updated else 0,
            "readyReplicas": sum(_count(item, "readyReplicas") for item in sets),
            "availableReplicas": sum(_count(item, "availableReplicas") for item in sets),
        }
        wanted = obj["spec"]["replicas"]
        counts["unavailableReplicas"] = max(wanted - counts["availableReplicas"], 0)
        done = (
            counts["updatedReplicas"] == counts["replicas"] == wanted
            and counts["availableReplicas"] == wanted
        )
        conditions, again = self._conditions(fresh, counts, done, name)
        failure = condition(updated, "ReplicaFailure") if updated else None
        if failure is not None:
            conditions.append({**failure, "lastUpdateTime": failure["lastTransitionTime"]})
        status: Json = {field: value for field, value in counts.items() if value}
        status |= {
            "observedGeneration": fresh["metadata"]["generation"],
            "conditions": conditions,
        }
        self._cluster.set_status(key, status)
        return again

    def _conditions(
        self, obj: Json, counts: dict[str, int], done: bool, name: str
    ) -> tuple[list[Json], float | None]:
        now = self._cluster.clock.timestamp()
        strategy = obj["spec"]["strategy"].get("rollingUpdate") or {}
        missing = share(strategy.get("maxUnavailable", 0), obj["spec"]["replicas"], up=False)
        enough = counts["availableReplicas"] >= obj["spec"]["replicas"] - missing
        available = (
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        )
        progressing = (
            ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
            if done
            else ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        )
        again, late = self._deadline(obj, counts, done)
        if late:
            text = f'ReplicaSet "{name}" has timed out progressing.'
            progressing = ("False", "ProgressDeadlineExceeded", text)
        conditions = [
            _stated(obj, "Available", available, now, moved=False),
            _stated(obj, "Progressing", progressing, now, moved=self._moved(obj, counts)),
        ]
        return conditions, again

    def _deadline(self, obj: Json, counts: dict[str, int], done: bool) -> tuple[float | None, bool]:
        """Cluster seconds until the next look, and whether the deadline has passed."""
        known = condition(obj, "Progressing")
        if done or known is None:
            return (None if done else float(obj["spec"]["progressDeadlineSeconds"]), False)
        if known["reason"] == "ProgressDeadlineExceeded" and not self._moved(obj, counts):
            return None, True
        if self._moved(obj, counts) or known["reason"] == "NewReplicaSetAvailable":
            return float(obj["spec"]["progressDeadlineSeconds"]), False
        since = datetime.fromisoformat(known["lastUpdateTime"])
        passed = (self._cluster.clock.now() - since).total_seconds()
        limit = self._cluster.clock.scaled(obj["spec"]["progressDeadlineSeconds"])
        if passed > max(limit, SHORTEST_DEADLINE_SECONDS):
            return None, True
        return max(float(obj["spec"]["progressDeadlineSeconds"]) / 4, 1.0), False

    def _moved(self, obj: Json, counts: dict[str, int]) -> bool:
        status = obj.get("status") or {}
        return any(
            counts[name] != status.get(name, 0)
            for name in ("updatedReplicas", "readyReplicas", "availableReplicas", "replicas")
        )


def _stated(obj: Json, kind: str, stated: tuple[str, str, str], now: str, *, moved: bool) -> Json:
    status, reason, message = stated
    known = condition(obj, kind)
    same = known is not None and known["status"] == status
    told = (
        known is not None
        and same
        and (known["reason"], known["message"]) == (reason, message)
        and not moved
    )
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": known["lastTransitionTime"] if known and same else now,
        "lastUpdateTime": known["lastUpdateTime"] if known and told else now,
    }


def _count(obj: Json | None, field: str) -> int:
    return int(((obj or {}).get("status") or {}).get(field, 0))


class ReplicaSets:
    """Keeps the wanted number of pods."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The ReplicaSet, or the one that owns a changed pod."""
        if change.key[0] == SETS:
            yield change.key
        elif change.key[0] == PODS:
            yield from owners_key(change, "ReplicaSet", SETS)

    def reconcile(self, key: Key) -> float | None:
        """Create or delete pods, then count."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj):
            return None
        pods = [pod for pod in self._cluster.adopt(PODS, obj) if not is_going(pod)]
        wanted = obj["spec"]["replicas"]
        failure: ApiError | None = None
        for _ in range(wanted - len(pods)):
            try:
                body = pod_from(obj, obj["spec"]["template"], f"{obj['metadata']['name']}-")
                self._cluster.create("pods", "", body)
            except ApiError as refusal:
                failure = refusal
                self._cluster.event(obj, "Warning", "FailedCreate", f"Error creating: {refusal}")
                break
        surplus = sorted(pods, key=lambda pod: (is_ready(pod), pod["metadata"]["name"]))
        for pod in surplus[: max(len(pods) - wanted, 0)]:
            self._cluster.delete(key_of(PODS, pod))
        pods = [pod for pod in self._cluster.owned(PODS, obj) if not is_going(pod)]
        self._cluster.set_status(key, self._status(obj, pods, failure))
        return 2.0 if failure else None

    def _status(self, obj: Json, pods: list[Json], failure: ApiError | None) -> Json:
        ready = sum(is_ready(pod) for pod in pods)
        status: dict[str, Any] = {
            "replicas": len(pods),
            "observedGeneration": obj["metadata"]["generation"],
        }
        if pods:
            status["fullyLabeledReplicas"] = len(pods)
        if ready:
            status |= {"readyReplicas": ready, "availableReplicas": ready}
        if failure is not None:
            known = condition(obj, "ReplicaFailure")
            status["conditions"] = [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": str(failure),
                    "lastTransitionTime": known["lastTransitionTime"]
                    if known
                    else self._cluster.clock.timestamp(),
                }
            ]
        return status
