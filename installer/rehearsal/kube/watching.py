"""LIST and WATCH: pages that hold their version, events, bookmarks, and 410 when too old."""

import asyncio
import base64
import binascii
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from installer.rehearsal.kube.problems import ApiError, Json, bad_request, expired
from installer.rehearsal.kube.registry import Registry
from installer.rehearsal.kube.resources import ResourceType
from installer.rehearsal.kube.selectors import (
    Requirement,
    fields_hold,
    holds,
    parse_fields,
    parse_labels,
)
from installer.rehearsal.kube.store import Change, Stored, encode

BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 2.0
DEFAULT_TIMEOUT_SECONDS = 2700.0


@dataclass(frozen=True)
class Scope:
    """Which objects a LIST or WATCH is about."""

    kind: ResourceType
    namespace: str | None
    labels: list[Requirement]
    fields: list[tuple[str, bool, str]]

    @classmethod
    def read(cls, kind: ResourceType, namespace: str | None, query: dict[str, str]) -> "Scope":
        """From a request's query; ApiError 400 when a selector cannot be read."""
        return cls(
            kind,
            namespace,
            parse_labels(query.get("labelSelector", "")),
            parse_fields(query.get("fieldSelector", "")),
        )

    def takes(self, obj: Json) -> bool:
        """Whether the object is in this scope."""
        metadata = obj["metadata"]
        if self.namespace is not None and metadata.get("namespace", "") != self.namespace:
            return False
        if self.labels and not holds(self.labels, metadata.get("labels") or {}):
            return False
        return not self.fields or fields_hold(self.fields, obj)


def list_objects(registry: Registry, scope: Scope, query: dict[str, str]) -> bytes:
    """The body of a LIST, a page of it when `limit` is given."""
    store = registry.store
    token = query.get("continue", "")
    limit = int(_number(query, "limit"))
    if query.get("resourceVersion") == "0" and not token:
        limit = 0
    version, start = _read_token(token) if token else (store.version, "")
    stored = store.items(scope.kind.storage_key, scope.namespace)
    if token and registry.rules.list_pages_hold_their_version:
        held = store.items_at(scope.kind.storage_key, scope.namespace, version)
        if held is None:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter, or use the continue "
                "token in this response to retrieve the remainder of the results."
            )
        stored = held
    found = [item for item in stored if scope.takes(item.obj) and _place(item) > start]
    metadata: Json = {"resourceVersion": str(version)}
    if limit and len(found) > limit:
        metadata["continue"] = _write_token(version, _place(found[limit - 1]))
        if not scope.labels and not scope.fields:
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    head = {"kind": f"{scope.kind.kind}List", "apiVersion": scope.kind.api_version}
    opening = encode({**head, "metadata": metadata})[:-1] + b',"items":['
    items = (_item(scope.kind, registry.in_version(scope.kind, item)) for item in found)
    return opening + b",".join(items) + b"]}"


def _number(query: dict[str, str], name: str) -> float:
    text = query.get(name) or "0"
    if not text.isdecimal():
        raise bad_request(f"strconv.ParseInt: parsing {json.dumps(text)}: invalid syntax")
    return float(text)


def _item(kind: ResourceType, stored: Stored) -> bytes:
    """An object in a list: built-in kinds leave out there what the list itself says."""
    head = encode({"apiVersion": kind.api_version, "kind": kind.kind})[:-1] + b","
    if kind.custom is None and stored.raw.startswith(head):
        return b"{" + stored.raw[len(head) :]
    return stored.raw


