"""Garbage collection by owner, and namespaces from birth to the last object in them."""

from collections.abc import Iterable

from installer.rehearsal.kube.controllers.cluster import Cluster, is_going
from installer.rehearsal.kube.deletion import FOREGROUND, ORPHAN
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.store import Change, Key

NAMESPACES = "namespaces."
DELETION_SECONDS = 1.0
ROOT_CA = "kube-root-ca.crt"


class Garbage:
    """Deletes what lost its last owner; holds owners whose dependents go first."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def keys_for(self, change: Change) -> Iterable[Key]:
        """Dependents of what went; owners that wait for their dependents."""
        if change.after is None and change.before is not None:
            uid = change.before.obj["metadata"]["uid"]
            yield from (key for key, _ in self._dependents(uid))
            yield from self._waiting_owners(change.before.obj)
            return
        if change.after is None:
            return
        obj = change.after.obj
        if change.before is None and obj["metadata"].get("ownerReferences"):
            yield change.key
        finalizers = obj["metadata"].get("finalizers") or []
        if is_going(obj) and (FOREGROUND in finalizers or ORPHAN in finalizers):
            yield change.key

    def reconcile(self, key: Key) -> float | None:
        """Finish one object's part in the deletion of owners and dependents."""
        obj = self._cluster.get(key)
        if obj is None:
            return None
        references = obj["metadata"].get("ownerReferences") or []
        if references and not is_going(obj) and not any(map(self._exists, references)):
            self._cluster.delete(key)
            return None
        finalizers = obj["metadata"].get("finalizers") or []
        if not is_going(obj):
            return None
        if FOREGROUND in finalizers:
            return self._foreground(key, obj)
        if ORPHAN in finalizers:
            for place, dependent in self._dependents(obj["metadata"]["uid"]):
                self._release(place, dependent, obj["metadata"]["uid"])
            self._cluster.forget_finalizer(key, ORPHAN)
        return None

    def _exists(self, reference: Json) -> bool:
        return reference["uid"] in self._uids()

    def _uids(self) -> set[str]:
        found: set[str] = set()
        for key in self._cluster.store.places():
            stored = self._cluster.store.get(key)
            if stored is not None:
                found.add(stored.obj["metadata"]["uid"])
        return found

    def _foreground(self, key: Key, obj: Json) -> float | None:
        blocking = [
            (place, dependent)
            for place, dependent in self._dependents(obj["metadata"]["uid"])
            if any(
                reference.get("blockOwnerDeletion")
                for reference in dependent["metadata"]["ownerReferences"]
                if reference["uid"] == obj["metadata"]["uid"]
            )
        ]
        for place, dependent in self._dependents(obj["metadata"]["uid"]):
            if not is_going(dependent):
                self._cluster.delete(place)
        if not blocking:
            self._cluster.forget_finalizer(key, FOREGROUND)
            return None
        return 0.2

    def _dependents(self, uid: str) -> list[tuple[Key, Json]]:
        found: list[tuple[Key, Json]] = []
        for key in self._cluster.store.places():
            stored = self._cluster.store.get(key)
            references = stored.obj["metadata"].get("ownerReferences") if stored else None
            if stored and any(reference["uid"] == uid for reference in references or []):
                found.append((key, stored.obj))
        return found

    def _waiting_owners(self, gone: Json) -> Iterable[Key]:
        wanted = {item["uid"] for item in gone["metadata"].get("ownerReferences") or []}
        if not wanted:
            return
        for key in self._cluster.store.places():
            stored = self._cluster.store.get(key)
            if stored is not None and stored.obj["metadata"]["uid"] in wanted:
                yield key

    def _release(self, key: Key, dependent: Json, uid: str) -> None:
        left = [item for item in dependent["metadata"]["ownerReferences"] if item["uid"] != uid]
        metadata = {**dependent["metadata"]}
        metadata.pop("ownerReferences")
        if left:
            metadata["ownerReferences"] = left
        self._cluster.put(key, {**dependent, "metadata": metadata})


class Namespaces:
    """Gives a namespace its default account, and empties one that is being deleted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._since: set[str] = set()

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The namespace itself, and the one of an object that went."""
        if change.key[0] == NAMESPACES:
            yield change.key
        elif change.after is None and change.key[1]:
            yield (NAMESPACES, "", change.key[1])

    def reconcile(self, key: Key) -> float | None:
        """Create the defaults, or delete the content and then the namespace."""
        obj = self._cluster.get(key)
        if obj is None:
            return None
        if is_going(obj):
            return self._empty(key, obj)
        name = key[2]
        if self._cluster.get(("serviceaccounts.", name, "default")) is None:
            metadata = {"name": "default", "namespace": name}
            self._cluster.create("serviceaccounts", "", {"metadata": metadata})
        if self._cluster.get(("configmaps.", name, ROOT_CA)) is None:
            metadata = {"name": ROOT_CA, "namespace": name}
            data = {"ca.crt": "rehearsal"}
            self._cluster.create("configmaps", "", {"metadata": metadata, "data": data})
        return None

    def _empty(self, key: Key, obj: Json) -> float | None:
        name, uid = key[2], obj["metadata"]["uid"]
        if uid not in self._since:
            self._since.add(uid)
            return DELETION_SECONDS
        left: list[tuple[Key, Json]] = []
        for place in list(self._cluster.store.places()):
            if place[1] != name:
                continue
            found = self._cluster.get(place)
            if found is None:
                continue
            if not is_going(found):
                self._cluster.delete(place)
                found = self._cluster.get(place)
            if found is not None:
                left.append((place, found))
        if left:
            self._tell(key, obj, left)
            return DELETION_SECONDS
        self._finish(key)
        return None

    def _tell(self, key: Key, obj: Json, left: list[tuple[Key, Json]]) -> None:
        resources = sorted({place[0].rstrip(".") for place, _ in left})
        holders = sorted(
            {item for _, found in left for item in found["metadata"].get("finalizers") or []}
        )
        now = self._cluster.clock.timestamp()
        text = ", ".join(
            f"{resource} has {sum(place[0].rstrip('.') == resource for place, _ in left)} "
            "resource instances"
            for resource in resources
        )
        held = ", ".join(
            f"{holder} in "
            f"{sum(holder in (found['metadata'].get('finalizers') or []) for _, found in left)} "
            "resource instances"
            for holder in holders
        )
        conditions = [
            _condition(
                "NamespaceContentRemaining",
                "True",
                "SomeResourcesRemain",
                f"Some resources are remaining: {text}",
                now,
            ),
            _condition(
                "NamespaceFinalizersRemaining",
                "True" if holders else "False",
                "SomeFinalizersRemain" if holders else "ContentHasNoFinalizers",
                f"Some content in the namespace has finalizers remaining: {held}"
                if holders
                else "All content-preserving finalizers finished",
                now,
            ),
        ]
        known = (obj.get("status") or {}).get("conditions") or []
        stated = [(item["type"], item["message"]) for item in conditions]
        if [(item["type"], item["message"]) for item in known] != stated:
            self._cluster.set_status(key, {"phase": "Terminating", "conditions": conditions})

    def _finish(self, key: Key) -> None:
        obj = self._cluster.get(key)
        if obj is None:
            return
        spec = {name: value for name, value in obj["spec"].items() if name != "finalizers"}
        self._cluster.put(key, {**obj, "spec": spec})


def _condition(kind: str, status: str, reason: str, message: str, now: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }
