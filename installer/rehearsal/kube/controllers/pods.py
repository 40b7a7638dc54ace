"""Pods from creation to Ready: scheduler and kubelet, with the faults that hit pods."""

from collections.abc import Iterable

from installer.rehearsal.faults import FaultBoard
from installer.rehearsal.kube.controllers.cluster import (
    Cluster,
    condition,
    is_going,
    is_ready,
    owner_of,
)
from installer.rehearsal.kube.controllers.podstatus import PodStatus, container_needs
from installer.rehearsal.kube.controllers.scheduling import Scheduler, node_is_ready
from installer.rehearsal.kube.controllers.volumes import CLAIMS, SELECTED, claims_of
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.store import Change, Key

PODS = "pods."
# Seconds as on an idle cluster of ordinary VMs with a registry near by.
SCHEDULE_SECONDS = 0.05
PULL_SECONDS = 4.0
START_SECONDS = 1.0
READY_SECONDS = 1.0
JOB_SECONDS = 3.0
STOP_SECONDS = 1.0
BACKOFF_SECONDS = 10.0
LONGEST_BACKOFF_SECONDS = 300.0
# Real seconds: even at once is not a busy loop.
SHORTEST_BACKOFF_SECONDS = 0.05
_WAKING = (CLAIMS, "secrets.", "configmaps.", "nodes.")


