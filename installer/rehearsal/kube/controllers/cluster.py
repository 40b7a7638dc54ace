"""What controllers read and write: small doors to the registry and the store."""

import contextlib
import hashlib
from typing import Any

from installer.rehearsal.kube.clock import Clock
from installer.rehearsal.kube.controllers.templates import reference_to
from installer.rehearsal.kube.deletion import DeleteOptions, Deletion
from installer.rehearsal.kube.incoming import Place
from installer.rehearsal.kube.problems import ApiError, Json
from installer.rehearsal.kube.registry import Registry, WriteOptions
from installer.rehearsal.kube.selectors import matches
from installer.rehearsal.kube.store import Key

MANAGER = WriteOptions("kube-controller-manager")


def key_of(resource: str, obj: Json) -> Key:
    """The store's key of an object of that resource (`pods.`, `deployments.apps`)."""
    metadata = obj["metadata"]
    return (resource, metadata.get("namespace", ""), metadata["name"])


def owner_of(obj: Json) -> Json | None:
    """The reference to the controller that owns an object."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            found: Json = reference
            return found
    return None


def is_going(obj: Json) -> bool:
    """Whether the object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]


def condition(obj: Json, kind: str) -> Json | None:
    """One condition out of a status."""
    for item in (obj.get("status") or {}).get("conditions") or []:
        if item.get("type") == kind:
            found: Json = item
            return found
    return None


def is_ready(pod: Json) -> bool:
    """Whether a pod is Ready."""
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


class Cluster:
    """The cluster as controllers see it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.store = registry.store
        self.clock: Clock = registry.clock
        self._deletion = Deletion(registry)

    def get(self, key: Key) -> Json | None:
        """An object, or None."""
        stored = self.store.get(key)
        return stored.obj if stored is not None else None

    def items(self, resource: str, namespace: str | None = None) -> list[Json]:
        """All objects of a resource."""
        return [stored.obj for stored in self.store.items(resource, namespace)]

    def owned(self, resource: str, owner: Json) -> list[Json]:
        """The objects that this one controls."""
        uid = owner["metadata"]["uid"]
        return [
            obj
            for obj in self.items(resource, owner["metadata"].get("namespace", ""))
            if (reference := owner_of(obj)) is not None and reference["uid"] == uid
        ]

    def adopt(self, resource: str, owner: Json) -> list[Json]:
        """The objects that this one controls, after it has taken in matching ones without one."""
        for obj in self.items(resource, owner["metadata"].get("namespace", "")):
            if owner_of(obj) is not None or is_going(obj):
                continue
            if matches(owner["spec"].get("selector"), obj["metadata"].get("labels") or {}):
                references = obj["metadata"].get("ownerReferences") or []
                metadata = {**obj["metadata"]}
                metadata["ownerReferences"] = [*references, reference_to(owner)]
                self.put(key_of(resource, obj), {**obj, "metadata": metadata})
        return self.owned(resource, owner)

    def create(self, plural: str, group: str, obj: Json) -> Json | None:
        """Create an object; None when its name is taken. Other refusals are raised."""
        kind = self.registry.catalogue.by_plural(plural, group)
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        metadata = obj["metadata"]
        place = Place(kind, metadata.get("namespace", ""), metadata.get("name", ""))
        try:
            return self.registry.create(place, body, MANAGER)
        except ApiError as refusal:
            if refusal.reason == "AlreadyExists":
                return None
            raise

    def put(self, key: Key, obj: Json) -> None:
        """Store an object if it differs from what is there."""
        if self.get(key) != obj:
            self.registry.commit(key, obj)

    def set_status(self, key: Key, status: Json) -> None:
        """Replace an object's status."""
        obj = self.get(key)
        if obj is not None:
            self.put(key, {**obj, "status": status})

    def set_spec(self, key: Key, **fields: Any) -> None:
        """Change fields of an object's spec, as a controller's update does."""
        obj = self.get(key)
        if obj is None:
            return
        spec = {**obj["spec"], **fields}
        if spec == obj["spec"]:
            return
        metadata = dict(obj["metadata"])
        if "generation" in metadata:
            metadata["generation"] += 1
        self.put(key, {**obj, "metadata": metadata, "spec": spec})

    def delete(self, key: Key, *, grace: int | None = None) -> None:
        """Delete an object in the background; one that is gone is no error."""
        kind = next((item for item in self.registry.catalogue if item.storage_key == key[0]), None)
        if kind is None:
            self.store.remove(key)
            return
        with contextlib.suppress(ApiError):
            self._deletion.delete(Place(kind, key[1], key[2]), DeleteOptions(grace=grace))

    def forget_finalizer(self, key: Key, name: str) -> None:
        """Take one finalizer away; the object goes when it was the last one."""
        obj = self.get(key)
        if obj is None:
            return
        metadata = dict(obj["metadata"])
        left = [item for item in metadata.get("finalizers") or [] if item != name]
        metadata.pop("finalizers", None)
        if left:
            metadata["finalizers"] = left
        self.put(key, {**obj, "metadata": metadata})

    def event(self, about: Json, kind: str, reason: str, message: str) -> None:
        """Record an Event; a repeated one is counted up."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        if self.get(("namespaces.", "", namespace)) is None:
            return
        mark = hashlib.sha256(f"{metadata['uid']} {reason} {message}".encode()).hexdigest()[:16]
        name = f"{metadata['name'][:230]}.{mark}"
        key = ("events.", namespace, name)
        now = self.clock.timestamp()
        known = self.get(key)
        if known is not None:
            self.put(key, {**known, "count": known["count"] + 1, "lastTimestamp": now})
            return
        with contextlib.suppress(ApiError):
            self.create("events", "", self._event_body(about, name, kind, reason, message))

    def _event_body(self, about: Json, name: str, kind: str, reason: str, message: str) -> Json:
        metadata = about["metadata"]
        now = self.clock.timestamp()
        component = "kubelet" if about["kind"] == "Pod" else "kube-controller-manager"
        return {
            "metadata": {"name": name, "namespace": metadata.get("namespace", "default")},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": component},
            "reportingComponent": component,
        }
