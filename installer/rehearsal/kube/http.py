"""HTTP/1.1 over TLS on loopback, with the hold on each connection that faults need."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

MAX_BODY = 3 * 1024 * 1024
HANDSHAKE_SECONDS = 30.0
BACKLOG = 512


@dataclass(frozen=True)
class Request:
    """One request, its body read."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """An answer: either a body, or chunks that are sent as they come."""

    status: int
    body: bytes = b""
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunks: AsyncGenerator[bytes, None] | None = None


Handler = Callable[[Request], Awaitable[Response]]


class Listener:
    """One listening socket and its connections.

    It can be frozen (the kernel still accepts, nobody answers) and cut (every connection reset,
    new ones refused), which is what clients see of a stopped or killed server.
    """

    def __init__(
        self, handler: Handler, context: ssl.SSLContext, *, graceful: bool = False
    ) -> None:
        self._handler = handler
        self._context = context
        self._graceful = graceful
        self._ending = asyncio.Event()
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.port = 0

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._writers)

    def open(self, port: int = 0) -> None:
        """Listen on loopback; a port that is taken is replaced by a free one."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError:
            listening.bind(("127.0.0.1", 0))
        listening.listen(BACKLOG)
        listening.setblocking(False)
        self._socket = listening
        self.port = listening.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(listening))

    def freeze(self) -> None:
        """Answer nothing until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Go on where `freeze` stopped."""
        self._thawed.set()

    async def close(self) -> None:
        """Refuse new connections and reset the open ones, as the death of a process does."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._graceful:
            self._ending.set()
            await asyncio.sleep(0.1)
            self._ending.clear()
        for writer in list(self._writers):
            writer.transport.abort()
        waiting = [task for task in (self._accepting, *self._tasks) if task is not None]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        self._accepting = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._thawed.wait()
            accepted, _ = await loop.sock_accept(listening)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._serve(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        await self._thawed.wait()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**20)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError:
            accepted.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._writers.add(writer)
        try:
            hold = _Hold(self._thawed, self._ending)
            await _Connection(reader, writer, self._handler, hold).run()
        except (OSError, h11.RemoteProtocolError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


@dataclass(frozen=True)
class _Hold:
    """What a connection waits for before it answers, and what ends its streams in good order."""

    thawed: asyncio.Event
    ending: asyncio.Event


class _Connection:
    """The requests of one client, one after the other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handler: Handler,
        hold: _Hold,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._thawed = hold.thawed
        self._ending = hold.ending
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)

    async def run(self) -> None:
        while True:
            request = await self._request()
            if request is None:
                return
            if len(request.body) > MAX_BODY:
                await self._answer(_too_large())
                return
            response = await self._handler(request)
            await self._answer(response)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(2**16))

    async def _request(self) -> Request | None:
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            if len(body) <= MAX_BODY:
                body += event.data
        await self._thawed.wait()
        target = urlsplit(head.target.decode())
        return Request(
            head.method.decode(),
            unquote(target.path),
            dict(parse_qsl(target.query, keep_blank_values=True)),
            {name.decode(): value.decode() for name, value in head.headers},
            bytes(body),
        )

    async def _answer(self, response: Response) -> None:
        await self._thawed.wait()
        headers = [("content-type", response.media), *response.headers.items()]
        if response.chunks is None:
            headers.append(("content-length", str(len(response.body))))
            head = h11.Response(status_code=response.status, headers=headers)
            parts = [self._http.send(head), self._http.send(h11.Data(data=response.body))]
            parts.append(self._http.send(h11.EndOfMessage()))
            self._writer.write(b"".join(part for part in parts if part))
            await self._writer.drain()
            return
        headers.append(("transfer-encoding", "chunked"))
        await self._send(h11.Response(status_code=response.status, headers=headers))
        await self._stream(response.chunks)

    async def _stream(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """Send chunks until they end or the client goes away, whichever is first."""
        sending = asyncio.create_task(self._send_all(chunks))
        leaving = asyncio.create_task(self._reader.read(1))
        ending = asyncio.create_task(self._ending.wait())
        tasks = {sending, leaving, ending}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._ending.is_set():
            await self._send(h11.EndOfMessage())

    async def _send_all(self, chunks: AsyncGenerator[bytes, None]) -> None:
        async with contextlib.aclosing(chunks) as open_chunks:
            async for chunk in open_chunks:
                await self._thawed.wait()
                await self._send(h11.Data(data=chunk))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


def _too_large() -> Response:
    text = f"Request entity too large: limit is {MAX_BODY}"
    return Response(413, text.encode(), "text/plain; charset=utf-8")
