"""A cluster in memory that keeps to ``installer.cluster.api``: what applying needs of the API.

Server-side apply knows owners by leaf field, defaults come from a function, and a test makes the
next call fail as it likes. It is no model of the real server: the contract suite is.
"""

import asyncio
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from installer.cluster.failures import ApiFailure
from installer.core.objects import FIELD_MANAGER, Manifest, ObjectRef
from tests.unit.cluster.api_failures import caused, no_such_api, refusal
from tests.unit.cluster.leaves import Leaves, leaves_of, set_leaf, unset_leaf
from tests.unit.cluster.memory_answers import Call, Found, Kill, Listing, Raw, Rule
from tests.unit.cluster.quick_clock import QuickClock

T = TypeVar("T")
WITHOUT_GENERATION: tuple[str, ...] = (
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Service",
    "Namespace",
    "Lease",
)
WITHOUT_GENERATION += ("PersistentVolumeClaim", "PersistentVolume", "Pod", "StorageClass", "Event")


_IDENTITY = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))


class MemoryCluster:
    def __init__(self, clock: QuickClock) -> None:
        self.clock = clock
        self.objects: dict[str, Manifest] = {}
        self.calls: list[Call] = []
        self.rules: list[Rule] = []
        self.absent_kinds: set[str] = set()
        self.narrow = False  # no rights beyond our namespaces
        self.defaults: Callable[[Manifest], None] = lambda _: None
        self.logs: dict[str, bytes] = {}
        self.kill: Kill | None = None
        self.in_flight = 0
        self.most_in_flight = 0
        self._owners: dict[str, dict[tuple[Any, ...], str]] = {}
        self._counter = 0
        self._changed = asyncio.Event()

    # what tests do

    def fail(self, verb: str, ref: ObjectRef, failure: ApiFailure, times: int = 1) -> None:
        self.rules.append(Rule(verb, ref.key, lambda: failure, times))

    def before(self, verb: str, ref: ObjectRef, act: Callable[[], None]) -> None:
        def run() -> None:
            act()

        self.rules.append(Rule(verb, ref.key, run))

    def put(self, manifest: Manifest, manager: str = "kubectl-create") -> Manifest:
        """As somebody else writes: takes over the fields that it changes."""
        key = ObjectRef.of(manifest).key
        live = self.objects.get(key)
        merged = copy.deepcopy(live) if live else {}
        owners = self._owners.setdefault(key, {})
        for path, value in leaves_of(_sent(manifest)).items():
            if live is None or leaves_of(live).get(path) != value:
                owners[path] = manager
            set_leaf(merged, path, value)
        return self._store(key, merged)

    def edit(self, ref: ObjectRef, path: tuple[str, ...], value: Any, manager: str) -> Manifest:
        live = copy.deepcopy(self.objects[ref.key])
        set_leaf(live, path, value)
        self._owners[ref.key][path] = manager
        return self._store(ref.key, live)

    def status(self, ref: ObjectRef, status: dict[str, Any]) -> None:
        """A controller's write."""
        live = copy.deepcopy(self.objects[ref.key])
        live["status"] = status
        self._store(ref.key, live)

    def drop(self, ref: ObjectRef) -> None:
        self.objects.pop(ref.key, None)
        self._owners.pop(ref.key, None)
        self._notify()

    def verbs(self, *verbs: str) -> tuple[str, ...]:
        return tuple(f"{c.verb} {c.key}" for c in self.calls if c.verb in verbs)

    @property
    def writes(self) -> tuple[str, ...]:
        return self.verbs("apply", "create", "replace", "delete", "patch")

    # installer.cluster.api.Api

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
    ) -> Raw:
        self.calls.append(Call(method, path, dict(params or {})))
        return Raw(200, self.logs[path]) if path in self.logs else Raw(404, b"")

    async def resource(self, api_version: str, kind: str) -> Found:
        await self._enter("resource", f"{api_version}/{kind}")
        if kind in self.absent_kinds:
            raise no_such_api(ObjectRef(api_version, kind, "", "x"))
        return Found()

    async def apply(
        self,
        manifest: Manifest,
        *,
        force: bool = False,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
    ) -> Manifest:
        ref = ObjectRef.of(manifest)
        verb = "dry-run" if dry_run else "apply"
        await self._enter(verb, ref.key, force=force, manifest=copy.deepcopy(manifest))
        if ref.kind in self.absent_kinds:
            raise no_such_api(ref)
        self._refuse_terminating(ref)
        live = self.objects.get(ref.key)
        owners = dict(self._owners.get(ref.key, {}))
        merged = self._merged(ref, live, owners, leaves_of(_sent(manifest)), manager, force)
        if dry_run:
            return self._finished(ref.key, merged, owners, live)
        if live is not None and self._finished(ref.key, merged, owners, live) == live:
            return copy.deepcopy(live)
        self._owners[ref.key] = owners
        return self._store(ref.key, merged)

    async def get(self, ref: ObjectRef) -> Manifest | None:
        await self._enter("get", ref.key)
        return copy.deepcopy(self.objects.get(ref.key))

    async def list(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
    ) -> Listing:
        await self._enter("list", f"{api_version}/{kind}", namespace=namespace, labels=labels)
        if kind in self.absent_kinds:
            raise no_such_api(ObjectRef(api_version, kind, "", "x"))
        if self.narrow and not namespace:
            raise refusal(403, f"all {kind}", "list", reason="Forbidden", message="not allowed")
        found = self.matching(api_version, kind, namespace, labels)
        name, _, value = fields.partition("=")
        if name == "involvedObject.uid":
            found = tuple(item for item in found if item["involvedObject"]["uid"] == value)
        return Listing(found, str(self._counter))

    async def create(self, manifest: Manifest) -> Manifest:
        ref = ObjectRef.of(manifest)
        await self._enter("create", ref.key)
        if ref.key in self.objects:
            raise refusal(409, ref, "create", reason="AlreadyExists", message="already exists")
        return self.put(manifest, FIELD_MANAGER)

    async def replace(self, manifest: Manifest) -> Manifest:
        ref = ObjectRef.of(manifest)
        await self._enter("replace", ref.key)
        live = self.objects.get(ref.key)
        if live is None:
            raise refusal(404, ref, "update", reason="NotFound", message="not found")
        if manifest["metadata"].get("resourceVersion") != live["metadata"]["resourceVersion"]:
            raise refusal(409, ref, "update", reason="Conflict", message="has been modified")
        return self.put(manifest, FIELD_MANAGER)

    async def delete(
        self,
        ref: ObjectRef,
        *,
        uid: str = "",
        propagation: str = "Background",
        resource_version: str = "",
    ) -> bool:
        await self._enter("delete", ref.key, uid=uid, propagation=propagation)
        live = self.objects.get(ref.key)
        if live is None:
            return False
        if uid and live["metadata"]["uid"] != uid:
            raise refusal(409, ref, "delete", reason="Conflict", message="precondition failed")
        if live["metadata"].get("finalizers"):
            live["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
            return True
        self.drop(ref)
        if ref.kind == "Namespace":
            inside = [
                m for m in self.objects.values() if m["metadata"].get("namespace") == ref.name
            ]
            for manifest in inside:
                self.drop(ObjectRef.of(manifest))
        return True

    async def patch(
        self,
        ref: ObjectRef,
        patch: Any,
        *,
        content_type: str = "application/merge-patch+json",
        subresource: str = "",
    ) -> Manifest:
        await self._enter("patch", ref.key, patch=patch)
        live = copy.deepcopy(self.objects[ref.key])
        for path, value in leaves_of(patch).items():
            set_leaf(live, path, value)
        return self._store(ref.key, live)

    # inside

    async def _enter(self, verb: str, key: str, **options: Any) -> None:
        if self.kill is not None:
            self.kill.at_call(verb)
        self.calls.append(Call(verb, key, options))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        for rule in self.rules:
            if rule.verb == verb and rule.key == key and rule.times > 0:
                rule.times -= 1
                failure = rule.act()
                if failure is not None:
                    raise failure

    def _refuse_terminating(self, ref: ObjectRef) -> None:
        space = self.objects.get(f"namespace/-/{ref.namespace}") if ref.namespace else None
        if ref.namespace and space is None:
            details = {"kind": "namespaces", "name": ref.namespace}
            raise refusal(404, ref, reason="NotFound", message="no namespace", details=details)
        if space and space["metadata"].get("deletionTimestamp") and ref.key not in self.objects:
            raise caused(403, ref, ("NamespaceTerminating", "metadata.namespace", "terminating"))

    def _merged(
        self,
        ref: ObjectRef,
        live: Manifest | None,
        owners: dict[tuple[Any, ...], str],
        sent: Leaves,
        manager: str,
        force: bool,
    ) -> Manifest:
        held = leaves_of(live or {})
        clashes = [
            (path, owners[path])
            for path, value in sent.items()
            if owners.get(path, manager) != manager and held.get(path) != value
        ]
        if clashes and not force:
            raise caused(
                409,
                ref,
                *(
                    ("FieldManagerConflict", "." + ".".join(path), f'conflict with "{owner}"')
                    for path, owner in clashes
                ),
            )
        merged = copy.deepcopy(live) if live else {}
        for path in [p for p, owner in owners.items() if owner == manager and p not in sent]:
            del owners[path]
            unset_leaf(merged, path)
        for path, value in sent.items():
            if owners.get(path) in (None, manager) or held.get(path) != value:
                owners[path] = manager
            set_leaf(merged, path, value)
        return merged

    def _finished(
        self,
        key: str,
        manifest: Manifest,
        owners: Mapping[tuple[Any, ...], str],
        live: Manifest | None,
    ) -> Manifest:
        result = copy.deepcopy(manifest)
        self.defaults(result)
        meta = result["metadata"]
        meta["managedFields"] = [_managed(name, owners) for name in sorted(set(owners.values()))]
        old = (live or {}).get("metadata", {})
        for name in ("uid", "resourceVersion", "generation", "creationTimestamp"):
            if name in old:
                meta[name] = old[name]
        if live is not None and "generation" in old and result.get("spec") != live.get("spec"):
            meta["generation"] = old["generation"] + 1
        return result

    def _store(self, key: str, manifest: Manifest) -> Manifest:
        live = self.objects.get(key)
        result = self._finished(key, manifest, self._owners.setdefault(key, {}), live)
        self._counter += 1
        meta = result["metadata"]
        meta["resourceVersion"] = str(self._counter)
        meta.setdefault("uid", f"uid-{self._counter}")
        meta.setdefault("creationTimestamp", "2026-11-24T06:00:00Z")
        if result["kind"] not in WITHOUT_GENERATION:
            meta.setdefault("generation", 1)
        self.objects[key] = result
        self._notify()
        return copy.deepcopy(result)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def matching(
        self, api_version: str, kind: str, namespace: str, labels: str
    ) -> tuple[Manifest, ...]:
        name, _, value = labels.partition("=")
        found = []
        for item in self.objects.values():
            marks = item["metadata"].get("labels") or {}
            if (
                (item["apiVersion"], item["kind"]) == (api_version, kind)
                and (not namespace or item["metadata"].get("namespace") == namespace)
                and (not labels or (name in marks and (not value or marks[name] == value)))
            ):
                found.append(copy.deepcopy(item))
        return tuple(found)

    # installer.cluster.api.Followers

    def of(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = ""
    ) -> "Follower":
        assert namespace or not self.narrow, f"{kind} is not followed in the whole cluster"
        return Follower(self, api_version, kind, namespace, labels)


def _sent(manifest: Manifest) -> Manifest:
    server = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
    body = copy.deepcopy(manifest)
    for name in server:
        body["metadata"].pop(name, None)
    return body


def _managed(manager: str, owners: Mapping[tuple[Any, ...], str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for path, owner in owners.items():
        if owner == manager and path not in _IDENTITY:
            set_leaf(fields, tuple(f"f:{part}" for part in path), {})
    operation = "Apply" if manager == FIELD_MANAGER else "Update"
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


@dataclass
class Follower:
    cluster: MemoryCluster
    api_version: str
    kind: str
    namespace: str
    labels: str
    synced: bool = True

    @property
    def objects(self) -> dict[tuple[str, str], Manifest]:
        items = self.cluster.matching(self.api_version, self.kind, self.namespace, self.labels)
        return {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
            for item in items
        }

    async def wait_for(
        self,
        predicate: Callable[[Mapping[tuple[str, str], Manifest]], T | None],
        within: float,
        *,
        on_change: Callable[[], None] | None = None,
        every: float = 5.0,
    ) -> T:
        clock = self.cluster.clock
        end = clock.monotonic() + within
        while True:
            found = predicate(self.objects)
            if found:
                return found
            if clock.monotonic() >= end:
                raise TimeoutError
            await clock.sleep(every)
