"""A LIST read in pages, as one consistent set."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from installer.cluster.failures import ApiFailure, FailureKind
from installer.core.objects import Manifest

PAGE = 500  # objects, as kubectl asks for
ROUNDS = 3  # how often a LIST whose snapshot was compacted away is begun anew


@dataclass(frozen=True)
class Listing:
    """All pages of a LIST. Items carry apiVersion and kind, which the API leaves out."""

    items: tuple[Manifest, ...]
    resource_version: str


async def read_listing(
    fetch: Callable[[Mapping[str, str]], Awaitable[Manifest]],
    params: Mapping[str, str],
    api_version: str,
    kind: str,
) -> Listing:
    """Follows ``continue``; ``fetch`` gets one page. Raises what it raises.

    Pages are of one snapshot, which etcd may compact away between two of them (410): then all is
    read anew in one answer, as client-go's pager does.
    """
    paged = {**params, "limit": str(PAGE)}
    for again in range(ROUNDS):
        try:
            return await _read(fetch, params if again else paged, api_version, kind)
        except ApiFailure as failure:
            if failure.kind is not FailureKind.EXPIRED or again == ROUNDS - 1:
                raise
    raise AssertionError("the last round returns or raises")


async def _read(
    fetch: Callable[[Mapping[str, str]], Awaitable[Manifest]],
    params: Mapping[str, str],
    api_version: str,
    kind: str,
) -> Listing:
    items: list[Manifest] = []
    token = ""
    while True:
        data = await fetch({**params, "continue": token} if token else params)
        for item in data.get("items") or []:
            items.append({"apiVersion": api_version, "kind": kind, **item})
        meta = data.get("metadata") or {}
        token = str(meta.get("continue") or "")
        if not token:
            return Listing(tuple(items), str(meta.get("resourceVersion", "")))
