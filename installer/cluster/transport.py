"""HTTP to one API server: httpx's connection pool, with a deadline and a size cap on each call.

The transport layer of httpx is used without its client: redirects are never followed, no proxy is
taken from the environment, and nothing but our own headers is sent. Watches have connections of
their own, so that they cannot use up the pool of the calls.
"""

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from installer.cluster.credentials import Grant
from installer.cluster.target import ClusterTarget
from installer.core.version import PRODUCT_VERSION

CONNECT_TIMEOUT = 10.0  # seconds, of TCP and of TLS each
MAX_ANSWER = 64 * 1024 * 1024  # bytes; a page of 500 large objects stays well below
# Shorter than the 90 s after which kube-apiserver closes an idle connection, so that a call
# seldom meets one that is just being closed.
IDLE_CONNECTION = 60.0
_KEEPALIVE: list[tuple[int, int, int]] = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class AnswerTooLarge(Exception):
    """The answer went past the size cap and was dropped."""


TRANSPORT_ERRORS = (httpx.TransportError, ssl.SSLError, OSError, TimeoutError, AnswerTooLarge)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON data. Raises ValueError."""
        return json.loads(self.body)


class Transport:
    """Sends calls with the target's credentials. Raises what httpx, ssl and asyncio raise."""

    def __init__(self, target: ClusterTarget, *, connections: int) -> None:
        self._target = target
        self._connections = connections
        self.grant: Grant | None = None  # what the latest call was made with
        self._calls: httpx.AsyncHTTPTransport | None = None
        self._watches: httpx.AsyncHTTPTransport | None = None
        self._retired: list[httpx.AsyncHTTPTransport] = []

    async def aclose(self) -> None:
        pools = [pool for pool in (self._calls, self._watches) if pool is not None]
        self._calls = self._watches = None
        for pool in [*pools, *self._retired]:
            await pool.aclose()
        self._retired.clear()

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        content: bytes | None,
        content_type: str,
        within: float,
    ) -> tuple[Answer, Grant]:
        """One call, and the credentials it was made with. ``within`` (seconds) bounds all of it."""
        grant = await self._ready()
        assert self._calls is not None
        headers = {"Content-Type": content_type} if content is not None else {}
        request = self._request(method, path, params, headers, content, grant, within)
        async with asyncio.timeout(within):
            response = await _started(self._calls, request)
            try:
                body = await _read_capped(response)
            finally:
                await response.aclose()
        return Answer(response.status_code, _lower(response.headers), body), grant

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], within: float
    ) -> AsyncIterator[httpx.Response]:
        """A GET whose body is read as it comes; its start is waited for ``within`` seconds."""
        grant = await self._ready()
        assert self._watches is not None
        request = self._request("GET", path, params, {}, None, grant, None)
        async with asyncio.timeout(within):
            response = await _started(self._watches, request)
        try:
            yield response
        finally:
            await response.aclose()

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes | None,
        grant: Grant,
        timeout: float | None,
    ) -> httpx.Request:
        url = self._target.url + path
        if params:
            url += "?" + urlencode(params)
        all_headers = {
            "Accept": "application/json",
            "User-Agent": f"matrix-install/{PRODUCT_VERSION}",
            **headers,
        }
        if grant.token:
            all_headers["Authorization"] = f"Bearer {grant.token}"
        connect = min(CONNECT_TIMEOUT, timeout or CONNECT_TIMEOUT)
        extensions: dict[str, Any] = {
            "timeout": {"connect": connect, "read": timeout, "write": timeout, "pool": timeout}
        }
        if self._target.server_name:
            extensions["sni_hostname"] = self._target.server_name
        return httpx.Request(
            method, url, headers=all_headers, content=content, extensions=extensions
        )

    async def _ready(self) -> Grant:
        """The current credentials, with connection pools that use their client certificate."""
        grant = await self._target.credentials.current()
        old = self.grant
        same_key = old is not None and (old.certificate, old.key) == (grant.certificate, grant.key)
        if self._calls is None or not same_key:
            context = tls_context(self._target, grant)
            # Calls that are under way still use the old pools; they are closed at the end.
            self._retired += [pool for pool in (self._calls, self._watches) if pool is not None]
            self._calls = self._pool(context, self._connections)
            self._watches = self._pool(context, None)
        self.grant = grant
        return grant

    def _pool(self, context: ssl.SSLContext, connections: int | None) -> httpx.AsyncHTTPTransport:
        proxy = httpx.Proxy(self._target.proxy) if self._target.proxy else None
        return httpx.AsyncHTTPTransport(
            verify=context,
            http2=False,
            trust_env=False,
            proxy=proxy,
            socket_options=_KEEPALIVE,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=IDLE_CONNECTION,
            ),
        )


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class _Handshake:
    """Watches a connection being opened, by httpcore's ``trace`` extension."""

    def __init__(self) -> None:
        self.unfinished: Any = None  # a TCP stream that is not TLS yet

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self.unfinished = info["return_value"]
        elif event == "connection.start_tls.complete":
            self.unfinished = None


async def _started(pool: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    """The answer's head.

    A TLS handshake that is given up (a frozen API server accepts and says nothing) would leave
    its socket to the garbage collector: httpcore closes it on an error, not when cancelled.
    """
    if request.url.scheme != "https":
        return await pool.handle_async_request(request)
    handshake = _Handshake()
    request.extensions["trace"] = handshake
    try:
        return await pool.handle_async_request(request)
    finally:
        if handshake.unfinished is not None:
            await handshake.unfinished.aclose()


async def _read_capped(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    async for part in stream:
        size += len(part)
        if size > MAX_ANSWER:
            raise AnswerTooLarge(f"the answer is longer than {MAX_ANSWER} bytes")
        parts.append(part)
    return b"".join(parts)


def tls_context(target: ClusterTarget, grant: Grant) -> ssl.SSLContext:
    """Raises ssl.SSLError where the CA, the client certificate and its key do not go together."""
    context = ssl.create_default_context(cadata=target.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Old clusters' CAs lack the extensions that strict checking wants (Python 3.13 and later).
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if grant.certificate:
        _load_chain(context, grant)
    return context


def _load_chain(context: ssl.SSLContext, grant: Grant) -> None:
    """ssl reads keys from files only: an anonymous file in memory never reaches a disk."""
    memory = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(memory, f"{grant.certificate}\n{grant.key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)
