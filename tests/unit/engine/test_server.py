"""Views at the socket: greeting, streams, commands, and what they may not do."""

import asyncio
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from installer.core import events as ev
from installer.core.commands import PROTOCOL
from installer.core.errors import InstallError
from installer.core.version import PRODUCT_VERSION
from installer.engine import sockets
from installer.engine.client import Ended, EngineClient
from installer.engine.server import PROGRESS_EVERY
from tests.unit.engine.house import PATIENCE, House
from tests.unit.engine.views import FORK, all_news, begin, read_until, served
from tests.unit.engine.world import FarEnd, FileStep, steps_of, work_of


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, FileStep]:
    return steps_of(FarEnd(tmp_path / "far"), shape=FORK)


async def test_a_view_follows_a_run_from_its_unlocking_to_its_end(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        hello = client.hello
        assert (hello.protocol, hello.product, hello.pid) == (
            PROTOCOL,
            PRODUCT_VERSION,
            os.getpid(),
        )
        assert (hello.run, hello.seq, hello.started, hello.unlocked) == (0, 0, False, False)
        await begin(client)
        news = await all_news(client)
        await client.close()
    assert news[-1] == Ended("finished")
    assert [item for item in news if isinstance(item, ev.Recorded)] == house.recorder.recent
    assert house.secrets == ["open"]


async def test_two_views_see_the_same_stream_and_a_late_one_too(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    hold = asyncio.Event()
    steps["left"].hold = hold
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        first = await EngineClient.connect(tmp_path)
        second = await EngineClient.connect(tmp_path)
        await begin(first)
        await read_until(second, ev.StepWaiting)
        late = await EngineClient.connect(tmp_path, after=2)
        async with asyncio.timeout(PATIENCE):
            async for item in late.news():  # what it waits for is told to a late view as well
                if isinstance(item, ev.Progress):
                    assert (item.kind, item.text) == ("waiting", "the hold: not yet")
                    break
        hold.set()
        ends = await asyncio.gather(*(all_news(view) for view in (first, second, late)))
        for view in (first, second, late):
            await view.close()
    records = [[i for i in news if isinstance(i, ev.Recorded)] for news in ends]
    recent = house.recorder.recent
    assert records[0] == recent
    assert recent[-len(records[1]) :] == records[1]
    assert recent[-len(records[2]) :] == records[2]
    assert [news[-1] for news in ends] == [Ended("finished")] * 3


async def test_records_of_earlier_engines_are_replayed_from_the_files(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.end()
    again = House(tmp_path, work_of(steps))
    async with served(tmp_path, again):
        client = await EngineClient.connect(tmp_path, after=3)
        await begin(client)
        news = await all_news(client)
        await client.close()
    seqs = [item.seq for item in news if isinstance(item, ev.Recorded)]
    assert seqs == list(range(4, again.recorder.seq + 1))


@pytest.mark.parametrize(
    "hello",
    [{"protocol": PROTOCOL, "product": "9.9"}, {"protocol": 99, "product": PRODUCT_VERSION}, None],
)
async def test_a_view_of_another_version_may_look_but_not_command(
    tmp_path: Path, steps: dict[str, FileStep], hello: dict[str, object] | None
) -> None:
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        reader, writer = await asyncio.open_unix_connection(sock=sockets.connected(tmp_path))
        assert (await sockets.received(reader) or {})["type"] == "hello"
        if hello:
            writer.write(sockets.packed({"type": "hello", **hello}))
        command = {"id": "1", "verb": "abort", "seen": 0}
        writer.write(sockets.packed({"type": "command", "command": command}))
        message = await asyncio.wait_for(sockets.received(reader), PATIENCE) or {}
        assert (message["type"], message["reply"]["code"]) == ("reply", "ENGINE-VERSION")
        assert not house.engine.over.is_set()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("line", [b"[]\n", b"nonsense\n", b'{"type":"command"}\n', b'{"a":1}\n'])
async def test_nonsense_only_ends_that_connection(
    tmp_path: Path, steps: dict[str, FileStep], line: bytes
) -> None:
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        reader, writer = await asyncio.open_unix_connection(sock=sockets.connected(tmp_path))
        writer.write(line)
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
        await writer.wait_closed()
        client = await EngineClient.connect(tmp_path)
        await begin(client)
        assert (await all_news(client))[-1] == Ended("finished")
        await client.close()


async def test_an_engine_of_another_protocol_is_not_attached_to(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            json.dumps({"type": "hello", "protocol": 2, "product": "9.9"}).encode() + b"\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(greet, sock=sockets.listening(tmp_path))
    async with server:
        with pytest.raises(InstallError, match="ENGINE-VERSION"):
            await EngineClient.connect(tmp_path)


async def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="NO-ENGINE"):
        await EngineClient.connect(tmp_path)
    sockets.listening(tmp_path).close()  # a killed engine leaves its name behind
    with pytest.raises(InstallError, match="NO-ENGINE"):
        await EngineClient.connect(tmp_path)
    sockets.listening(tmp_path).close()  # and the next one takes it over


def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = sockets.listening(tmp_path)
    finally:
        os.umask(before)
    with made:
        assert stat.S_IMODE((tmp_path / sockets.NAME).stat().st_mode) == 0o600


def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with sockets.listening(deep), sockets.connected(deep) as view:
        assert sockets.peer_uid(view) == os.geteuid()
        assert (deep / sockets.NAME).is_socket()


async def test_another_user_is_shown_the_door(
    tmp_path: Path, steps: dict[str, FileStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(connection: socket.socket) -> int:
        return os.geteuid() + 1

    monkeypatch.setattr(sockets, "peer_uid", other)
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        with pytest.raises(InstallError, match="NO-ENGINE"):
            await EngineClient.connect(tmp_path)


async def test_news_are_batched_and_only_the_newest_is_sent(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        loop = asyncio.get_running_loop()
        began = loop.time()
        client = await EngineClient.connect(tmp_path)
        for number in range(5000):
            house.board.put("bytes", "left", str(number))
            if number % 10 == 0:
                await asyncio.sleep(0)
        house.engine.over.set()
        batches = 2 + (loop.time() - began) / PROGRESS_EVERY
        texts = [i.text for i in await all_news(client) if isinstance(i, ev.Progress)]
        await client.close()
    assert texts[-1] == "4999"
    assert len(texts) <= batches


async def test_a_view_that_does_not_read_does_not_hold_the_engine(
    tmp_path: Path, steps: dict[str, FileStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installer.engine.server.LAST_WORDS", 0.1)
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        deaf = sockets.connected(tmp_path)  # never reads
        deaf.setblocking(True)
        deaf.sendall(sockets.packed({"type": "subscribe", "from": 0}))
        client = await EngineClient.connect(tmp_path)
        for number in range(400):
            house.board.put("log", "left", f"{number}" + "x" * 10_000)
        await begin(client)
        assert (await all_news(client))[-1] == Ended("finished")
        await client.close()
    deaf.close()
