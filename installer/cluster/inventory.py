"""The inventory: what this install has made, kept in the cluster itself.

One ConfigMap, further ones when it grows. A record stays in the ConfigMap in which it was first
written, so that no crash between two writes can lose it or show it twice. Every write names the
version that was read; another writer is noticed.
"""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial

from installer.cluster.api import Api
from installer.cluster.concurrency import RetryBudget
from installer.cluster.control import (
    control_labels,
    control_namespace,
    control_namespace_ref,
)
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.lease import lease_ref
from installer.cluster.records import Record, records_of, records_text
from installer.cluster.telling import sent_again
from installer.core.canonical import canonical
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import (
    ANNOTATION_OWNER,
    Manifest,
    ObjectRef,
)
from installer.core.step import StepContext

INVENTORY = "matrix-install-inventory"
LABEL_INVENTORY = "matrix-install.io/inventory"  # value: install id
# An object of the API holds 1 MiB at most (etcd's request limit is 1.5 MiB); the rest is room for
# metadata and for the copy of the field names in managedFields.
SHARD_BYTES = 900_000
SHARDS = 8  # about 25,000 objects


def shard_ref(install_id: str, shard: int) -> ObjectRef:
    name = INVENTORY if shard == 0 else f"{INVENTORY}-{shard}"
    return ObjectRef("v1", "ConfigMap", control_namespace(install_id), name)


def standing_targets(install_id: str) -> tuple[str, ...]:
    """Keys that every run may write besides its steps' targets; lines of every plan."""
    shards = [shard_ref(install_id, shard) for shard in range(SHARDS)]
    refs = [control_namespace_ref(install_id), lease_ref(install_id), *shards]
    return tuple(ref.key for ref in refs)


