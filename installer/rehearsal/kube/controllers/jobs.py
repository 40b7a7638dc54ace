"""Jobs: pods until enough have succeeded."""

from collections.abc import Iterable
from datetime import datetime

from installer.rehearsal.kube.controllers.cluster import Cluster, condition, is_going
from installer.rehearsal.kube.controllers.deployments import owners_key
from installer.rehearsal.kube.controllers.templates import pod_from
from installer.rehearsal.kube.problems import ApiError, Json
from installer.rehearsal.kube.store import Change, Key

JOBS = "jobs.batch"
PODS = "pods."


class Jobs:
    """Creates a Job's pods and says when it is complete."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The Job, or the one that owns a changed pod."""
        if change.key[0] == JOBS:
            yield change.key
        elif change.key[0] == PODS:
            yield from owners_key(change, "Job", JOBS)

    def reconcile(self, key: Key) -> float | None:
        """Create pods, count them, end the Job, and delete it when its time is up."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj) or obj["spec"].get("suspend"):
            return None
        if condition(obj, "Complete") is not None:
            return self._expire(key, obj)
        pods = self._cluster.owned(PODS, obj)
        phases = [(pod.get("status") or {}).get("phase") for pod in pods]
        done, failed = phases.count("Succeeded"), phases.count("Failed")
        wanted = obj["spec"].get("completions") or 1
        active = len(phases) - done - failed
        room = min(obj["spec"]["parallelism"], wanted - done) - active
        for _ in range(room):
            body = pod_from(obj, obj["spec"]["template"], f"{obj['metadata']['name']}-")
            try:
                self._cluster.create("pods", "", body)
            except ApiError as refusal:
                self._cluster.event(obj, "Warning", "FailedCreate", f"Error creating: {refusal}")
                return 2.0
            active += 1
        self._report(key, obj, active, done, failed, wanted)
        return None

    def _report(
        self, key: Key, obj: Json, active: int, done: int, failed: int, wanted: int
    ) -> None:
        now = self._cluster.clock.timestamp()
        known = obj.get("status") or {}
        status: Json = {
            "startTime": known.get("startTime", now),
            "terminating": 0,
            "uncountedTerminatedPods": {},
            "ready": 0,
        }
        for name, value in (("active", active), ("succeeded", done), ("failed", failed)):
            if value:
                status[name] = value
        if done >= wanted:
            status["completionTime"] = now
            status["conditions"] = [
                {
                    "type": kind,
                    "status": "True",
                    "reason": "CompletionsReached",
                    "message": "Reached expected number of succeeded pods",
                    "lastProbeTime": now,
                    "lastTransitionTime": now,
                }
                for kind in ("SuccessCriteriaMet", "Complete")
            ]
        self._cluster.set_status(key, status)

    def _expire(self, key: Key, obj: Json) -> float | None:
        seconds = obj["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return None
        ended = datetime.fromisoformat(obj["status"]["completionTime"])
        passed = (self._cluster.clock.now() - ended).total_seconds()
        if passed >= self._cluster.clock.scaled(seconds):
            self._cluster.delete(key)
            return None
        return float(seconds)