class Pods:
    """Moves each pod one stage on whenever its time has come."""

    def __init__(self, cluster: Cluster, faults: FaultBoard) -> None:
        self._cluster = cluster
        self._faults = faults
        self._scheduler = Scheduler(cluster)
        self._status = PodStatus(cluster)
        self._due: dict[str, dict[str, float]] = {}
        self._pulled: set[tuple[str, str]] = set()
        self._victims: dict[str, str] = {}

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The pod; the unready pods of a namespace when something they may wait for changes."""
        if change.key[0] == PODS:
            if change.after is None and change.before is not None:
                self._due.pop(change.before.obj["metadata"]["uid"], None)
                yield from self._unscheduled()
            yield change.key
        elif change.key[0] in _WAKING and change.after is not None:
            namespace = change.key[1] or None
            for pod in self._cluster.items(PODS, namespace):
                if is_going(pod) or (pod.get("status") or {}).get("phase") == "Pending":
                    yield (PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _unscheduled(self) -> Iterable[Key]:
        for pod in self._cluster.items(PODS):
            if not pod["spec"].get("nodeName"):
                yield (PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        """One step of one pod; cluster seconds until the next."""
        pod = self._cluster.get(key)
        if pod is None:
            return None
        if is_going(pod):
            return self._stop(key, pod)
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return None
        if not pod["spec"].get("nodeName"):
            return self._schedule(key, pod)
        return self._run(key, pod) if self._reports(pod) else None

    def _reports(self, pod: Json) -> bool:
        """Whether the kubelet of the pod's node reports; a pod without a node has no need of it."""
        name = pod["spec"].get("nodeName")
        if not name or not pod["metadata"].get("deletionGracePeriodSeconds", 1):
            return True
        node = self._cluster.get(("nodes.", "", name))
        return node is not None and node_is_ready(node)

    def _wait_once(self, pod: Json, stage: str, seconds: float) -> float | None:
        """Cluster seconds until this stage's wait is over, None when it is; begun at first."""
        clock = self._cluster.clock
        stages = self._due.setdefault(pod["metadata"]["uid"], {})
        due = stages.setdefault(stage, clock.monotonic() + clock.scaled(seconds))
        return clock.until(due)

    def _stop(self, key: Key, pod: Json) -> float | None:
        if not self._reports(pod):
            return None  # Nobody can say that its containers have ended.
        if not pod["metadata"].get("deletionGracePeriodSeconds"):
            if not pod["metadata"].get("finalizers"):
                self._cluster.store.remove(key)
            return None
        wait = self._wait_once(pod, "stopping", STOP_SECONDS)
        if wait is not None:
            return wait
        metadata = {**pod["metadata"], "deletionGracePeriodSeconds": 0}
        self._cluster.put(key, {**pod, "metadata": metadata})
        return None

    # Scheduler

    def _schedule(self, key: Key, pod: Json) -> float | None:
        wait = self._wait_once(pod, "scheduling", SCHEDULE_SECONDS)
        if wait is not None:
            return wait
        missing = self._missing_claim(pod)
        node, why = ("", missing) if missing else self._scheduler.place(pod)
        if not node:
            self._status.unschedulable(key, pod, why)
            return 5.0
        waiting = self._unbound(pod, node)
        if waiting:
            return 0.5
        spec = {**pod["spec"], "nodeName": node}
        self._cluster.put(key, {**pod, "spec": spec})
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        text = f"Successfully assigned {namespace}/{name} to {node}"
        self._cluster.event(pod, "Normal", "Scheduled", text)
        self._status.scheduled(key)
        return None

    def _missing_claim(self, pod: Json) -> str:
        for name in claims_of(pod):
            if self._cluster.get((CLAIMS, pod["metadata"]["namespace"], name)) is None:
                return f'persistentvolumeclaim "{name}" not found'
        return ""

    def _unbound(self, pod: Json, node: str) -> bool:
        """Whether a claim is still to be bound; tells the claims which node was chosen."""
        found = False
        for name in claims_of(pod):
            key = (CLAIMS, pod["metadata"]["namespace"], name)
            claim = self._cluster.get(key)
            if claim is None or claim["spec"].get("volumeName"):
                continue
            found = True
            annotations = claim["metadata"].get("annotations") or {}
            if SELECTED not in annotations:
                metadata = {**claim["metadata"], "annotations": {**annotations, SELECTED: node}}
                self._cluster.put(key, {**claim, "metadata": metadata})
        return found

    # Kubelet

    def _run(self, key: Key, pod: Json) -> float | None:
        if condition(pod, "PodScheduled") is None:
            self._status.scheduled(key)
            return None
        if not (pod["status"].get("containerStatuses")):
            self._status.creating(key)
            return None
        if pod["status"]["phase"] == "Pending":
            return self._start(key, pod)
        return self._running(key, pod)

    def _start(self, key: Key, pod: Json) -> float | None:
        needs = container_needs(self._cluster, pod)
        if needs:
            reason, text = needs
            self._status.waiting(key, pod, reason, text)
            return 2.0
        node = pod["spec"]["nodeName"]
        images = {container["image"] for container in pod["spec"]["containers"]}
        pulling = any((node, image) not in self._pulled for image in images)
        wait = self._wait_once(pod, "pulling", PULL_SECONDS if pulling else 0.2)
        if wait is not None:
            return wait
        if self._hit("image-missing", pod):
            return self._unpullable(key, pod)
        self._pulled |= {(node, image) for image in images}
        wait = self._wait_once(pod, "starting", START_SECONDS)
        if wait is not None:
            return wait
        self._status.running(key, pod)
        return None

    def _unpullable(self, key: Key, pod: Json) -> float:
        wait = self._again(pod, "backing off")
        if wait is not None:
            return wait
        image = pod["spec"]["containers"][0]["image"]
        failed = (
            f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
            f"{image}: not found"
        )
        state = self._status.waiting_reason(pod)
        if state == "ErrImagePull":
            text = f'Back-off pulling image "{image}": ErrImagePull: {failed}'
            self._status.waiting(key, pod, "ImagePullBackOff", text)
        elif state != "ImagePullBackOff":
            self._status.waiting(key, pod, "ErrImagePull", failed)
            self._cluster.event(
                pod, "Warning", "Failed", f'Failed to pull image "{image}": {failed}'
            )
        return self._once_more(pod, "backing off", BACKOFF_SECONDS)

    def _running(self, key: Key, pod: Json) -> float | None:
        if self._hit("crash-loop", pod):
            return self._crash(key, pod)
        if self._status.waiting_reason(pod) == "CrashLoopBackOff":
            wait = self._again(pod, "crashing")
            if wait is None:
                self._status.running(key, pod)
            return wait
        owner = owner_of(pod)
        if owner is not None and owner["kind"] == "Job":
            wait = self._wait_once(pod, "working", JOB_SECONDS)
            if wait is None:
                self._status.succeeded(key, pod)
            return wait
        if is_ready(pod):
            return None
        wait = self._wait_once(pod, "readying", READY_SECONDS + _probe_delay(pod))
        if wait is None:
            self._status.ready(key, pod)
        return wait

    def _crash(self, key: Key, pod: Json) -> float:
        wait = self._again(pod, "crashing")
        if wait is not None:
            return wait
        count = self._status.crashed(key, pod)
        delay = min(BACKOFF_SECONDS * 2 ** min(count - 1, 8), LONGEST_BACKOFF_SECONDS)
        return self._once_more(pod, "crashing", delay)

    def _again(self, pod: Json, stage: str) -> float | None:
        """Cluster seconds until a stage that repeats is due again; None when it is now."""
        due = self._due.setdefault(pod["metadata"]["uid"], {}).get(stage)
        return None if due is None else self._cluster.clock.until(due)

    def _once_more(self, pod: Json, stage: str, seconds: float) -> float:
        clock = self._cluster.clock
        pause = max(clock.scaled(seconds), SHORTEST_BACKOFF_SECONDS)
        self._due.setdefault(pod["metadata"]["uid"], {})[stage] = clock.monotonic() + pause
        return seconds

    def _hit(self, fault: str, pod: Json) -> bool:
        """Whether the fault hits this pod: it takes the first workload it meets, and stays."""
        if not self._faults.is_on(fault):
            self._victims.pop(fault, None)
            return False
        owner = owner_of(pod)
        mark = owner["uid"] if owner is not None else pod["metadata"]["uid"]
        victim = self._victims.setdefault(fault, mark)
        return bool(victim == mark)


def _probe_delay(pod: Json) -> float:
    delays = [
        (container.get("readinessProbe") or {}).get("initialDelaySeconds", 0)
        for container in pod["spec"]["containers"]
    ]
    return float(max(delays, default=0))
