"""What is known of the kinds of objects: order, scope, resource names."""

from dataclasses import dataclass
from enum import IntEnum


class Stage(IntEnum):
    """Order within a component; each stage is one wave."""

    FOUNDATION = 0  # what other objects need to exist at all
    CONFIGURATION = 1
    WORKLOADS = 2
    WEBHOOKS = 3  # called by the API server once they are there: after what serves them
    CUSTOM = 4  # custom resources, guarded by those webhooks


STAGE_TITLES = {
    Stage.FOUNDATION: "foundation",
    Stage.CONFIGURATION: "configuration",
    Stage.WORKLOADS: "workloads",
    Stage.WEBHOOKS: "webhooks",
    Stage.CUSTOM: "custom resources",
}


@dataclass(frozen=True)
class Kind:
    """``order`` sorts within a stage, for people who read the rendered files."""

    group: str
    kind: str
    plural: str
    namespaced: bool
    stage: Stage
    order: int


_NAMED = (
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", False, 0),
    ("", "Namespace", "namespaces", False, 0),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses", False, 0),
    ("storage.k8s.io", "StorageClass", "storageclasses", False, 0),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", False, 0),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", False, 0),
    ("", "ResourceQuota", "resourcequotas", True, 1),
    ("", "LimitRange", "limitranges", True, 1),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies", True, 1),
    ("", "ServiceAccount", "serviceaccounts", True, 1),
    ("rbac.authorization.k8s.io", "Role", "roles", True, 1),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", True, 1),
    ("", "Secret", "secrets", True, 1),
    ("", "ConfigMap", "configmaps", True, 1),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", True, 1),
    ("", "Service", "services", True, 1),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets", True, 1),
    ("apps", "StatefulSet", "statefulsets", True, 2),
    ("apps", "Deployment", "deployments", True, 2),
    ("apps", "DaemonSet", "daemonsets", True, 2),
    ("batch", "CronJob", "cronjobs", True, 2),
    ("batch", "Job", "jobs", True, 2),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        False,
        3,
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        False,
        3,
    ),
)
_KINDS = {
    (group, kind): Kind(group, kind, plural, namespaced, Stage(stage), position)
    for position, (group, kind, plural, namespaced, stage) in enumerate(_NAMED)
}
WORKLOADS = frozenset({"StatefulSet", "Deployment", "DaemonSet", "Job", "CronJob"})


def kind_of(api_version: str, kind: str) -> Kind:
    """What is known; a kind that is not built in counts as a namespaced custom resource."""
    group = api_version.rpartition("/")[0]
    known = _KINDS.get((group, kind))
    if known:
        return known
    plural = kind.lower() + ("es" if kind.endswith("s") else "s")
    return Kind(group, kind, plural, True, Stage.CUSTOM, len(_NAMED))
