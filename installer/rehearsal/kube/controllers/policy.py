"""Disruption budgets, quotas, and the cluster's policy webhook that one fault takes down."""

from collections.abc import Iterable
from fractions import Fraction

from installer.rehearsal.faults import FaultBoard
from installer.rehearsal.kube.controllers.cluster import Cluster, condition, is_going, is_ready
from installer.rehearsal.kube.controllers.templates import share
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.quotas import text_of, used_in
from installer.rehearsal.kube.selectors import matches
from installer.rehearsal.kube.store import Change, Key

BUDGETS = "poddisruptionbudgets.policy"
QUOTAS = "resourcequotas."
PODS = "pods."
HOOKS = "validatingwebhookconfigurations.admissionregistration.k8s.io"
POLICY_NAME = "rehearsal-policy"
FAULT = "webhook-down"


class Budgets:
    """Counts how many pods may be disrupted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The budget; all of a namespace when a pod changes."""
        if change.key[0] == BUDGETS:
            yield change.key
        elif change.key[0] == PODS:
            for budget in self._cluster.items(BUDGETS, change.key[1]):
                yield (BUDGETS, change.key[1], budget["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        """Write the status of one budget."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj):
            return None
        spec = obj["spec"]
        pods = [
            pod
            for pod in self._cluster.items(PODS, key[1])
            if matches(spec.get("selector"), pod["metadata"].get("labels") or {})
        ]
        healthy = sum(is_ready(pod) for pod in pods)
        if "minAvailable" in spec:
            desired = share(spec["minAvailable"], len(pods), up=True)
        else:
            desired = len(pods) - share(spec.get("maxUnavailable", 0), len(pods), up=True)
        desired = max(desired, 0)
        allowed = max(healthy - desired, 0) if pods else 0
        status = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": len(pods),
            "observedGeneration": obj["metadata"]["generation"],
            "conditions": [self._allowed(obj, allowed)],
        }
        self._cluster.set_status(key, status)
        return None

    def _allowed(self, obj: Json, allowed: int) -> Json:
        status = "True" if allowed else "False"
        known = condition(obj, "DisruptionAllowed")
        same = known is not None and known["status"] == status
        return {
            "type": "DisruptionAllowed",
            "status": status,
            "reason": "SufficientPods" if allowed else "InsufficientPods",
            "message": "",
            "observedGeneration": obj["metadata"]["generation"],
            "lastTransitionTime": known["lastTransitionTime"]
            if known and same
            else self._cluster.clock.timestamp(),
        }


class Quotas:
    """Counts what the objects of a namespace use of its quotas."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The quota; all of a namespace when a counted object comes, goes or ends."""
        if change.key[0] == QUOTAS:
            yield change.key
        elif change.key[0] in (PODS, "persistentvolumeclaims.", "services."):
            for quota in self._cluster.items(QUOTAS, change.key[1]):
                yield (QUOTAS, change.key[1], quota["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        """Write hard and used."""
        obj = self._cluster.get(key)
        if obj is None or is_going(obj):
            return None
        hard = obj["spec"].get("hard") or {}
        taken = used_in(self._cluster.store, key[1])
        used = {name: text_of(taken.get(name, Fraction(0))) for name in hard}
        self._cluster.set_status(key, {"hard": hard, "used": used})
        return None


class Policy:
    """While its fault is on, a policy engine's webhook guards workloads and cannot be reached."""

    def __init__(self, cluster: Cluster, faults: FaultBoard) -> None:
        self._cluster = cluster
        self._faults = faults

    def keys_for(self, change: Change) -> Iterable[Key]:
        """One look for the whole cluster, whenever its first namespace is looked at."""
        if change.key == ("namespaces.", "", "default"):
            yield (HOOKS, "", POLICY_NAME)

    def reconcile(self, key: Key) -> float | None:
        """Put the webhook's configuration there, or take it away."""
        self._cluster.registry.webhooks.down = self._faults.is_on(FAULT)
        there = self._cluster.get(key) is not None
        if self._faults.is_on(FAULT) and not there:
            rule = {
                "apiGroups": ["apps"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["deployments", "statefulsets", "daemonsets"],
            }
            service = {"name": "policy", "namespace": "policy-system", "path": "/validate"}
            hook = {
                "name": "validate.policy.rehearsal.local",
                "clientConfig": {"service": service},
                "rules": [rule],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
            body = {"metadata": {"name": POLICY_NAME}, "webhooks": [hook]}
            plural, _, group = HOOKS.partition(".")
            self._cluster.create(plural, group, body)
        elif there and not self._faults.is_on(FAULT):
            self._cluster.delete(key)
        return None
