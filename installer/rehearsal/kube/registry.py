"""Reads and writes of objects under the rules of the API: what a request handler calls."""

import copy
from dataclasses import dataclass, replace
from typing import Any

from installer.rehearsal.kube import crds, ownership, validation
from installer.rehearsal.kube.admission import admit_pod
from installer.rehearsal.kube.allocation import allocate
from installer.rehearsal.kube.clock import Clock
from installer.rehearsal.kube.defaults import apply_defaults
from installer.rehearsal.kube.immutability import changes_refused
from installer.rehearsal.kube.incoming import (
    Place,
    content,
    fresh_object,
    new_name,
    refuse_misnamed,
    reset_object,
    without_nulls,
)
from installer.rehearsal.kube.normal import encode_secret, normal
from installer.rehearsal.kube.ownership import Manager
from installer.rehearsal.kube.problems import (
    Json,
    already_exists,
    bad_request,
    cause,
    conflict,
    forbidden,
    invalid,
    modified,
    not_found,
)
from installer.rehearsal.kube.quotas import admit_counted
from installer.rehearsal.kube.resources import Catalogue, ResourceType
from installer.rehearsal.kube.rules import Rules
from installer.rehearsal.kube.store import Key, Store, Stored, encode
from installer.rehearsal.kube.typed import check
from installer.rehearsal.kube.webhooks import Webhooks


@dataclass(frozen=True)
class WriteOptions:
    """The parameters of a write that its URL carries."""

    manager: str
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"


