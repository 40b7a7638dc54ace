"""What the kubelet and the scheduler write into a pod's status."""

from typing import Any

from installer.rehearsal.kube.controllers.cluster import Cluster, condition
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.store import Key

_ALL = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def container_needs(cluster: Cluster, pod: Json) -> tuple[str, str] | None:
    """Reason and message when a Secret or ConfigMap that the pod needs is not there."""
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or []:
        for resource, section, field in (
            ("secrets.", "secret", "secretName"),
            ("configmaps.", "configMap", "name"),
        ):
            source = volume.get(section)
            if not source or source.get("optional"):
                continue
            if cluster.get((resource, namespace, source.get(field, ""))) is None:
                return "ContainerCreating", ""
    for container in pod["spec"]["containers"]:
        found = _missing_env(cluster, namespace, container)
        if found:
            return "CreateContainerConfigError", found
    return None


def _missing_env(cluster: Cluster, namespace: str, container: Json) -> str:
    sources = [item.get("valueFrom") or {} for item in container.get("env") or []]
    sources += container.get("envFrom") or []
    for source in sources:
        for resource, word, names in (
            ("secrets.", "secret", ("secretKeyRef", "secretRef")),
            ("configmaps.", "configmap", ("configMapKeyRef", "configMapRef")),
        ):
            for name in names:
                wanted = source.get(name)
                if not wanted or wanted.get("optional"):
                    continue
                held = cluster.get((resource, namespace, wanted.get("name", "")))
                if held is None:
                    return f'{word} "{wanted.get("name", "")}" not found'
                key = wanted.get("key")
                if key and key not in (held.get("data") or {}):
                    place = f"{word.capitalize()} {namespace}/{wanted['name']}"
                    return f"couldn't find key {key} in {place}"
    return ""


