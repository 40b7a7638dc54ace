"""What pods say about why a workload will not become ready. Pure functions on JSON.

Waiting out the whole time-out tells an operator nothing; the pods know within seconds. Only pods
of the current revision count: those of the revision being replaced may have failed for long.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from installer.cluster.readiness_parts import condition

RESTARTS = 4  # a dependency that starts late explains one or two; back-off makes five last 2.5 min


@dataclass(frozen=True)
class PodProblem:
    """``key`` stays equal while the same thing is wrong; it counts after ``grace`` seconds."""

    code: str
    pod: str
    container: str
    grace: float
    title: str
    cause: str
    remedy: str
    evidence: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        # A pull that fails alternates between two reasons with different words.
        family = "IMAGE" if self.code.startswith("IMAGE-") else self.code
        return (family, self.pod, self.container)


# The words of a registry that does not have the image; anything else may pass by itself.
_IMAGE_ABSENT = ("not found", "manifest unknown", "does not exist", "no such image")
LATE_ACCOUNT = 180.0  # seconds
_IMAGE_REFUSED = ("unauthorized", "denied", "forbidden", "authentication required")


def owned_by(
    workload: Mapping[str, Any],
    pods: Iterable[Mapping[str, Any]],
    sets: Sequence[Mapping[str, Any]],
) -> tuple[Mapping[str, Any], ...]:
    """Pods of the workload's current revision. ``sets`` are the namespace's ReplicaSets."""
    select = _SELECTORS.get(workload["kind"])
    if select is None:
        return ()
    belongs = select(workload, sets)
    namespace = workload["metadata"].get("namespace", "")
    return tuple(
        pod
        for pod in pods
        if pod["metadata"].get("namespace", "") == namespace
        and not pod["metadata"].get("deletionTimestamp")
        and belongs(pod)
    )


def leaving(workload: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> str:
    """A StatefulSet makes a pod anew only when the old one is gone, which the kubelet of a node
    that does not answer never reports: which pod that is, and where; else empty."""
    for pod in pods:
        due = pod["metadata"].get("deletionTimestamp")  # the request plus the grace period
        if (
            due
            and workload["kind"] == "StatefulSet"
            and _owner_uid(pod) == workload["metadata"]["uid"]
        ):
            node = pod["spec"].get("nodeName", "no node")
            name = pod["metadata"]["name"]
            return f"pod {name} on {node} is being deleted, due to be gone at {due}"
    return ""


_Select: TypeAlias = Callable[[Mapping[str, Any]], bool]


def _owner_uid(manifest: Mapping[str, Any]) -> str:
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid", ""))
    return ""


def _label(manifest: Mapping[str, Any], name: str) -> str:
    return str((manifest["metadata"].get("labels") or {}).get(name, ""))


def _annotation(manifest: Mapping[str, Any], name: str) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(name, ""))


def _deployment_pods(workload: Mapping[str, Any], sets: Sequence[Mapping[str, Any]]) -> _Select:
    revision = "deployment.kubernetes.io/revision"
    wanted = _annotation(workload, revision)
    current = {
        item["metadata"]["uid"]
        for item in sets
        if _owner_uid(item) == workload["metadata"]["uid"] and _annotation(item, revision) == wanted
    }
    return lambda pod: _owner_uid(pod) in current


def _stateful_pods(workload: Mapping[str, Any], _: Sequence[Mapping[str, Any]]) -> _Select:
    uid = workload["metadata"]["uid"]
    revision = workload.get("status", {}).get("updateRevision", "")
    return lambda pod: (
        _owner_uid(pod) == uid and _label(pod, "controller-revision-hash") == revision
    )


def _daemon_pods(workload: Mapping[str, Any], _: Sequence[Mapping[str, Any]]) -> _Select:
    uid = workload["metadata"]["uid"]
    generation = _annotation(workload, "deprecated.daemonset.template.generation")
    return lambda pod: (
        _owner_uid(pod) == uid and _label(pod, "pod-template-generation") in ("", generation)
    )


def _job_pods(workload: Mapping[str, Any], _: Sequence[Mapping[str, Any]]) -> _Select:
    uid = workload["metadata"]["uid"]
    return lambda pod: _owner_uid(pod) == uid


_SELECTORS: Mapping[str, Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], _Select]] = {
    "Deployment": _deployment_pods,
    "StatefulSet": _stateful_pods,
    "DaemonSet": _daemon_pods,
    "Job": _job_pods,
}


def pod_problems(pod: Mapping[str, Any], workload: str) -> Iterator[PodProblem]:
    """What is wrong with one pod, if anything. ``workload`` names its owner in words."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        yield _unschedulable(pod, workload, str(scheduled.get("message", "")))
    status = pod.get("status", {})
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or ():
            problem = _container_problem(pod, workload, container)
            if problem is not None:
                yield problem


def _unschedulable(pod: Mapping[str, Any], workload: str, message: str) -> PodProblem:
    name = pod["metadata"]["name"]
    return PodProblem(
        code="UNSCHEDULABLE",
        pod=name,
        container="",
        grace=15.0,
        title=f"{name} finds no node",
        cause=message or "no node fits it",
        remedy="Add nodes or free some (CPU, memory, taints, node labels and volumes' zones are "
        "named above), then try again.",
        evidence=(f"pod {name}, owner {workload}", f"PodScheduled=False {message}"),
    )


def _container_problem(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any]
) -> PodProblem | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    make = _WAITING.get(waiting.get("reason", ""))
    return make(pod, workload, container, str(waiting.get("message", ""))) if make else None