class Registry:
    """All reads and writes but deletion go through here."""

    def __init__(self, store: Store, catalogue: Catalogue, clock: Clock, rules: Rules) -> None:
        self.store = store
        self.catalogue = catalogue
        self.clock = clock
        self.rules = rules
        self.webhooks = Webhooks(store)

    # Reading

    def get(self, place: Place) -> Stored:
        """The object; ApiError 404 when it is not there."""
        stored = self.store.get(place.key)
        if stored is None:
            raise place.not_found()
        return self.in_version(place.kind, stored)

    def in_version(self, kind: ResourceType, stored: Stored) -> Stored:
        """The object as this version of its API shows it."""
        if stored.obj.get("apiVersion") == kind.api_version:
            return stored
        obj = {**stored.obj, "apiVersion": kind.api_version}
        return Stored(obj, encode(obj), stored.version)

    # Writing

    def create(self, place: Place, obj: Json, options: WriteOptions) -> Json:
        """POST: a new object. Returns it as stored."""
        refuse_misnamed(place, obj)
        name = new_name(place, obj)
        place = replace(place, name=name)
        self._strictly(place, obj, options)
        self.admit_namespace(place)
        if self.store.get(place.key) is not None and self.rules.create_of_existing_is_refused:
            raise already_exists(place.kind.plural, place.kind.group, name)
        fresh = fresh_object(self.clock, place, obj)
        manager = Manager(options.manager, False, place.kind.api_version)
        ready = self._complete(place, None, fresh)
        ready["metadata"]["managedFields"] = ownership.write(
            place.kind.schema,
            None,
            ready,
            manager,
            ignored=place.kind.reset_fields,
            time=self.clock.timestamp(),
        )
        return self._store(place, None, ready, options, "CREATE")

    def update(self, place: Place, obj: Json, options: WriteOptions) -> Json:
        """PUT: the whole object, with its resourceVersion as lock when it carries one."""
        refuse_misnamed(place, obj)
        live = self.get(place)
        self._strictly(place, obj, options)
        self._locked(place, live, obj)
        manager = Manager(options.manager, False, place.kind.api_version, place.subresource)
        new = self._complete(place, live.obj, reset_object(place, live.obj, obj))
        ignored = () if place.subresource == "status" else place.kind.reset_fields
        new["metadata"]["managedFields"] = ownership.write(
            place.kind.schema, live.obj, new, manager, ignored=ignored, time=self.clock.timestamp()
        )
        return self._store(place, live.obj, new, options, "UPDATE")

    def apply(self, place: Place, obj: Json, options: WriteOptions) -> tuple[Json, bool]:
        """Server-side apply. Returns the object, and whether it is new."""
        refuse_misnamed(place, obj)
        self._may_apply(obj, options)
        where = f"{place.namespace}/{place.name}; {place.kind.api_version}, Kind={place.kind.kind}"
        if self.rules.unknown_fields_are_refused:
            ownership.refuse_undeclared(place.kind.schema, obj, where)
        live = self.store.get(place.key)
        if live is not None:
            live = self.in_version(place.kind, live)
            self._locked(place, live, obj)
        else:
            if place.subresource:
                raise place.not_found()
            self._no_uid_for_new(place, obj)
            self.admit_namespace(place)
        manager = Manager(options.manager, True, place.kind.api_version, place.subresource)
        new = self._applied(place, live.obj if live else None, obj, manager, options)
        stored = self._store(
            place, live.obj if live else None, new, options, "UPDATE" if live else "CREATE"
        )
        return stored, live is None

    def _applied(
        self, place: Place, live: Json | None, obj: Json, manager: Manager, options: WriteOptions
    ) -> Json:
        now = self.clock.timestamp()
        ignored = place.kind.reset_fields
        if place.subresource == "status":
            ignored = tuple(key for key in obj if key not in ("status", "metadata"))
            obj = {**obj, "metadata": {}}
        done = ownership.apply(
            place.kind.schema,
            live or {},
            without_nulls(obj),
            manager,
            force=options.force,
            ignored=ignored,
            conflicts=self.rules.conflicts_are_told,
            time=now,
        )
        base = live["metadata"] if live else {"name": place.name}
        kept = {key: base[key] for key in ownership.UNOWNED_METADATA if key in base}
        whole = {**done.fields, "metadata": {**done.fields.get("metadata", {}), **kept}}
        whole["apiVersion"], whole["kind"] = place.kind.api_version, place.kind.kind
        fresh = whole if live else fresh_object(self.clock, place, whole)
        new = self._complete(place, live, fresh)
        owners = ownership.write_holdings(done.holdings)
        unchanged = live is not None and (
            content(live) == content(new)
            and ownership.same_owners(live["metadata"].get("managedFields"), owners)
        )
        if not unchanged or not self.rules.no_op_keeps_version:
            ownership.stamp(done.holdings, manager, now)
            owners = ownership.write_holdings(done.holdings)
        elif live is not None:
            owners = live["metadata"].get("managedFields") or []
        new["metadata"]["managedFields"] = owners
        return new

    def patch(self, place: Place, change: Any, options: WriteOptions) -> Json:
        """A merge patch or JSON patch, given as a function from the old object to the new."""
        live = self.get(place)
        new = change(copy.deepcopy(live.obj))
        if not isinstance(new, dict):
            raise bad_request("the patch does not leave an object")
        return self.update(place, new, options)

    # Steps of a write

    def _may_apply(self, obj: Json, options: WriteOptions) -> None:
        if not options.manager:
            missing = validation.required("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [missing])
        if obj["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")

    def _strictly(self, place: Place, obj: Json, options: WriteOptions) -> None:
        kind = place.kind
        prefix = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
        unknown: list[str] = []
        for problem in check(kind.schema, obj):
            path, _, text = problem.partition(": ")
            if text == "field not declared in schema":
                unknown.append(f'unknown field "{path.lstrip(".")}"')
            elif kind.custom is None:
                raise bad_request(f"{prefix}json: cannot unmarshal {path.lstrip('.')}: {text}")
        strict = options.validation == "Strict" and self.rules.unknown_fields_are_refused
        if unknown and strict:
            raise bad_request(f"{prefix}strict decoding error: {', '.join(unknown)}")

    def admit_namespace(self, place: Place) -> None:
        """Nothing new in a namespace that is missing (404) or going away (403)."""
        if not place.kind.namespaced:
            return
        stored = self.store.get(("namespaces.", "", place.namespace))
        if stored is None:
            if self.rules.missing_namespace_is_404:
                raise not_found("namespaces", "", place.namespace)
            return
        if (
            "deletionTimestamp" in stored.obj["metadata"]
            and self.rules.terminating_namespace_refuses
        ):
            why = f"namespace {place.namespace} is being terminated"
            raise forbidden(
                place.kind.plural,
                place.kind.group,
                place.name,
                f"unable to create new content in namespace {place.namespace} because it is "
                "being terminated",
                [cause("NamespaceTerminating", why, "metadata.namespace")],
            )

    def _locked(self, place: Place, live: Stored, obj: Json) -> None:
        metadata = obj["metadata"]
        kind = place.kind
        version = metadata.get("resourceVersion")
        if version and version != str(live.version) and self.rules.stale_update_is_refused:
            raise modified(kind.plural, kind.group, place.name)
        uid = metadata.get("uid")
        if uid and uid != live.obj["metadata"]["uid"] and self.rules.uid_precondition_holds:
            why = (
                f"Precondition failed: UID in precondition: {uid}, "
                f"UID in object meta: {live.obj['metadata']['uid']}"
            )
            raise conflict(kind.plural, kind.group, place.name, why)

    def _no_uid_for_new(self, place: Place, obj: Json) -> None:
        uid = obj["metadata"].get("uid")
        if uid:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
            raise conflict(place.kind.plural, place.kind.group, place.name, why)

    def _complete(self, place: Place, live: Json | None, obj: Json) -> Json:
        """Canonical form, defaults, allocated values."""
        kind = place.kind
        if kind.custom is not None:
            new = crds.with_defaults(kind, obj)
        else:
            if kind.kind == "Secret":
                obj = encode_secret(obj)
            new = normal(kind.schema, obj)
            apply_defaults(kind.kind, new)
            allocate(self.store, kind, live, new)
            if kind.kind == "Pod" and not kind.group and live is None:
                admit_pod(self.store, new)
            if live is None:
                admit_counted(self.store, kind, new)
        new = {"apiVersion": kind.api_version, "kind": kind.kind, **new}
        new["apiVersion"], new["kind"] = kind.api_version, kind.kind
        if live is not None and kind.generation and self._spec_changed(kind, live, new):
            new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        return new

    def _spec_changed(self, kind: ResourceType, live: Json, new: Json) -> bool:
        skipped = ("metadata", "status", "apiVersion", "kind")
        old, fresh = (
            {key: value for key, value in obj.items() if key not in skipped} for obj in (live, new)
        )
        if kind.kind == "Deployment":
            annotations = [obj["metadata"].get("annotations") or {} for obj in (live, new)]
            return old != fresh or annotations[0] != annotations[1]
        return old != fresh

    def _store(
        self, place: Place, live: Json | None, new: Json, options: WriteOptions, operation: str
    ) -> Json:
        kind = place.kind
        if self.rules.dead_webhook_fails_the_call:
            self.webhooks.review(kind, operation, new, place.subresource, dry_run=options.dry_run)
        self._validate(place, live, new)
        if live is not None and live == new and self.rules.no_op_keeps_version:
            return live
        if options.dry_run and self.rules.dry_run_leaves_nothing:
            return new
        return self.commit(place.key, new)

    def _validate(self, place: Place, live: Json | None, new: Json) -> None:
        kind = place.kind
        if kind.custom is not None:
            causes = crds.problems_of(kind, new)
        else:
            large = self.rules.large_config_map_is_refused
            causes = validation.problems_of(kind.kind, new, large=large)
        if live is not None and self.rules.immutable_fields_hold and not place.subresource:
            causes += changes_refused(kind.kind, live, new)
        if causes:
            raise invalid(kind.kind, kind.group, place.name, causes)

    def commit(self, key: Key, obj: Json) -> Json:
        """Store; an object whose last finalizer has gone while it is deleted goes with it."""
        metadata = obj["metadata"]
        held = metadata.get("finalizers") or (obj.get("spec") or {}).get("finalizers")
        graceful = metadata.get("deletionGracePeriodSeconds", 0) > 0
        if "deletionTimestamp" in metadata and not held and not graceful:
            gone = self.store.remove(key)
            return gone.obj if gone is not None else obj
        return self.store.put(key, obj).obj
