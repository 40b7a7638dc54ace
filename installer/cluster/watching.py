"""Reads a watch's stream: one JSON event a line, bounded in silence."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from installer.cluster.classifier import classify_answer, not_kubernetes
from installer.cluster.failures import (
    ApiFailure,
    CallContext,
    FailureKind,
    WatchExpired,
)
from installer.cluster.transport import AnswerTooLarge, Transport
from installer.core.objects import Manifest

# Seconds after which the server ends a watch by itself; drawn, so that the watches of one run do
# not all come back in the same second.
WATCH_LASTS = (240, 360)
START_TIMEOUT = 30.0  # seconds until the answer's headers
MAX_EVENT = 8 * 1024 * 1024  # bytes; an object holds at most about 1.5 MiB in etcd


@dataclass(frozen=True)
class WatchEvent:
    """``type`` is ADDED, MODIFIED, DELETED or BOOKMARK (only metadata.resourceVersion counts)."""

    type: str
    object: Manifest

    @property
    def resource_version(self) -> str:
        return str((self.object.get("metadata") or {}).get("resourceVersion", ""))


class OpenWatches:
    """All watches of a client that wait for their next event."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Timeout] = set()

    def close_all(self) -> None:
        """Each open watch ends as if nothing had come in its time."""
        now = asyncio.get_running_loop().time()
        for deadline in self._waiting:
            if not deadline.expired():
                deadline.reschedule(now)

    def add(self, deadline: asyncio.Timeout) -> None:
        self._waiting.add(deadline)

    def discard(self, deadline: asyncio.Timeout) -> None:
        self._waiting.discard(deadline)


def watch_params(resource_version: str, lasts: int) -> dict[str, str]:
    """The query of a watch that the server ends after ``lasts`` seconds."""
    return {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(lasts),
    }


async def read_watch(
    transport: Transport,
    watches: OpenWatches,
    path: str,
    params: Mapping[str, str],
    idle_timeout: float,
    context: CallContext,
) -> AsyncGenerator[WatchEvent]:
    """The stream's events. Raises WatchExpired, ApiFailure and what the transport raises."""
    async with transport.stream(path, params=params, within=START_TIMEOUT) as response:
        if response.status_code != 200:
            await _raise_refusal(response, context)
        lines = _lines(response, watches, idle_timeout)
        async with aclosing(lines):
            async for line in lines:
                yield _event(line, context)


async def _raise_refusal(response: httpx.Response, context: CallContext) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        body = b"".join([part async for part in _body(response)])
    headers = {name.lower(): value for name, value in response.headers.items()}
    _raise_status(response.status_code, headers, body, context)


def _raise_status(
    status: int, headers: Mapping[str, str], body: bytes, context: CallContext
) -> None:
    verdict = classify_answer(status, headers, body, context)
    expired = verdict.kind is FailureKind.EXPIRED
    raise WatchExpired.of(verdict) if expired else ApiFailure.of(verdict)


async def _lines(
    response: httpx.Response, watches: OpenWatches, idle_timeout: float
) -> AsyncGenerator[bytes]:
    buffer = bytearray()
    parts = aiter(_body(response))
    while True:
        try:
            async with asyncio.timeout(idle_timeout) as deadline:
                watches.add(deadline)
                try:
                    part = await anext(parts, None)
                finally:
                    watches.discard(deadline)
        except TimeoutError:
            return
        if part is None:
            return
        buffer += part
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            if line.strip():
                yield line
        if len(buffer) > MAX_EVENT:
            raise AnswerTooLarge(f"an event of the watch is longer than {MAX_EVENT} bytes")


async def _body(response: httpx.Response) -> AsyncIterator[bytes]:
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    async for part in stream:
        yield part


def _event(line: bytes, context: CallContext) -> WatchEvent:
    try:
        data: Any = json.loads(line)
        event = WatchEvent(str(data["type"]), dict(data["object"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ApiFailure.of(not_kubernetes(200, line, context)) from error
    if event.type == "ERROR":
        # A watch that cannot go on says so inside an answer of status 200; its code is what counts.
        code = int(event.object.get("code") or 500)
        _raise_status(code, {}, json.dumps(event.object).encode(), context)
    return event
