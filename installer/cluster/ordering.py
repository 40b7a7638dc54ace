"""The order of kinds within a wave, where it matters; the reverse is the order of removal."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from installer.core.objects import ObjectRef

T = TypeVar("T")

_FIRST = frozenset({"namespace", "customresourcedefinition.apiextensions.k8s.io"})
# A binding is refused while its role is not there (the API compares the rights).
_BINDINGS = frozenset(
    {"rolebinding.rbac.authorization.k8s.io", "clusterrolebinding.rbac.authorization.k8s.io"}
)
_WORKLOADS = frozenset(
    {
        "deployment.apps",
        "statefulset.apps",
        "daemonset.apps",
        "replicaset.apps",
        "job.batch",
        "cronjob.batch",
        "pod",
        "horizontalpodautoscaler.autoscaling",
    }
)
# What calls into workloads comes after them, or it blocks what would start them.
_CALLERS = frozenset(
    {
        "validatingwebhookconfiguration.admissionregistration.k8s.io",
        "mutatingwebhookconfiguration.admissionregistration.k8s.io",
        "apiservice.apiregistration.k8s.io",
    }
)
_BUILT_IN = frozenset({"", "apps", "batch", "autoscaling", "policy"})


def rank(ref: ObjectRef) -> int:
    """0 namespaces and CRDs, 1 configuration, 2 bindings, 3 workloads, 4 webhooks, 5 custom."""
    kind = ref.group_kind
    for number, kinds in ((0, _FIRST), (2, _BINDINGS), (3, _WORKLOADS), (4, _CALLERS)):
        if kind in kinds:
            return number
    group = ref.api_version.rpartition("/")[0]
    return 1 if group in _BUILT_IN or group.endswith(".k8s.io") else 5


def ranked(items: Iterable[tuple[ObjectRef, T]]) -> Sequence[tuple[T, ...]]:
    """Groups that are applied one after the other, each side by side."""
    ordered = sorted(items, key=lambda item: (rank(item[0]), item[0]))
    groups = groupby(ordered, key=lambda item: rank(item[0]))
    return [tuple(item[1] for item in group) for _, group in groups]
