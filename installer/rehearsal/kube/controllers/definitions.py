"""CustomResourceDefinitions: accept names, serve the API, clean up after a deletion."""

from collections.abc import Iterable

from installer.rehearsal.kube.controllers.cluster import Cluster, condition, is_going
from installer.rehearsal.kube.crds import types_of
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.store import Change, Key

RESOURCE = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
ESTABLISH_SECONDS = 0.15


class Definitions:
    """Establishes definitions and takes them away again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._accepted: set[str] = set()

    def keys_for(self, change: Change) -> Iterable[Key]:
        """Definitions only."""
        if change.key[0] == RESOURCE:
            if change.after is None and change.before is not None:
                self._drop(change.before.obj)
            yield change.key

    def reconcile(self, key: Key) -> float | None:
        """Names first, then Established; then the API is served."""
        obj = self._cluster.get(key)
        if obj is None:
            return None
        if is_going(obj):
            return self._clean(key, obj)
        if CLEANUP not in (obj["metadata"].get("finalizers") or []):
            finalizers = [*(obj["metadata"].get("finalizers") or []), CLEANUP]
            metadata = {**obj["metadata"], "finalizers": finalizers}
            self._cluster.put(key, {**obj, "metadata": metadata})
            return 0.0
        uid = obj["metadata"]["uid"]
        if condition(obj, "Established") is None and uid not in self._accepted:
            self._accepted.add(uid)
            return ESTABLISH_SECONDS
        self._serve(key, obj)
        return None

    def _serve(self, key: Key, obj: Json) -> None:
        if self._cluster.registry.rules.crd_opens_its_api:
            self._cluster.registry.catalogue.drop(obj["spec"]["group"], key[2].partition(".")[0])
            for kind in types_of(obj):
                self._cluster.registry.catalogue.add(kind)
        if condition(obj, "Established") is not None:
            return
        now = self._cluster.clock.timestamp()
        accepted = {"status": "True", "lastTransitionTime": now}
        stored = [item["name"] for item in obj["spec"]["versions"] if item.get("storage")]
        status = {
            "conditions": [
                {
                    "type": "NamesAccepted",
                    "reason": "NoConflicts",
                    "message": "no conflicts found",
                    **accepted,
                },
                {
                    "type": "Established",
                    "reason": "InitialNamesAccepted",
                    "message": "the initial names have been accepted",
                    **accepted,
                },
            ],
            "acceptedNames": obj["spec"]["names"],
            "storedVersions": stored,
        }
        self._cluster.set_status(key, status)

    def _clean(self, key: Key, obj: Json) -> float | None:
        resource = f"{obj['spec']['names']['plural']}.{obj['spec']['group']}"
        left = self._cluster.items(resource)
        for item in left:
            if not is_going(item):
                metadata = item["metadata"]
                place = (resource, metadata.get("namespace", ""), metadata["name"])
                self._cluster.delete(place)
        if self._cluster.items(resource):
            return 0.2
        self._cluster.forget_finalizer(key, CLEANUP)
        return None

    def _drop(self, obj: Json) -> None:
        names = obj["spec"]["names"]
        self._cluster.registry.catalogue.drop(obj["spec"]["group"], names["plural"])
