"""Views of an engine in this process, at its real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from installer.core import events as ev
from installer.core.commands import Reply, Verb
from installer.engine import sockets
from installer.engine.client import EngineClient, News
from installer.engine.server import Server
from tests.unit.engine.house import PATIENCE, House

FORK: dict[str, tuple[str, ...]] = {"left": (), "right": (), "after": ("left",)}


@asynccontextmanager
async def served(directory: Path, house: House) -> AsyncIterator[Server]:
    server = Server(house.engine, sockets.listening(directory))
    await server.open()
    try:
        yield server
    finally:
        house.engine.over.set()
        await asyncio.wait_for(server.close(), PATIENCE)
        await asyncio.wait_for(house.engine.close(), PATIENCE)
        house.journal.close()


async def ask(client: EngineClient, verb: Verb, **given: object) -> Reply:
    return await asyncio.wait_for(client.command(verb, **given), PATIENCE)  # type: ignore[arg-type]  # passed on


async def begin(client: EngineClient) -> None:
    unlocked = await ask(client, Verb.UNLOCK, params={"secret": "open"})
    params = {"digest": unlocked.data["digest"]}
    assert (await ask(client, Verb.START, by="anna", params=params)).refused == ""


async def all_news(client: EngineClient) -> list[News]:
    async with asyncio.timeout(PATIENCE):
        return [item async for item in client.news()]


async def read_until(client: EngineClient, kind: type[ev.Event], step: str = "") -> ev.Recorded:
    async with asyncio.timeout(PATIENCE):
        async for item in client.news():
            if (
                isinstance(item, ev.Recorded)
                and isinstance(item.event, kind)
                and (not step or getattr(item.event, "step", "") == step)
            ):
                return item
    raise AssertionError(f"no {kind.type}")
