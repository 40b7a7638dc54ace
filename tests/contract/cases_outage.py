"""Overload, restart, and a server or its database that says nothing."""

import asyncio
import time

import httpx
import pytest

from tests.contract.client import Client, collection, path_of
from tests.contract.objects import config_map

WAVE = 24
FROZEN_SECONDS = 1.5


async def overload(client: Client) -> None:
    """429 in plain text with Retry-After: 1, for writes; reads go on; afterwards all is well."""
    await client.applied(config_map(client.namespace))
    async with client.far_end.overloaded():
        await client.reconnect()
        answer = await client.apply(config_map(client.namespace, a="2"))
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"].startswith("text/plain")
        seen = await client.seen(path_of(config_map(client.namespace)))
        assert seen["data"] == {"a": "1"}
    await client.reconnect()
    assert (await client.apply(config_map(client.namespace, a="2"))).status_code == 200


async def restart_in_mid_wave(client: Client) -> None:
    """Killed among writes: what was answered stays, the rest may be sent again; watches break."""
    path = collection("ConfigMap", client.namespace)
    start = (await client.seen(path))["metadata"]["resourceVersion"]
    answered: dict[str, str] = {}
    half = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        broken = tasks.create_task(_watch_until_it_breaks(client, path, start))
        tasks.create_task(_wave(client, answered, half))
        await half.wait()
        await client.far_end.kill()
        kept = dict(answered)
        with pytest.raises(httpx.TransportError):
            await client.get("/readyz", within=5)
        await client.far_end.start()
    assert broken.result()
    await client.reconnect()
    listed = await client.seen(path)
    uids = {item["metadata"]["name"]: item["metadata"]["uid"] for item in listed["items"]}
    assert {name: uids.get(name) for name in kept} == kept
    assert {f"wave-{number}" for number in range(WAVE)} <= set(uids)


async def _watch_until_it_breaks(client: Client, path: str, start: str) -> bool:
    """Whether the watch ended in an error of the connection."""
    try:
        async with client.watch(path, resourceVersion=start) as events:
            async for _ in events:
                pass
    except httpx.TransportError:
        return True
    return False


async def _wave(client: Client, answered: dict[str, str], half: asyncio.Event) -> None:
    """Write all, three at a time, each until it is answered well."""
    limit = asyncio.Semaphore(3)

    async def one(number: int) -> None:
        name = f"wave-{number}"
        async with limit, asyncio.timeout(40):
            while True:
                try:
                    answer = await client.apply(config_map(client.namespace, name), within=5)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.is_success:
                    break
                assert answer.status_code in (403, 429, 500, 503), answer.text
                await asyncio.sleep(0.05)
        answered[name] = answer.json()["metadata"]["uid"]
        if len(answered) >= WAVE // 2:
            half.set()

    async with asyncio.TaskGroup() as tasks:
        for number in range(WAVE):
            tasks.create_task(one(number))


async def frozen_api(client: Client) -> None:
    """No answer on an open connection, no TLS on a new one; after it, as if nothing had been."""
    await client.applied(config_map(client.namespace))
    async with client.far_end.frozen_api():
        with pytest.raises(httpx.TimeoutException):
            await client.get("/readyz", within=FROZEN_SECONDS)
        await client.reconnect()
        with pytest.raises(httpx.TimeoutException):
            await client.get("/readyz", within=FROZEN_SECONDS)
    await client.reconnect()
    done = await client.applied(config_map(client.namespace, a="3"))
    assert done["data"] == {"a": "3"}


async def frozen_store(client: Client) -> None:
    """A write waits for the database, and succeeds."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks, client.far_end.frozen_store():
        write = tasks.create_task(client.apply(config_map(client.namespace)))
        done, _ = await asyncio.wait({write}, timeout=FROZEN_SECONDS)
        assert not done
    answer = write.result()
    assert answer.status_code == 201, answer.text
    assert time.monotonic() - began >= FROZEN_SECONDS
    assert (await client.apply(config_map(client.namespace))).status_code == 200


CASES = (
    overload,
    restart_in_mid_wave,
    frozen_api,
    frozen_store,
)