class Inventory:
    """Loaded with ``load``; writes go through the step's mutation gate, one at a time."""

    def __init__(self, api: Api, install_id: str, install_uid: str, retry: RetryBudget) -> None:
        self._api = api
        self._retry = retry
        self._install_id = install_id
        self._install_uid = install_uid
        self._shards: dict[int, dict[str, Record]] = {}
        self._versions: dict[int, str] = {}  # resourceVersion of each shard as last seen
        self._writing = asyncio.Lock()
        self._loaded = False

    @property
    def records(self) -> Mapping[str, Record]:
        """All records by ``ObjectRef.key``."""
        return {key: record for shard in self._shards.values() for key, record in shard.items()}

    def get(self, ref: ObjectRef) -> Record | None:
        key = ref.key
        return next((held[key] for held in self._shards.values() if key in held), None)

    async def load(self) -> None:
        """Reads it anew; an inventory that is not there yet is empty. Raises InstallError."""
        async with self._writing:
            await self._read()

    async def load_once(self) -> None:
        """Reads it unless that was done before."""
        async with self._writing:
            if not self._loaded:
                await self._read()

    async def _read(self) -> None:
        shards: dict[int, dict[str, Record]] = {}
        versions: dict[int, str] = {}
        ask = partial(
            self._api.list,
            "v1",
            "ConfigMap",
            namespace=control_namespace(self._install_id),
            labels=f"{LABEL_INVENTORY}={self._install_id}",
        )
        listing = await self._retry.run(ask)
        for item in listing.items:
            _, _, number = item["metadata"]["name"].partition(f"{INVENTORY}-")
            shard = int(number or 0)
            found = records_of(item, self._install_uid)
            shards[shard] = {record.ref.key: record for record in found}
            versions[shard] = item["metadata"]["resourceVersion"]
        self._shards, self._versions, self._loaded = shards, versions, True

    async def put(self, ctx: StepContext, records: Iterable[Record]) -> bool:
        """Adds or replaces records; says whether anything had to be written.

        Raises InstallError: INVENTORY-CHANGED, INVENTORY-FULL.
        """
        async with self._writing:
            wanted = {shard: dict(held) for shard, held in self._shards.items()}
            sizes = {shard: len(self._text(held)) for shard, held in wanted.items()}
            for record in records:
                key = record.ref.key
                shard = next((n for n, held in wanted.items() if key in held), None)
                if shard is None:
                    shard = _roomy(sizes, record)
                wanted.setdefault(shard, {})[key] = record
            return await self._write(ctx, wanted)

    async def remove(self, ctx: StepContext, keys: Iterable[str]) -> bool:
        """Forgets objects that are gone; says whether anything had to be written."""
        gone = set(keys)
        async with self._writing:
            wanted = {
                shard: {key: record for key, record in records.items() if key not in gone}
                for shard, records in self._shards.items()
            }
            return await self._write(ctx, wanted)

    async def delete(self, ctx: StepContext) -> None:
        """Removes the inventory itself."""
        async with self._writing:
            for shard in sorted(self._versions, reverse=True):
                ref = shard_ref(self._install_id, shard)
                delete = partial(self._delete_shard, ctx, ref)
                await self._retry.run(delete, on_wait=sent_again(ctx, ref))
            self._shards, self._versions = {}, {}

    async def _delete_shard(self, ctx: StepContext, ref: ObjectRef) -> None:
        async with ctx.gate.mutation("delete", ref.key):
            await self._api.delete(ref)

    def _text(self, records: Mapping[str, Record]) -> str:
        return records_text(self._install_id, self._install_uid, records.values())

    async def _write(self, ctx: StepContext, wanted: dict[int, dict[str, Record]]) -> bool:
        changed = [
            shard for shard, records in wanted.items() if records != self._shards.get(shard, {})
        ]
        for shard in changed:
            text = self._text(wanted[shard])
            told = sent_again(ctx, shard_ref(self._install_id, shard))
            await self._retry.run(partial(self._write_shard, ctx, shard, text), on_wait=told)
            self._shards[shard] = wanted[shard]
        return bool(changed)

    async def _write_shard(self, ctx: StepContext, shard: int, text: str) -> None:
        manifest = self._manifest(shard, text)
        ref = ObjectRef.of(manifest)
        version = self._versions.get(shard)
        if version is not None:
            manifest["metadata"]["resourceVersion"] = version
        try:
            async with ctx.gate.mutation("update" if version else "create", ref.key):
                send = self._api.replace if version else self._api.create
                written = await send(manifest)
        except ApiFailure as failure:
            written = await self._written_after_all(ref, text, failure)
        self._versions[shard] = written["metadata"]["resourceVersion"]

    async def _written_after_all(self, ref: ObjectRef, text: str, failure: ApiFailure) -> Manifest:
        """A write whose answer was lost may be there; only then does the run go on."""
        conflict = failure.kind in (FailureKind.VERSION_CONFLICT, FailureKind.ALREADY_EXISTS)
        if not conflict and not failure.verdict.outcome_unknown:
            raise failure
        live = await self._api.get(ref)
        if live is not None and (live.get("data") or {}).get("inventory") == text:
            return live
        if not conflict:
            raise failure
        raise InstallError(
            "INVENTORY-CHANGED",
            "somebody else wrote the inventory of this install",
            f"{ref} is not as it was read",
            "See that no other matrix-install works on this cluster, then resume.",
            retryable=True,
            evidence=failure.evidence,
            exit_code=ExitCode.LOCKED,
        ) from failure

    def _manifest(self, shard: int, text: str) -> Manifest:
        ref = shard_ref(self._install_id, shard)
        return {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": {**control_labels(self._install_id), LABEL_INVENTORY: self._install_id},
                "annotations": {ANNOTATION_OWNER: self._install_uid},
            },
            "data": {"inventory": text},
        }


def _roomy(sizes: dict[int, int], record: Record) -> int:
    """The first ConfigMap with room for the record; its size is counted up."""
    size = len(canonical(record.to_json())) + 128  # room for a uid that is not known yet
    for shard in range(SHARDS):
        if sizes.get(shard, 0) + size < SHARD_BYTES:
            sizes[shard] = sizes.get(shard, 0) + size
            return shard
    raise InstallError(
        "INVENTORY-FULL",
        "the inventory of this install is full",
        f"{SHARDS} ConfigMaps of {SHARD_BYTES} bytes hold no further object",
        "Split the install; this many objects were never expected.",
    )


async def listed_by_others(api: Api, install_id: str) -> frozenset[str]:
    """Keys of objects that the inventories of other installs in this cluster list.

    None where we may not look: without rights on the whole cluster there is nothing that two
    installs could share.
    """
    found: set[str] = set()
    try:
        listing = await api.list("v1", "ConfigMap", labels=LABEL_INVENTORY)
    except ApiFailure as failure:
        if failure.kind is not FailureKind.FORBIDDEN:
            raise
        return frozenset()
    for item in listing.items:
        owner = item["metadata"]["labels"].get(LABEL_INVENTORY)
        if owner != install_id:
            uid = (item["metadata"].get("annotations") or {}).get(ANNOTATION_OWNER, "")
            found.update(record.ref.key for record in records_of(item, uid))
    return frozenset(found)
