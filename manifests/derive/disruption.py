"""Disruption budgets: a drain takes one pod of a set at a time."""

from collections.abc import Sequence

from installer.core.objects import Manifest
from manifests.pods import PodSet


def budgets(pod_sets: Sequence[PodSet]) -> list[Manifest]:
    """One for each set of more than one pod; of a single pod it would block every drain."""
    return [
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": pods.name, "namespace": pods.namespace},
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": dict(pods.selector)},
                # A pod that is not ready anyway must not keep a host from being emptied.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }
        for pods in pod_sets
        if pods.replicas > 1
    ]
