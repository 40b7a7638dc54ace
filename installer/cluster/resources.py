"""Which kinds the API serves, and under which paths."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from installer.core.objects import Manifest


@dataclass(frozen=True)
class Resource:
    """One kind as discovery lists it. ``plural`` is the path's part, e.g. ``deployments``."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of the collection, or of one object; all namespaces if none is named."""
        parts = [group_path(self.api_version)]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


def group_path(api_version: str) -> str:
    """``/api/v1`` or ``/apis/GROUP/VERSION``."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


class Discovery:
    """Kinds by API version, read once and again whenever a kind is missed (a CRD came).

    ``fetch`` gives the APIResourceList of an API version, or None where it is not served.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[Manifest | None]]) -> None:
        self._fetch = fetch
        self._known: dict[tuple[str, str], Resource] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource, or None. Callers that miss at once share one request."""
        found = self._known.get((api_version, kind))
        if found is None:
            await self._read_shared(api_version)
            found = self._known.get((api_version, kind))
        return found

    async def _read_shared(self, api_version: str) -> None:
        task = self._reading.get(api_version)
        if task is None:
            task = asyncio.create_task(self._read(api_version))
            self._reading[api_version] = task
            task.add_done_callback(lambda _: self._reading.pop(api_version, None))
        # One caller that gives up must not take the answer from the others.
        await asyncio.shield(task)

    async def _read(self, api_version: str) -> None:
        listed = await self._fetch(api_version)
        for entry in (listed or {}).get("resources") or []:
            if "/" in entry["name"]:  # a subresource
                continue
            self._known[(api_version, entry["kind"])] = Resource(
                api_version,
                entry["kind"],
                entry["name"],
                bool(entry.get("namespaced")),
                frozenset(entry.get("verbs") or ()),
            )