def _evidence(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any], message: str
) -> tuple[str, ...]:
    node = pod.get("spec", {}).get("nodeName", "")
    where = f" on node {node}" if node else ""
    reason = container["state"]["waiting"]["reason"]
    lines = [f"pod {pod['metadata']['name']}{where}, owner {workload}"]
    lines.append(f"container {container['name']}: {reason} {message}".strip())
    last = (container.get("lastState") or {}).get("terminated") or {}
    if last:
        text = f"{last.get('reason', '')} {last.get('message', '')}".strip()
        lines.append(f"last run ended with exit code {last.get('exitCode', '?')}: {text}")
    return tuple(lines)


def _image(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any], message: str
) -> PodProblem:
    name, image = pod["metadata"]["name"], container.get("image", "its image")
    said = message.lower()
    code, grace, what = "IMAGE-PULL-FAILED", 60.0, "image cannot be fetched"
    remedy = "See whether the node reaches the registry and trusts its certificate, then try again."
    if any(word in said for word in _IMAGE_ABSENT):
        code, grace, what = "IMAGE-NOT-FOUND", 5.0, "image not found"
        remedy = (
            "Load the image into the registry, or choose a version that it has, then try again."
        )
    elif any(word in said for word in _IMAGE_REFUSED):
        code, grace, what = "IMAGE-REFUSED", 20.0, "registry refuses the image"
        remedy = "Correct the registry's credentials in the settings, then try again."
    return PodProblem(
        code=code,
        pod=name,
        container=container["name"],
        grace=grace,
        title=f"{name} cannot start: {what}",
        cause=f"{image}: {message or 'the node gives no reason'}",
        remedy=remedy,
        evidence=_evidence(pod, workload, container, message),
    )


def _image_name(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any], message: str
) -> PodProblem:
    return PodProblem(
        code="IMAGE-NAME-INVALID",
        pod=pod["metadata"]["name"],
        container=container["name"],
        grace=0.0,
        title=f"{pod['metadata']['name']} cannot start: image name is not valid",
        cause=f"{container.get('image', '')}: {message}",
        remedy="Correct the image or the registry's address in the settings.",
        evidence=_evidence(pod, workload, container, message),
    )


def _config(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any], message: str
) -> PodProblem:
    return PodProblem(
        code="CONTAINER-CONFIG",
        pod=pod["metadata"]["name"],
        container=container["name"],
        grace=15.0,
        title=f"{pod['metadata']['name']} cannot start: its configuration is incomplete",
        cause=message or "a ConfigMap, Secret or key that it needs is not there",
        remedy="Make what is named above; if this program should have made it, report this.",
        evidence=_evidence(pod, workload, container, message),
    )


def _container_error(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any], message: str
) -> PodProblem:
    return PodProblem(
        code="CONTAINER-ERROR",
        pod=pod["metadata"]["name"],
        container=container["name"],
        grace=30.0,
        title=f"{pod['metadata']['name']} cannot start: its node cannot run the container",
        cause=message or "the container runtime gives no reason",
        remedy="See the container runtime's log on that node, then try again.",
        evidence=_evidence(pod, workload, container, message),
    )


def _crash_loop(
    pod: Mapping[str, Any], workload: str, container: Mapping[str, Any], message: str
) -> PodProblem | None:
    restarts = container.get("restartCount", 0)
    if restarts < RESTARTS:
        return None
    name, label = pod["metadata"]["name"], container["name"]
    last = (container.get("lastState") or {}).get("terminated") or {}
    namespace = pod["metadata"].get("namespace", "")
    code, cause = "CRASH-LOOP", f"{label} ended with exit code {last.get('exitCode', '?')}"
    remedy = f"kubectl -n {namespace} logs {name} -c {label} --previous shows why; then try again."
    if last.get("reason") == "OOMKilled":
        code, cause = "OUT-OF-MEMORY", f"{label} was killed: it reached its memory limit"
        remedy = "Choose a larger size for it in the settings, then try again."
    return PodProblem(
        code=code,
        pod=name,
        container=label,
        grace=0.0,
        title=f"{name} starts and ends again and again",
        cause=f"{cause}, {restarts} restarts",
        remedy=remedy,
        evidence=_evidence(pod, workload, container, message),
    )


_WAITING: Mapping[
    str,
    Callable[[Mapping[str, Any], str, Mapping[str, Any], str], PodProblem | None],
] = {
    "ErrImagePull": _image,
    "ImagePullBackOff": _image,
    "ErrImageNeverPull": _image,
    "RegistryUnavailable": _image,
    "InvalidImageName": _image_name,
    "CreateContainerConfigError": _config,
    "CreateContainerError": _container_error,
    "RunContainerError": _container_error,
    "CrashLoopBackOff": _crash_loop,
}


def workload_problem(workload: Mapping[str, Any]) -> PodProblem | None:
    """A Deployment's ReplicaFailure: pods that the cluster does not even let be created."""
    entry = condition(workload, "ReplicaFailure")
    if entry.get("status") != "True":
        return None
    message = str(entry.get("message", ""))
    return refused_pods(workload, message, f"ReplicaFailure=True {message}".strip())


def account_is_late(message: str) -> bool:
    """A refusal that passes by itself: each namespace gets its default service account from a
    controller, which may be behind (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/)."""
    return "error looking up service account" in message and "not found" in message


def refused_pods(workload: Mapping[str, Any], message: str, evidence: str) -> PodProblem:
    """Pods refused by a quota, a pod security level or an admission webhook."""
    name = workload["metadata"]["name"]
    return PodProblem(
        code="PODS-REFUSED",
        pod="",
        container="",
        grace=LATE_ACCOUNT if account_is_late(message) else 15.0,
        title=f"the cluster refuses the pods of {name}",
        cause=message or "a quota, a pod security level or an admission webhook forbids them",
        remedy="Raise the quota or change the rule named above, then try again.",
        evidence=(f"{workload['kind']} {name}: {evidence}",),
    )
