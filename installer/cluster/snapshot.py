"""One LIST a kind, shared by all who look at about the same time.

Dozens of steps that find nothing to do look at the same dozen kinds: each kind is asked for once.
A list is forgotten after a write of ours to its kind, and after two seconds.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable

from installer.cluster.api import Api
from installer.cluster.concurrency import AdaptiveLimit, RetryBudget
from installer.cluster.failures import ApiFailure, FailureKind
from installer.core.clock import Clock
from installer.core.objects import LABEL_INSTALL, Manifest, ObjectRef

MAX_AGE = 2.0  # seconds
_NAMESPACE = ("v1", "Namespace")


class Snapshot:
    """Objects of one install as they are now, and those that stand in its way."""

    def __init__(
        self, api: Api, install_id: str, clock: Clock, limit: AdaptiveLimit, retry: RetryBudget
    ) -> None:
        self._api = api
        self._retry = retry
        self._forgotten: Counter[tuple[str, str]] = Counter()
        self._label = f"{LABEL_INSTALL}={install_id}"
        self._clock = clock
        self._limit = limit
        self._lists: dict[tuple[str, str, str, str], tuple[float, dict[str, Manifest]]] = {}
        self._locks: defaultdict[tuple[str, str, str, str], asyncio.Lock] = defaultdict(
            asyncio.Lock
        )
        # Kinds that we may not list in the whole cluster, only in our namespaces.
        self._narrow: set[tuple[str, str]] = set()
        # Namespaces that this process saw absent and then made: nothing foreign is in them.
        self._made: set[str] = set()

    def forget(self, refs: Iterable[ObjectRef]) -> None:
        """After writes: what was listed of these kinds no longer holds."""
        kinds = {(ref.api_version, ref.kind) for ref in refs}
        self._forgotten.update(kinds)
        self._lists = {key: value for key, value in self._lists.items() if key[:2] not in kinds}

    def namespace_made(self, name: str) -> None:
        self._made.add(name)

    def namespace_left(self, name: str) -> None:
        self._made.discard(name)

    async def find(self, refs: Iterable[ObjectRef]) -> dict[str, Manifest]:
        """The live objects among ``refs`` by key, ours or not."""
        by_kind: defaultdict[tuple[str, str], list[ObjectRef]] = defaultdict(list)
        for ref in refs:
            by_kind[ref.api_version, ref.kind].append(ref)
        found = await asyncio.gather(*(self._of_kind(*kind, by_kind[kind]) for kind in by_kind))
        return {key: live for part in found for key, live in part.items()}

    async def _of_kind(
        self, api_version: str, kind: str, refs: list[ObjectRef]
    ) -> dict[str, Manifest]:
        ours = await self._labelled(api_version, kind, refs)
        found = {ref.key: ours[ref.key] for ref in refs if ref.key in ours}
        missing = [ref for ref in refs if ref.key not in ours]
        if missing:
            found.update(await self._unlabelled(missing))
        return found

    async def _labelled(
        self, api_version: str, kind: str, refs: list[ObjectRef]
    ) -> dict[str, Manifest]:
        """One LIST for all namespaces; where that is not allowed, one for each."""
        if (api_version, kind) not in self._narrow:
            try:
                return await self._list(api_version, kind, "", self._label)
            except ApiFailure as failure:
                if failure.kind is not FailureKind.FORBIDDEN:
                    raise
                self._narrow.add((api_version, kind))
        spaces = sorted({ref.namespace for ref in refs if ref.namespace})
        parts = await asyncio.gather(
            *(self._list(api_version, kind, space, self._label) for space in spaces)
        )
        return {key: live for part in parts for key, live in part.items()}

    def is_narrow(self, api_version: str, kind: str) -> bool:
        """Whether a LIST or WATCH of the kind has to name a namespace."""
        return (api_version, kind) in self._narrow

    async def _unlabelled(self, refs: list[ObjectRef]) -> dict[str, Manifest]:
        """Objects that have a name of ours but not our label."""
        namespaced = {ref.namespace for ref in refs if ref.namespace} - self._made
        if namespaced:
            namespaced &= await self._existing(namespaced)
        single: list[ObjectRef] = []
        lists: list[tuple[str, str, str]] = []
        groups: defaultdict[tuple[str, str, str], list[ObjectRef]] = defaultdict(list)
        for ref in refs:
            if not ref.namespace or ref.namespace in namespaced:
                groups[ref.api_version, ref.kind, ref.namespace].append(ref)
        for group, members in groups.items():
            if group[2] and len(members) > 1:
                lists.append(group)
            else:
                single += members
        found: dict[str, Manifest] = {}
        for part in await asyncio.gather(*(self._list(*group, "") for group in lists)):
            found.update(part)
        for live in await asyncio.gather(*(self._get(ref) for ref in single)):
            if live is not None:
                found[ObjectRef.of(live).key] = live
        return {ref.key: found[ref.key] for ref in refs if ref.key in found}

    async def _existing(self, wanted: set[str]) -> set[str]:
        """Namespaces among ``wanted`` that are there; all of them where we may not ask."""
        try:
            found = await self._list(*_NAMESPACE, "", "")
        except ApiFailure as failure:
            if failure.kind is not FailureKind.FORBIDDEN:
                raise
            return wanted
        return {manifest["metadata"]["name"] for manifest in found.values()}

    async def _get(self, ref: ObjectRef) -> Manifest | None:
        async def once() -> Manifest | None:
            async with self._limit.slot():
                return await self._api.get(ref)

        return await self._retry.run(once)

    async def _list(
        self, api_version: str, kind: str, namespace: str, labels: str
    ) -> dict[str, Manifest]:
        key = (api_version, kind, namespace, labels)
        async with self._locks[key]:
            cached = self._lists.get(key)
            if cached is not None and self._clock.monotonic() - cached[0] < MAX_AGE:
                return cached[1]
            before = self._forgotten[api_version, kind]
            items = await self._fetch(api_version, kind, namespace, labels)
            # A write of ours meanwhile may be missing in what was just read.
            if before == self._forgotten[api_version, kind]:
                self._lists[key] = (self._clock.monotonic(), items)
            return items

    async def _fetch(
        self, api_version: str, kind: str, namespace: str, labels: str
    ) -> dict[str, Manifest]:
        async def once() -> dict[str, Manifest]:
            async with self._limit.slot():
                listing = await self._api.list(
                    api_version, kind, namespace=namespace, labels=labels
                )
            return {ObjectRef.of(item).key: item for item in listing.items}

        try:
            return await self._retry.run(once)
        except ApiFailure as failure:
            if failure.kind not in (FailureKind.NO_SUCH_API, FailureKind.NOT_FOUND):
                raise
            return {}  # its CRD is not there yet, so none of its objects is
