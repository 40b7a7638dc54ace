"""A view's end of the engine's socket."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from installer.core.commands import PROTOCOL, Command, Reply, Verb
from installer.core.errors import ErrorReport, ExitCode, InstallError
from installer.core.events import Progress, Recorded
from installer.core.version import PRODUCT_VERSION
from installer.engine import sockets


@dataclass(frozen=True)
class Hello:
    """How the engine introduced itself. ``repairs`` are lines to show (a torn journal was cut)."""

    protocol: int
    product: str
    run: int
    seq: int
    pid: int
    started: bool
    unlocked: bool
    repairs: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """The engine's farewell: the run's status, and an error that the journal could not take."""

    status: str
    error: ErrorReport | None = None


News: TypeAlias = Recorded | Progress | Ended


class EngineClient:
    """Made by :meth:`connect`. One reader of :meth:`news` at a time."""

    def __init__(
        self, hello: Hello, after: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.hello = hello
        self.seen = after  # last record that the operator can have looked at; news() moves it on
        self._reader = reader
        self._writer = writer
        self._news: asyncio.Queue[News | None] = asyncio.Queue()
        self._asked: dict[str, asyncio.Future[Reply]] = {}
        self._gone = False
        self._pump = asyncio.create_task(self._read())

    @classmethod
    async def connect(
        cls, directory: Path, *, after: int = 0, within: float = 10
    ) -> "EngineClient":
        """Attaches to the directory's engine and subscribes to the records behind ``after``
        (the last one that the view has read from the journal itself).

        ``within``: seconds for its greeting. Raises InstallError: NO-ENGINE when none listens,
        ENGINE-VERSION when it speaks another protocol.
        """
        try:
            made = sockets.connected(directory)
        except OSError as error:
            raise no_engine(directory) from error
        reader, writer = await asyncio.open_unix_connection(sock=made, limit=sockets.LONGEST_LINE)
        try:
            async with asyncio.timeout(within):
                greeting = await sockets.received(reader)
                if greeting is None:
                    raise no_engine(directory)
                hello = _hello(greeting)
                mine = {"type": "hello", "protocol": PROTOCOL, "product": PRODUCT_VERSION}
                writer.write(sockets.packed(mine))
                writer.write(sockets.packed({"type": "subscribe", "from": after}))
                await writer.drain()
        except (TimeoutError, ValueError, KeyError, TypeError, ConnectionError) as error:
            writer.close()
            raise no_engine(directory) from error
        except InstallError:
            writer.close()
            raise
        return cls(hello, after, reader, writer)

    async def news(self) -> AsyncIterator[News]:
        """Records and progress as they come. Ended is the last item; without it the engine died
        or the connection was closed."""
        while (item := await self._news.get()) is not None:
            if isinstance(item, Recorded):
                self.seen = item.seq
            yield item

    async def command(
        self,
        verb: Verb,
        *,
        by: str = "",
        step: str = "",
        params: Mapping[str, Any] | None = None,
        seen: int | None = None,
        id: str = "",
    ) -> Reply:
        """Asks and waits for the reply, however long it takes (``unlock`` may).

        ``seen`` is the last record that the operator could look at, by default :attr:`seen`.
        Raises InstallError ENGINE-GONE when the connection ends before the reply.
        """
        seen = self.seen if seen is None else seen
        command = Command(id or uuid.uuid4().hex, verb, seen, by, step, params)
        if self._gone:
            raise engine_gone()
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[command.id] = reply
        try:
            self._writer.write(sockets.packed({"type": "command", "command": command.to_json()}))
            await self._writer.drain()
            return await reply
        except ConnectionError as error:
            raise engine_gone() from error
        finally:
            self._asked.pop(command.id, None)
            reply.cancel()  # where the write failed, nobody waits for it any more

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def __aenter__(self) -> "EngineClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self) -> None:
        try:
            while (message := await sockets.received(self._reader)) is not None:
                self._heard(message)
        finally:
            self._gone = True
            self._news.put_nowait(None)
            for reply in self._asked.values():
                if not reply.done():
                    reply.set_exception(engine_gone())

    def _heard(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "record":
                self._news.put_nowait(Recorded.from_json(message["record"]))
            case "progress":
                self._news.put_nowait(Progress.from_json(message["progress"]))
            case "reply":
                reply = Reply.from_json(message["reply"])
                future = self._asked.get(reply.id)
                if future is not None and not future.done():
                    future.set_result(reply)
            case "end":
                error = message["error"]
                report = ErrorReport.from_json(error) if error else None
                self._news.put_nowait(Ended(message["status"], report))


def _hello(message: Mapping[str, Any]) -> Hello:
    hello = Hello(
        protocol=int(message["protocol"]),
        product=str(message["product"]),
        run=int(message.get("run", 0)),
        seq=int(message.get("seq", 0)),
        pid=int(message.get("pid", 0)),
        started=bool(message.get("started")),
        unlocked=bool(message.get("unlocked")),
        repairs=tuple(str(line) for line in message.get("repairs", ())),
    )
    if hello.protocol != PROTOCOL:
        raise InstallError(
            "ENGINE-VERSION",
            "The running engine is of another version",
            f"It is {hello.product} and speaks protocol {hello.protocol}; this is "
            f"{PRODUCT_VERSION} with protocol {PROTOCOL}.",
            "Attach with the version that started it, or wait for its end.",
            exit_code=ExitCode.LOCKED,
        )
    return hello


def no_engine(directory: Path) -> InstallError:
    return InstallError(
        "NO-ENGINE",
        "No engine is at work in this directory",
        f"Nothing answers at {directory / sockets.NAME}.",
        "Start or resume the install in that directory.",
        retryable=True,
    )


def engine_gone() -> InstallError:
    return InstallError(
        "ENGINE-GONE",
        "The engine ended before it answered",
        "Its socket was closed. What it did is in the journal.",
        "Look at logs/engine.log in the install's directory, then resume.",
        retryable=True,
        exit_code=ExitCode.FAILED,
    )