class PodStatus:
    """Writes the status of pods, stage by stage."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def waiting_reason(self, pod: Json) -> str:
        """Why the first container waits; empty when it does not."""
        for item in (pod.get("status") or {}).get("containerStatuses") or []:
            return str((item["state"].get("waiting") or {}).get("reason", ""))
        return ""

    def unschedulable(self, key: Key, pod: Json, why: str) -> None:
        """No node fits."""
        known = condition(pod, "PodScheduled")
        if known is not None and known.get("message") == why:
            return
        found = self._condition(pod, "PodScheduled", "False", "Unschedulable", why)
        status = {**(pod.get("status") or {}), "phase": "Pending", "conditions": [found]}
        self._cluster.set_status(key, status)
        self._cluster.event(pod, "Warning", "FailedScheduling", why)

    def scheduled(self, key: Key) -> None:
        """A node was chosen."""
        pod = self._cluster.get(key)
        if pod is None:
            return
        found = self._condition(pod, "PodScheduled", "True")
        status = {**(pod.get("status") or {}), "phase": "Pending", "conditions": [found]}
        self._cluster.set_status(key, status)

    def creating(self, key: Key) -> None:
        """The kubelet has seen the pod."""
        pod = self._cluster.get(key)
        if pod is None:
            return
        node = self._cluster.get(("nodes.", "", pod["spec"]["nodeName"])) or {}
        addresses = (node.get("status") or {}).get("addresses") or [{"address": ""}]
        status = {
            **pod["status"],
            "startTime": self._cluster.clock.timestamp(),
            "hostIP": addresses[0]["address"],
            "hostIPs": [{"ip": addresses[0]["address"]}],
            "qosClass": _quality(pod),
        }
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        states = self._containers(pod, waiting, ready=False, started=False)
        self._write(key, pod, status, states, ready=False)

    def waiting(self, key: Key, pod: Json, reason: str, message: str) -> None:
        """The containers cannot start."""
        state: Json = {"waiting": {"reason": reason}}
        if message:
            state["waiting"]["message"] = message
        states = self._containers(pod, state, ready=False, started=False)
        self._write(key, pod, pod["status"], states, ready=False)

    def running(self, key: Key, pod: Json) -> None:
        """The containers have started; their probes have not succeeded yet."""
        number = sum(ord(letter) for letter in pod["metadata"]["uid"]) % 250 + 2
        node = sum(ord(letter) for letter in pod["spec"]["nodeName"]) % 250
        address = pod["status"].get("podIP") or f"10.244.{node}.{number}"
        status = {**pod["status"], "phase": "Running", "podIP": address}
        status["podIPs"] = [{"ip": address}]
        state = {"running": {"startedAt": self._cluster.clock.timestamp()}}
        states = self._containers(pod, state, ready=False, started=True)
        self._write(key, pod, status, states, ready=False)

    def ready(self, key: Key, pod: Json) -> None:
        """All readiness probes succeed."""
        states = [{**item, "ready": True} for item in pod["status"]["containerStatuses"]]
        self._write(key, pod, pod["status"], states, ready=True)

    def succeeded(self, key: Key, pod: Json) -> None:
        """All containers ended with 0."""
        now = self._cluster.clock.timestamp()
        state = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}}
        states = self._containers(pod, state, ready=False, started=False)
        status = {**pod["status"], "phase": "Succeeded"}
        self._write(key, pod, status, states, ready=False, reason="PodCompleted")

    def crashed(self, key: Key, pod: Json) -> int:
        """The first container ended with 1 again. Returns how often by now."""
        now = self._cluster.clock.timestamp()
        first = pod["status"]["containerStatuses"][0]
        count = int(first.get("restartCount", 0)) + 1
        name = first["name"]
        text = (
            f"back-off {min(10 * 2 ** min(count - 1, 5), 300)}s restarting failed "
            f"container={name} pod={pod['metadata']['name']}_{pod['metadata']['namespace']}"
        )
        ended = {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now}
        state = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
        states = self._containers(pod, state, ready=False, started=False)
        for item in states:
            item |= {"restartCount": count, "lastState": {"terminated": ended}}
        self._write(key, pod, pod["status"], states, ready=False)
        told = f"Back-off restarting failed container {name} in pod {pod['metadata']['name']}"
        self._cluster.event(pod, "Warning", "BackOff", told)
        return count

    def _containers(self, pod: Json, state: Json, *, ready: bool, started: bool) -> list[Json]:
        known = {
            item["name"]: item for item in (pod.get("status") or {}).get("containerStatuses") or []
        }
        found: list[Json] = []
        for container in pod["spec"]["containers"]:
            before = known.get(container["name"], {})
            found.append(
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": f"rehearsal://{container['image']}" if started else "",
                    "ready": ready,
                    "started": started,
                    "restartCount": before.get("restartCount", 0),
                    "state": dict(state),
                    "lastState": before.get("lastState", {}),
                }
            )
        return found

    def _write(
        self,
        key: Key,
        pod: Json,
        status: Json,
        states: list[Json],
        *,
        ready: bool,
        reason: str = "ContainersNotReady",
    ) -> None:
        names = " ".join(item["name"] for item in states)
        why: tuple[str, ...] = ()
        if not ready:
            why = (
                reason,
                ""
                if reason != "ContainersNotReady"
                else f"containers with unready status: [{names}]",
            )
        word = "True" if ready else "False"
        conditions = []
        for kind in _ALL:
            if kind in ("Ready", "ContainersReady"):
                conditions.append(self._condition(pod, kind, word, *why))
            else:
                conditions.append(self._condition(pod, kind, "True"))
        status = {
            **status,
            "conditions": conditions,
            "containerStatuses": states,
            "observedGeneration": pod["metadata"].get("generation", 1),
        }
        if pod["spec"].get("initContainers"):
            status["initContainerStatuses"] = [
                _initialised(container) for container in pod["spec"]["initContainers"]
            ]
        self._cluster.set_status(key, status)

    def _condition(
        self, pod: Json, kind: str, status: str, reason: str = "", message: str = ""
    ) -> Json:
        known = condition(pod, kind)
        same = known is not None and known["status"] == status
        found: dict[str, Any] = {"type": kind, "status": status, "lastProbeTime": None}
        found["lastTransitionTime"] = (
            known["lastTransitionTime"] if known and same else self._cluster.clock.timestamp()
        )
        if reason:
            found["reason"] = reason
        if message:
            found["message"] = message
        return found


def _initialised(container: Json) -> Json:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"rehearsal://{container['image']}",
        "ready": True,
        "started": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
        "lastState": {},
    }


def _quality(pod: Json) -> str:
    kinds = [container.get("resources") or {} for container in pod["spec"]["containers"]]
    if not any(kind.get("requests") or kind.get("limits") for kind in kinds):
        return "BestEffort"
    if all(kind.get("limits") and kind.get("limits") == kind.get("requests") for kind in kinds):
        return "Guaranteed"
    return "Burstable"
