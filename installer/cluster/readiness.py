"""When is an object ready? Pure rules on the object's JSON, one a kind.

Common to all: an object being deleted is not ready; where a kind reports ``observedGeneration``
it must be present and equal, because the status of a fresh object otherwise reads like success.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from installer.cluster.readiness_custom import WITHOUT_STATUS, custom
from installer.cluster.readiness_parts import (
    Readiness,
    condition,
    failed,
    holds,
    observed,
    ready,
    told,
    waiting,
)
from installer.core.objects import Manifest, ObjectRef


@dataclass(frozen=True)
class ClusterView:
    """What a rule must know besides the object itself.

    ``served`` holds ``apiVersion/Kind`` that discovery lists. ``late_binding`` names storage
    classes with volumeBindingMode WaitForFirstConsumer; ``default_class`` the default one.
    ``consumers`` holds ``namespace/claim`` of claims that some pod mounts.
    """

    load_balancer: bool = False
    served: frozenset[str] = frozenset()
    late_binding: frozenset[str] = frozenset()
    default_class: str = ""
    consumers: frozenset[str] = field(default_factory=frozenset)


Rule: TypeAlias = Callable[[Mapping[str, Any], ClusterView], Readiness]

_BUILT_IN_GROUPS = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions"})


def readiness(wanted: Mapping[str, Any], live: Manifest | None, view: ClusterView) -> Readiness:
    """Judges one object. ``wanted`` is what we declare, ``live`` what the cluster holds."""
    if live is None:
        return _gone(wanted)
    meta = live["metadata"]
    if meta.get("deletionTimestamp"):
        holders = ", ".join(meta.get("finalizers") or ()) or "its contents"
        return waiting(f"is being deleted since {meta['deletionTimestamp']}, held by {holders}")
    ref = ObjectRef.of(live)
    rule = RULES.get(ref.group_kind)
    if rule is not None:
        return rule(live, view)
    if _is_built_in(ref):
        return ready()
    return custom(ref.group_kind, live)


def is_gated(ref: ObjectRef) -> bool:
    """Whether a kind can be anything but ready once it is there."""
    rule = RULES.get(ref.group_kind)
    if rule is not None:
        return rule is not _not_gated
    return not _is_built_in(ref) and ref.group_kind not in WITHOUT_STATUS


def _is_built_in(ref: ObjectRef) -> bool:
    group = ref.api_version.rpartition("/")[0]
    return group in _BUILT_IN_GROUPS or group.endswith(".k8s.io")


def _gone(wanted: Mapping[str, Any]) -> Readiness:
    """A finished Job with a time to live is removed by the cluster: that is success.

    Only a Job that we know to have been created is asked about, so "gone" is not "not yet there".
    """
    if wanted["kind"] == "Job" and "ttlSecondsAfterFinished" in wanted.get("spec", {}):
        return ready()
    return waiting("is not there")


def _deployment(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    wanted = live["spec"].get("replicas", 1)
    status = live.get("status", {})
    progress = condition(live, "Progressing")
    if not observed(live):
        return waiting("not yet seen by its controller")
    if progress.get("status") == "False" and progress.get("reason") == "ProgressDeadlineExceeded":
        return failed(
            "ROLLOUT-STUCK",
            f"Deployment {live['metadata']['name']} makes no progress",
            progress.get("message") or "its progress deadline has passed",
            "See why its pods do not become ready (events and logs), then try again.",
            told(progress),
        )
    counts = {
        "updated": status.get("updatedReplicas", 0),
        "ready": status.get("readyReplicas", 0),
        "available": status.get("availableReplicas", 0),
    }
    if live["spec"].get("paused") and counts["updated"] != wanted:
        return failed(
            "ROLLOUT-PAUSED",
            f"Deployment {live['metadata']['name']} is paused",
            "spec.paused is true: the cluster rolls out nothing until it is removed",
            f"kubectl -n {live['metadata'].get('namespace', '')} rollout resume deployment/"
            f"{live['metadata']['name']}, then try again.",
        )
    for word, count in counts.items():
        if count != wanted:
            return waiting(f"{count} of {wanted} {word}")
    extra = status.get("replicas", 0) - wanted
    return waiting(f"{extra} old pods still there") if extra > 0 else ready()


def _stateful_set(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    spec, status = live["spec"], live.get("status", {})
    wanted = spec.get("replicas", 1)
    if not observed(live):
        return waiting("not yet seen by its controller")
    up = status.get("readyReplicas", 0)
    if up != wanted or status.get("replicas", 0) != wanted:
        return waiting(f"{up} of {wanted} ready")
    strategy = spec.get("updateStrategy", {})
    if strategy.get("type") == "OnDelete":
        if status.get("updateRevision") != status.get("currentRevision"):
            return ready("its pods take the new template only when they are deleted (OnDelete)")
        return ready()
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    if updated < wanted - partition:
        return waiting(f"{updated} of {wanted - partition} updated")
    if not partition and status.get("currentRevision") != status.get("updateRevision"):
        return waiting("the last pod takes the new revision")
    return ready()


def _daemon_set(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    status = live.get("status", {})
    if not observed(live):
        return waiting("not yet seen by its controller")
    wanted = status.get("desiredNumberScheduled", 0)
    if wanted == 0:
        return ready("no node matches it: it runs nowhere")
    on_delete = live["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
    updated = status.get("updatedNumberScheduled", 0)
    if updated != wanted and not on_delete:
        return waiting(f"{updated} of {wanted} updated")
    up = status.get("numberAvailable", 0)
    if up != wanted:
        return waiting(f"{up} of {wanted} available")
    return ready("some pods run the old template (OnDelete)") if updated != wanted else ready()


def _replica_set(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    wanted, up = live["spec"].get("replicas", 1), live.get("status", {}).get("readyReplicas", 0)
    if not observed(live):
        return waiting("not yet seen by its controller")
    return ready() if up == wanted else waiting(f"{up} of {wanted} ready")


def _pod(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    if live.get("status", {}).get("phase") == "Succeeded" or holds(live, "Ready"):
        return ready()
    return waiting(live.get("status", {}).get("phase") or "has no status yet")


def _job(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    name = live["metadata"]["name"]
    if holds(live, "Complete"):
        return ready()
    broken = condition(live, "Failed")
    if broken.get("status") == "True":
        return failed(
            "JOB-FAILED",
            f"Job {name} failed",
            broken.get("message") or broken.get("reason") or "it gave up",
            f"kubectl -n {live['metadata'].get('namespace', '')} logs job/{name} shows why; "
            "then try again: the Job is made anew.",
            told(broken),
        )
    if live["spec"].get("suspend"):
        return waiting("is suspended (spec.suspend)")
    status = live.get("status", {})
    done, wanted = status.get("succeeded", 0), live["spec"].get("completions", 1)
    return waiting(f"{done} of {wanted} done, {status.get('active', 0)} running")


def _claim(live: Mapping[str, Any], view: ClusterView) -> Readiness:
    status, meta = live.get("status", {}), live["metadata"]
    phase = status.get("phase", "")
    if phase == "Bound":
        return ready()
    if phase == "Lost":
        return failed(
            "VOLUME-LOST",
            f"the volume of {meta['name']} is gone",
            f"PersistentVolumeClaim {meta['name']} is Lost: its volume was deleted",
            "Restore the volume, or remove the claim if its data is not needed.",
        )
    used = f"{meta.get('namespace', '')}/{meta['name']}" in view.consumers
    name = live["spec"].get("storageClassName", view.default_class)
    if phase == "Pending" and name in view.late_binding and not used:
        return ready("is bound when its first pod is scheduled")
    if phase == "Pending" and not name:
        return waiting("is not bound: it names no storage class and the cluster has no default")
    return waiting(f"is {phase or 'new'}: no volume of storage class {name or '(none)'} yet")


def _custom_resource_definition(live: Mapping[str, Any], view: ClusterView) -> Readiness:
    names = condition(live, "NamesAccepted")
    if names.get("status") == "False":
        return failed(
            "CRD-NAMES-TAKEN",
            f"the names of {live['metadata']['name']} are taken",
            names.get("message") or "another CustomResourceDefinition has them",
            "Remove the other definition, or set that component to 'existing'.",
            told(names),
        )
    for kind in ("NamesAccepted", "Established"):
        if not holds(live, kind):
            return waiting(f"is not {kind} yet")
    group, kind = live["spec"]["group"], live["spec"]["names"]["kind"]
    for version in live["spec"].get("versions", ()):
        name = f"{group}/{version['name']}/{kind}"
        if version.get("served", True) and name not in view.served:
            return waiting(f"discovery does not list {name} yet")
    return ready()


def _service(live: Mapping[str, Any], view: ClusterView) -> Readiness:
    if live["spec"].get("type") != "LoadBalancer":
        return ready()
    if (live.get("status", {}).get("loadBalancer") or {}).get("ingress"):
        return ready()
    if not view.load_balancer:
        return ready("the cluster has no load balancer controller: it gets no address")
    return waiting("has no address from the load balancer yet")


def _namespace(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    phase = live.get("status", {}).get("phase", "")
    return ready() if phase == "Active" else waiting(f"is {phase or 'new'}")


def _api_service(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    if holds(live, "Available"):
        return ready()
    entry = condition(live, "Available")
    return waiting(told(entry) if entry else "has no status yet")


def _disruption_budget(live: Mapping[str, Any], _: ClusterView) -> Readiness:
    return ready() if observed(live) else waiting("not yet seen by its controller")


def _not_gated(_: Mapping[str, Any], __: ClusterView) -> Readiness:
    """Whether it works is proven by a request through it; its status says little."""
    return ready()


RULES: Mapping[str, Rule] = {
    "deployment.apps": _deployment,
    "statefulset.apps": _stateful_set,
    "daemonset.apps": _daemon_set,
    "replicaset.apps": _replica_set,
    "pod": _pod,
    "job.batch": _job,
    "persistentvolumeclaim": _claim,
    "customresourcedefinition.apiextensions.k8s.io": _custom_resource_definition,
    "service": _service,
    "namespace": _namespace,
    "apiservice.apiregistration.k8s.io": _api_service,
    "poddisruptionbudget.policy": _disruption_budget,
    "ingress.networking.k8s.io": _not_gated,
    "gateway.gateway.networking.k8s.io": _not_gated,
    "httproute.gateway.networking.k8s.io": _not_gated,
    "tcproute.gateway.networking.k8s.io": _not_gated,
}
