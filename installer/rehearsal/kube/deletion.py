"""DELETE: preconditions, finalizers, grace, propagation and what is answered."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from installer.rehearsal.kube.incoming import Place
from installer.rehearsal.kube.problems import Json, bad_request, conflict
from installer.rehearsal.kube.registry import Registry
from installer.rehearsal.kube.store import Stored

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True)
class DeleteOptions:
    """What the body or the URL of a DELETE says."""

    uid: str = ""
    version: str = ""
    propagation: str = "Background"
    grace: int | None = None
    dry_run: bool = False


def read_options(body: Json, query: Json) -> DeleteOptions:
    """Options of the body win over those of the URL."""
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy")
    if propagation is None:
        orphan = body.get("orphanDependents", query.get("orphanDependents") == "true")
        propagation = "Orphan" if orphan else "Background"
    return DeleteOptions(
        uid=preconditions.get("uid", ""),
        version=preconditions.get("resourceVersion", ""),
        propagation=propagation,
        grace=None if grace is None else _seconds(grace),
        dry_run="All" in (body.get("dryRun") or []) or query.get("dryRun") == "All",
    )


def _seconds(given: object) -> int:
    try:
        return max(int(str(given)), 0)
    except ValueError:
        raise bad_request(f"gracePeriodSeconds: {given!r} is not a number") from None


class Deletion:
    """Deletes objects as the API's generic registry does."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def delete(self, place: Place, options: DeleteOptions) -> Json:
        """Delete one object. Returns the object while it lingers, else a Status of success."""
        live = self._registry.get(place)
        self._preconditions(place, live, options)
        marked = self._mark(place, live.obj, options)
        self._registry.webhooks.review(
            place.kind, "DELETE", live.obj, place.subresource, dry_run=options.dry_run
        )
        if options.dry_run and self._registry.rules.dry_run_leaves_nothing:
            return marked or _success(place, live.obj)
        if marked is None:
            self._registry.store.remove(place.key)
            return _success(place, live.obj)
        if marked != live.obj:
            return self._registry.commit(place.key, marked)
        return live.obj

    def delete_all(self, places: Iterable[Place], options: DeleteOptions) -> list[Json]:
        """Delete what is listed; objects already gone are passed over."""
        found: list[Json] = []
        for place in places:
            stored = self._registry.store.get(place.key)
            if stored is None:
                continue
            found.append(stored.obj)
            with contextlib.suppress(KeyError):
                self.delete(place, options)
        return found

    def _preconditions(self, place: Place, live: Stored, options: DeleteOptions) -> None:
        uid = live.obj["metadata"]["uid"]
        kind = place.kind
        if options.uid and options.uid != uid and self._registry.rules.uid_precondition_holds:
            why = (
                f"the UID in the precondition ({options.uid}) does not match the UID in record "
                f"({uid}). The object might have been deleted and then recreated"
            )
            raise conflict(kind.plural, kind.group, place.name, why)
        if options.version and options.version != str(live.version):
            why = (
                f"the ResourceVersion in the precondition ({options.version}) does not match the "
                f"ResourceVersion in record ({live.version}). The object might have been modified"
            )
            raise conflict(kind.plural, kind.group, place.name, why)

    def _mark(self, place: Place, obj: Json, options: DeleteOptions) -> Json | None:
        """The object as it lingers; None when it goes at once."""
        metadata = dict(obj["metadata"])
        finalizers = list(metadata.get("finalizers") or [])
        for policy, name in (("Foreground", FOREGROUND), ("Orphan", ORPHAN)):
            if options.propagation == policy and name not in finalizers:
                finalizers.append(name)
        grace = self._grace(place, obj, options)
        namespace = place.kind.plural == "namespaces" and not place.kind.group
        if not finalizers and not grace and not namespace:
            return None
        if finalizers:
            metadata["finalizers"] = finalizers
        metadata.setdefault("deletionTimestamp", self._registry.clock.timestamp())
        metadata["deletionGracePeriodSeconds"] = min(
            grace, metadata.get("deletionGracePeriodSeconds", grace)
        )
        if place.kind.generation and "deletionTimestamp" not in obj["metadata"]:
            metadata["generation"] = metadata.get("generation", 0) + 1
        marked = {**obj, "metadata": metadata}
        if namespace:
            if "deletionTimestamp" not in obj["metadata"]:
                marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
            if not (obj.get("spec") or {}).get("finalizers") and not finalizers:
                return None
        return marked

    def _grace(self, place: Place, obj: Json, options: DeleteOptions) -> int:
        """Seconds; only a pod on a node has any, for its kubelet to use."""
        if place.kind.kind != "Pod" or place.kind.group or not obj["spec"].get("nodeName"):
            return 0
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        if options.grace is not None:
            return options.grace
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30))


def _success(place: Place, obj: Json) -> Json:
    details: Json = {"name": place.name}
    if place.kind.group:
        details["group"] = place.kind.group
    details |= {"kind": place.kind.plural, "uid": obj["metadata"]["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