def _place(stored: Stored) -> str:
    metadata = stored.obj["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _write_token(version: int, start: str) -> str:
    return base64.urlsafe_b64encode(
        encode({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    ).decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        held = json.loads(base64.urlsafe_b64decode(token))
        return int(held["rv"]), str(held["start"])
    except (ValueError, KeyError, binascii.Error) as error:
        raise bad_request(f"continue key is not valid: {error}") from None


class Watch:
    """One client's watch: an iterator over chunks, each a line of JSON."""

    def __init__(self, registry: Registry, scope: Scope, query: dict[str, str]) -> None:
        self._registry = registry
        self._scope = scope
        self._bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        self._seconds = _number(query, "timeoutSeconds") or DEFAULT_TIMEOUT_SECONDS
        self._version = query.get("resourceVersion", "")
        self._initial = query.get("sendInitialEvents") in ("true", "1")
        self._pending: deque[Change] = deque()
        self._news = asyncio.Event()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Events until the timeout; an old version gives one ERROR event and the end."""
        store = self._registry.store
        stop = store.listen(self._hear)
        try:
            backlog = self._backlog()
            for line in backlog:
                yield line
            async for line in self._live():
                yield line
        except ApiError as refusal:
            yield _line("ERROR", encode(refusal.status()))
        finally:
            stop()

    def _backlog(self) -> list[bytes]:
        store = self._registry.store
        if self._version in ("", "0") or self._initial:
            lines = [
                _line("ADDED", self._raw(item))
                for item in store.items(self._scope.kind.storage_key, self._scope.namespace)
                if self._scope.takes(item.obj)
            ]
            if self._initial and self._bookmarks:
                annotations = {"k8s.io/initial-events-end": "true"}
                lines.append(self._bookmark(annotations))
            return lines
        try:
            version = int(self._version)
        except ValueError:
            raise bad_request(f"invalid resource version {self._version!r}") from None
        if version < store.oldest and self._registry.rules.old_watch_is_410_event:
            raise expired(f"too old resource version: {version} ({store.oldest})")
        changes = store.since(self._scope.kind.storage_key, version)
        return [line for change in changes if (line := self._event(change)) is not None]

    def _hear(self, change: Change) -> None:
        if change.key[0] == self._scope.kind.storage_key:
            self._pending.append(change)
            self._news.set()

    async def _live(self) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        bookmark = min(loop.time() + BOOKMARK_SECONDS, deadline - LAST_BOOKMARK_SECONDS)
        while (now := loop.time()) < deadline:
            if self._pending:
                line = self._event(self._pending.popleft())
                if line is not None:
                    yield line
            elif self._bookmarks and now >= bookmark:
                bookmark = self._after(now, deadline)
                if self._progressed() and self._registry.rules.watch_sends_bookmarks:
                    yield self._bookmark({})
            else:
                self._news.clear()
                until = min(deadline, bookmark) if self._bookmarks else deadline
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), until - now)

    def _progressed(self) -> bool:
        """Whether there is a newer version to tell than the one that the watch began with."""
        latest = self._registry.store.latest(self._scope.kind.storage_key)
        return latest > (int(self._version) if self._version.isdecimal() else 0)

    def _after(self, now: float, deadline: float) -> float:
        last = deadline - LAST_BOOKMARK_SECONDS
        return min(now + BOOKMARK_SECONDS, last) if last > now else deadline + 1

    def _event(self, change: Change) -> bytes | None:
        before = change.before is not None and self._scope.takes(change.before.obj)
        after = change.after is not None and self._scope.takes(change.after.obj)
        if after and change.after is not None:
            return _line("MODIFIED" if before else "ADDED", self._raw(change.after))
        if before and change.before is not None:
            metadata = {
                **change.before.obj["metadata"],
                "resourceVersion": str(change.version),
            }
            gone = {**change.before.obj, "metadata": metadata}
            gone["apiVersion"] = self._scope.kind.api_version
            return _line("DELETED", encode(gone))
        return None

    def _raw(self, stored: Stored) -> bytes:
        return self._registry.in_version(self._scope.kind, stored).raw

    def _bookmark(self, annotations: Json) -> bytes:
        metadata: Json = {"resourceVersion": str(self._registry.store.version)}
        if annotations:
            metadata["annotations"] = annotations
        kind = self._scope.kind
        body = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return _line("BOOKMARK", encode(body))


def _line(kind: str, raw: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"
