"""What the API server fills in when an object leaves it out (defaults of Kubernetes 1.36)."""

from collections.abc import Callable
from typing import Any

from installer.rehearsal.kube.podspec import default_pod_spec
from installer.rehearsal.kube.problems import Json

# What a status holds before any controller has written it.
_FIRST_STATUS: dict[str, Json] = {
    "Deployment": {},
    "ReplicaSet": {"replicas": 0},
    "StatefulSet": {"replicas": 0, "availableReplicas": 0},
    "DaemonSet": {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    "Job": {},
    "CronJob": {},
    "Ingress": {"loadBalancer": {}},
    "ResourceQuota": {},
    "PodDisruptionBudget": {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    "PersistentVolume": {"phase": "Pending"},
    "HorizontalPodAutoscaler": {"desiredReplicas": 0},
}


def apply_defaults(kind: str, obj: Json) -> None:
    """Fill in the defaults of a built-in kind, in place."""
    if kind in _FIRST_STATUS:
        obj.setdefault("status", dict(_FIRST_STATUS[kind]))
    filler = _FILLERS.get(kind)
    if filler is not None:
        filler(obj)


def _section(obj: Json, *names: str) -> Json:
    for name in names:
        obj = obj.setdefault(name, {})
    return obj


def _fill(section: Json, **defaults: Any) -> None:
    for key, value in defaults.items():
        section.setdefault(key, value)


def _template(spec: Json, restart: str = "Always") -> None:
    template = _section(spec, "template")
    template.setdefault("metadata", {})
    default_pod_spec(_section(template, "spec"), restart)


def _deployment(obj: Json) -> None:
    spec = _section(obj, "spec")
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _section(spec, "strategy")
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(_section(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _replica_set(obj: Json) -> None:
    spec = _section(obj, "spec")
    _fill(spec, replicas=1)
    _template(spec)


def _stateful_set(obj: Json) -> None:
    spec = _section(obj, "spec")
    _fill(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    strategy = _section(spec, "updateStrategy")
    if "type" not in strategy:
        strategy["type"] = "RollingUpdate"
        _section(strategy, "rollingUpdate")
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        _fill(strategy["rollingUpdate"], partition=0)
    retention = _section(spec, "persistentVolumeClaimRetentionPolicy")
    _fill(retention, whenDeleted="Retain", whenScaled="Retain")
    for claim in spec.get("volumeClaimTemplates") or []:
        _fill(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _fill(_section(claim, "spec"), volumeMode="Filesystem")
    _template(spec)


def _daemon_set(obj: Json) -> None:
    annotations = _section(obj["metadata"], "annotations")
    annotations.setdefault("deprecated.daemonset.template.generation", "1")
    spec = _section(obj, "spec")
    _fill(spec, revisionHistoryLimit=10)
    strategy = _section(spec, "updateStrategy")
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(_section(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)
    _template(spec)


def _job(obj: Json) -> None:
    spec = _section(obj, "spec")
    if "completions" not in spec and "parallelism" not in spec:
        _fill(spec, completions=1)
    _fill(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="TerminatingOrFailed",
    )
    if not spec["manualSelector"]:
        _job_selector(obj, spec)
    _template(spec)
    labels = spec["template"]["metadata"].get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def _job_selector(obj: Json, spec: Json) -> None:
    uid = obj["metadata"].get("uid", "")
    if not uid:
        return
    labels = _section(spec, "template", "metadata", "labels")
    _fill(
        labels,
        **{
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": obj["metadata"]["name"],
            "controller-uid": uid,
            "job-name": obj["metadata"]["name"],
        },
    )
    spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})


def _cron_job(obj: Json) -> None:
    spec = _section(obj, "spec")
    _fill(
        spec,
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    _section(spec, "jobTemplate").setdefault("metadata", {})
    _template(_section(spec, "jobTemplate", "spec"))


def _service(obj: Json) -> None:
    spec = _section(obj, "spec")
    _fill(spec, type="ClusterIP", sessionAffinity="None")
    _fill(_section(obj, "status"), loadBalancer={})
    for port in spec.get("ports") or []:
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] == "ExternalName":
        return
    _fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})


def _pod(obj: Json) -> None:
    spec = _section(obj, "spec")
    default_pod_spec(spec, "Always")
    _fill(spec, enableServiceLinks=True)
    if spec.get("hostNetwork"):
        for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
            for port in container.get("ports") or []:
                _fill(port, hostPort=port.get("containerPort"))
    _section(obj, "status").setdefault("phase", "Pending")
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        if resources.get("limits"):
            wanted = _section(resources, "requests")
            _fill(wanted, **resources["limits"])


def _claim(obj: Json) -> None:
    _fill(_section(obj, "spec"), volumeMode="Filesystem")
    _section(obj, "status").setdefault("phase", "Pending")


def _namespace(obj: Json) -> None:
    labels = _section(obj["metadata"], "labels")
    labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    _section(obj, "spec").setdefault("finalizers", ["kubernetes"])
    _section(obj, "status").setdefault("phase", "Active")


def _secret(obj: Json) -> None:
    _fill(obj, type="Opaque")


def _storage_class(obj: Json) -> None:
    _fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _webhooks(obj: Json) -> None:
    mutating = obj["kind"].startswith("Mutating")
    for hook in obj.get("webhooks") or []:
        _fill(
            hook,
            failurePolicy="Fail",
            matchPolicy="Equivalent",
            namespaceSelector={},
            objectSelector={},
            timeoutSeconds=10,
        )
        if mutating:
            _fill(hook, reinvocationPolicy="Never")
        for rule in hook.get("rules") or []:
            _fill(rule, scope="*")
        if "service" in hook.get("clientConfig", {}):
            _fill(hook["clientConfig"]["service"], port=443)


def _network_policy(obj: Json) -> None:
    spec = _section(obj, "spec")
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            _fill(port, protocol="TCP")


def _binding(obj: Json) -> None:
    role = obj.get("roleRef")
    if role is not None:
        _fill(role, apiGroup="rbac.authorization.k8s.io")
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            _fill(subject, apiGroup="rbac.authorization.k8s.io")


def _priority_class(obj: Json) -> None:
    _fill(obj, preemptionPolicy="PreemptLowerPriority")


def _definition(obj: Json) -> None:
    spec = _section(obj, "spec")
    names = _section(spec, "names")
    _fill(names, singular=names.get("kind", "").lower(), listKind=names.get("kind", "") + "List")
    _fill(_section(spec, "conversion"), strategy="None")
    stored = [item["name"] for item in spec.get("versions") or [] if item.get("storage")]
    nothing = {"plural": "", "kind": ""}
    status = {"acceptedNames": nothing, "storedVersions": stored}
    obj.setdefault("status", status)


def _limit_range(obj: Json) -> None:
    for item in (obj.get("spec") or {}).get("limits") or []:
        if item.get("type") == "Container":
            limits = {**(item.get("max") or {}), **(item.get("default") or {})}
            least = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
            for name, values in (("default", limits), ("defaultRequest", least)):
                if values:
                    item[name] = values


def _autoscaler(obj: Json) -> None:
    _fill(_section(obj, "spec"), minReplicas=1)


_FILLERS: dict[str, Callable[[Json], None]] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Namespace": _namespace,
    "Secret": _secret,
    "StorageClass": _storage_class,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingWebhookConfiguration": _webhooks,
    "NetworkPolicy": _network_policy,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "PriorityClass": _priority_class,
    "CustomResourceDefinition": _definition,
    "HorizontalPodAutoscaler": _autoscaler,
    "LimitRange": _limit_range,
}
