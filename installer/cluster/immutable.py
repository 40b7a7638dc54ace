"""Which changes of which kind the API refuses, and how each is made instead.

Decided by kind, reason and field path of the Status' causes, never by the wording: the texts vary
("field is immutable", "may not change once set", "updates to statefulset spec for fields other
than ... are forbidden").
"""

from collections.abc import Mapping

from installer.cluster.failures import CallContext, Replacement
from installer.cluster.reply import Reply

# Immutable fields by kind: (kind, prefix of the cause's field path) -> how to change it. From the
# update validation of each kind in k8s.io/kubernetes 1.36 (pkg/apis/*/validation).
IMMUTABLE_FIELDS: Mapping[str, tuple[tuple[str, Replacement], ...]] = {
    "Job": (
        ("spec.template", Replacement.RECREATE),
        ("spec.selector", Replacement.RECREATE),
        ("spec.completions", Replacement.RECREATE),
        ("spec.completionMode", Replacement.RECREATE),
        ("spec.podFailurePolicy", Replacement.RECREATE),
        ("spec.backoffLimitPerIndex", Replacement.RECREATE),
        ("spec.managedBy", Replacement.RECREATE),
        ("spec.successPolicy", Replacement.RECREATE),
    ),
    "StatefulSet": (("spec", Replacement.ORPHAN_RECREATE),),
    "Deployment": (("spec.selector", Replacement.RECREATE_WITH_CONSENT),),
    "DaemonSet": (("spec.selector", Replacement.RECREATE_WITH_CONSENT),),
    "ReplicaSet": (("spec.selector", Replacement.RECREATE_WITH_CONSENT),),
    "Pod": (("spec", Replacement.RECREATE_WITH_CONSENT),),
    "Service": (
        ("spec.clusterIP", Replacement.RECREATE_WITH_CONSENT),
        ("spec.clusterIPs", Replacement.RECREATE_WITH_CONSENT),
        ("spec.loadBalancerClass", Replacement.RECREATE_WITH_CONSENT),
    ),
    "ConfigMap": (
        ("data", Replacement.NEW_NAME),
        ("binaryData", Replacement.NEW_NAME),
        ("immutable", Replacement.NEW_NAME),
    ),
    "Secret": (
        ("data", Replacement.NEW_NAME),
        ("immutable", Replacement.NEW_NAME),
        ("type", Replacement.RECREATE_WITH_CONSENT),
    ),
    "RoleBinding": (("roleRef", Replacement.RECREATE),),
    "ClusterRoleBinding": (("roleRef", Replacement.RECREATE),),
    "PriorityClass": (
        ("value", Replacement.RECREATE),
        ("preemptionPolicy", Replacement.RECREATE),
    ),
    "StorageClass": (
        ("parameters", Replacement.RECREATE_WITH_CONSENT),
        ("provisioner", Replacement.RECREATE_WITH_CONSENT),
        ("reclaimPolicy", Replacement.RECREATE_WITH_CONSENT),
        ("volumeBindingMode", Replacement.RECREATE_WITH_CONSENT),
        ("allowedTopologies", Replacement.RECREATE_WITH_CONSENT),
    ),
    "PersistentVolumeClaim": (("spec", Replacement.NEVER),),
    "PersistentVolume": (("spec", Replacement.NEVER),),
    "CustomResourceDefinition": (
        ("spec.scope", Replacement.NEVER),
        ("spec.group", Replacement.NEVER),
        ("spec.names.plural", Replacement.NEVER),
    ),
    "IngressClass": (("spec.controller", Replacement.RECREATE_WITH_CONSENT),),
}
# An update that a kind forbids as a whole is told with Forbidden; a wrong value at the same path
# with another reason is an ordinary mistake (a StatefulSet's replicas of -1).
_FORBIDDEN_ONLY = frozenset({"StatefulSet", "Pod", "PersistentVolumeClaim", "PersistentVolume"})
_UPDATE_REASONS = frozenset({"FieldValueInvalid", "FieldValueForbidden"})


def replacement_for(reply: Reply, context: CallContext) -> Replacement | None:
    kind = context.kind or reply.details_kind
    for reason, path, _ in reply.causes:
        if reason not in _UPDATE_REASONS:
            continue
        if kind in _FORBIDDEN_ONLY and reason != "FieldValueForbidden":
            continue
        for prefix, how in IMMUTABLE_FIELDS.get(kind, ()):
            exact = kind in _FORBIDDEN_ONLY and path == prefix
            below = kind not in _FORBIDDEN_ONLY and _at_or_below(path, prefix)
            if exact or below:
                return how
    return None


def _at_or_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((prefix + ".", prefix + "["))
