"""A small HTTP server on loopback that answers as a test tells it to, odd answers included."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KINDS: dict[str, list[dict[str, Any]]] = {
    "/api/v1": [
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "services", "kind": "Service", "namespaced": True},
        {"name": "nodes", "kind": "Node", "namespaced": False},
        {"name": "pods", "kind": "Pod", "namespaced": True},
        {"name": "pods/status", "kind": "Pod", "namespaced": True},
    ],
    "/apis/apps/v1": [{"name": "deployments", "kind": "Deployment", "namespaced": True}],
    "/apis/coordination.k8s.io/v1": [{"name": "leases", "kind": "Lease", "namespaced": True}],
    "/apis/storage.k8s.io/v1": [
        {"name": "storageclasses", "kind": "StorageClass", "namespaced": False}
    ],
}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """``parts`` makes a chunked answer; ``cut`` breaks it off before its end."""

    status: int = 200
    data: Any = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: AsyncIterator[bytes] | None = None
    cut: bool = False


Handler = Callable[[Request], Awaitable[Reply | None]]


def status(code: int, reason: str = "", message: str = "", **details: Any) -> Reply:
    """A Status object as the API answers one."""
    data = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
    return Reply(code, data)


class FakeApi:
    """Answers discovery of KINDS itself and passes the rest to ``handler``.

    A handler that returns None closes the connection without an answer.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def calls(self, method: str = "", path: str = "") -> list[Request]:
        return [
            request
            for request in self.requests
            if request.method == (method or request.method)
            and request.path.startswith(path)
            and request.path not in KINDS
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            # Only ``stop`` cancels; asyncio's own callback chokes on a cancelled server task.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(
            line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in head[1:] if line
        )
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        url = urlsplit(target)
        request = Request(method, url.path, dict(parse_qsl(url.query)), headers, body)
        self.requests.append(request)
        reply = await self._answer(request)
        if reply is None:
            return False
        await _write(writer, reply)
        return not reply.cut

    async def _answer(self, request: Request) -> Reply | None:
        if request.method == "GET" and request.path in KINDS:
            return Reply(data={"kind": "APIResourceList", "resources": KINDS[request.path]})
        return await self.handler(request)


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    body = (reply.text or "").encode() if reply.data is None else json.dumps(reply.data).encode()
    kind = "text/plain" if reply.data is None else "application/json"
    headers = {"Content-Type": kind, **reply.headers}
    if reply.parts is None:
        headers["Content-Length"] = str(len(body))
    else:
        headers["Transfer-Encoding"] = "chunked"
    lines = [f"HTTP/1.1 {reply.status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    if reply.parts is None:
        writer.write(body)
    else:
        async for part in reply.parts:
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        if not reply.cut:
            writer.write(b"0\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def fake_api(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeApi]:
    """A running FakeApi, stopped with all its connections in the end."""
    api = FakeApi(handler)
    await api.start(tls)
    try:
        yield api
    finally:
        await api.stop()
