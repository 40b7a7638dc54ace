"""Views at the engine's socket: each sees the same records, in its own time.

Messages are JSON lines. The engine speaks first: ``hello`` (protocol, product, run, seq, pid,
started, unlocked, repairs). The view answers ``hello`` (protocol, product), then ``subscribe``
(from: the last seq it has) and ``command`` (the fields of Command). The engine sends ``record``,
``progress``, ``reply`` and, once, ``end`` (status, error).
"""

import asyncio
import contextlib
import os
import socket
from typing import Any

from installer.core.commands import PROTOCOL, Command, Reply
from installer.core.version import PRODUCT_VERSION
from installer.engine import sockets
from installer.engine.service import Engine

PROGRESS_EVERY = 0.1  # seconds between two batches of news to one view
SUBSCRIBE = 0.5  # seconds in which a view that came at the very end may still subscribe
LAST_WORDS = 5.0  # seconds that a view gets to fetch the last records
ENGINE_VERSION = "ENGINE-VERSION"


class Server:
    """Accepts views until :meth:`close`. ``views`` rings when one comes or goes."""

    def __init__(self, engine: Engine, listening: socket.socket) -> None:
        self._engine = engine
        self._socket = listening
        self._server: asyncio.Server | None = None
        self._views: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()

    @property
    def views(self) -> int:
        return len(self._views)

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(
            self._accept, sock=self._socket, limit=sockets.LONGEST_LINE
        )

    async def close(self) -> None:
        """No further view; those that are there get what is left to tell."""
        if self._server is not None:
            self._server.close()
        if self._views:
            await asyncio.wait(self._views, timeout=LAST_WORDS)
        left = list(self._views)
        for view in left:
            view.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = writer.get_extra_info("socket")
        self._views.add(task)
        self.changed.set()
        try:
            if sockets.peer_uid(connection) == os.geteuid():
                await _View(self._engine, reader, writer).attend()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass  # it went away; the engine does not mind
        finally:
            # One that does not read would never take what is still to be sent.
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._views.discard(task)
            self.changed.set()


class _View:
    """One connection."""

    def __init__(
        self, engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._writer = writer
        self._replies: set[asyncio.Task[None]] = set()
        self._refusal = "say hello first"
        self._subscribed = asyncio.Event()
        self._cursor = 0
        self._bell = asyncio.Event()

    async def attend(self) -> None:
        """Ends when the view goes, or when it has all and the engine is over."""
        self._engine.recorder.listen(self._bell)
        self._engine.board.listen(self._bell)
        over = asyncio.create_task(self._engine.over.wait())
        over.add_done_callback(lambda _: self._bell.set())
        await self._send(self._hello())
        listening = asyncio.create_task(self._listen())
        sending = asyncio.create_task(self._stream())
        try:
            await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                await asyncio.gather(*self._replies)  # answers before the farewell
        finally:
            for task in (over, listening, sending, *self._replies):
                task.cancel()
            await asyncio.gather(over, listening, sending, *self._replies, return_exceptions=True)
            self._engine.recorder.leave(self._bell)
            self._engine.board.leave(self._bell)

    def _hello(self) -> dict[str, Any]:
        engine = self._engine
        return {
            "type": "hello",
            "protocol": PROTOCOL,
            "product": PRODUCT_VERSION,
            "run": engine.recorder.state.run,
            "seq": engine.recorder.seq,
            "pid": os.getpid(),
            "started": engine.started,
            "unlocked": engine.work is not None,
            "repairs": list(engine.repairs),
        }

    async def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(sockets.packed(message))
        await self._writer.drain()

    async def _listen(self) -> None:
        while True:
            try:
                message = await sockets.received(self._reader)
                if message is None:
                    return
                self._heard(message)
            except (ValueError, KeyError, TypeError):
                return  # not one of ours: nothing sensible can be answered

    def _heard(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "hello":
                self._refusal = _refusal(message)
            case "subscribe":
                self._cursor = int(message["from"])
                self._subscribed.set()
            case "command":
                command = Command.from_json(message["command"])
                reply = asyncio.create_task(self._reply(command))
                self._replies.add(reply)
                reply.add_done_callback(self._replies.discard)

    async def _reply(self, command: Command) -> None:
        if self._refusal:
            seq = self._engine.recorder.seq
            reply = Reply(command.id, seq, self._refusal, (), ENGINE_VERSION)
        else:
            reply = await self._engine.desk.take(command)
        await self._send({"type": "reply", "reply": reply.to_json()})

    async def _stream(self) -> None:
        """Records as they come; news batched, so that a chatty step does not flood a terminal."""
        engine = self._engine
        await self._subscription()
        loop = asyncio.get_running_loop()
        shown, due = 0, 0.0
        ending = False
        while not ending:
            self._bell.clear()
            ending = engine.over.is_set()
            if self._subscribed.is_set():
                await self._send_records()
                if loop.time() >= due or ending:
                    shown, news = engine.board.news(shown)
                    for item in news:
                        await self._send({"type": "progress", "progress": item.to_json()})
                    due = loop.time() + PROGRESS_EVERY
                elif engine.board.news(shown)[1]:
                    loop.call_at(due, self._bell.set)
            if not ending:
                await self._bell.wait()
        await self._send(
            {
                "type": "end",
                "status": engine.recorder.state.status.value,
                "error": engine.error.to_json() if engine.error else None,
            }
        )

    async def _subscription(self) -> None:
        """Returns when the view subscribed, or when the engine is over and it did not in time."""
        over = asyncio.create_task(self._engine.over.wait())
        subscribed = asyncio.create_task(self._subscribed.wait())
        try:
            await asyncio.wait({over, subscribed}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({subscribed}, timeout=SUBSCRIBE)
        finally:
            over.cancel()
            subscribed.cancel()

    async def _send_records(self) -> None:
        for record in self._engine.recorder.after(self._cursor):
            await self._send({"type": "record", "record": record.to_json()})
            self._cursor = record.seq


def _refusal(hello: dict[str, Any]) -> str:
    """Why this view may only look; empty if it may command."""
    if hello.get("protocol") != PROTOCOL or hello.get("product") != PRODUCT_VERSION:
        return (
            f"the engine is version {PRODUCT_VERSION} (protocol {PROTOCOL}), the view is "
            f"{hello.get('product')} (protocol {hello.get('protocol')}): it may only look on"
        )
    return ""
