"""The cluster's lock on a real API server: races, takeovers, fences."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.holder import Holder
from installer.cluster.lease import ClusterLease, lease_ref
from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from installer.core.objects import ObjectRef
from tests.cluster.clients import connected
from tests.lab.control_plane import ControlPlane


@pytest.fixture
async def client(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[ApiClient]:
    async with connected(control_plane.admin_kubeconfig(tmp_path / "kc")) as made:
        yield made


@pytest.fixture
async def install(client: ApiClient, namespace: str) -> AsyncIterator[str]:
    """An install id of this test's own; its control namespace goes when the test is over."""
    name = namespace.removeprefix("test-")
    yield name
    await client.delete(ObjectRef("v1", "Namespace", "", f"{name}-install"))


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder.here(tmp_path, run="run-1", install_uid="uid-1")


def elsewhere(holder: Holder, host: str) -> Holder:
    return replace(holder, host=host, boot=host, directory=host)


def lease(client: ApiClient, install: str, holder: Holder, **options: Any) -> ClusterLease:
    return ClusterLease(client, install_id=install, holder=holder, **options)


async def test_of_four_racers_one_wins_and_the_others_are_told_its_name(
    client: ApiClient, install: str, holder: Holder
) -> None:
    racers = [lease(client, install, elsewhere(holder, f"ws{n}")) for n in range(4)]
    ends = await asyncio.gather(*(r.acquire() for r in racers), return_exceptions=True)
    winners = [racer for racer, end in zip(racers, ends, strict=True) if end is None]
    assert len(winners) == 1
    assert winners[0].still_held()
    found = await client.get(lease_ref(install))
    assert found is not None
    who = found["spec"]["holderIdentity"]
    for end in ends:
        if end is not None:
            assert isinstance(end, InstallError)
            assert end.code == "LOCKED"
            assert who in end.cause
    await winners[0].release()
    assert await client.get(lease_ref(install)) is None


async def test_a_silent_holder_is_replaced_after_its_whole_duration_and_notices(
    client: ApiClient, install: str, holder: Holder
) -> None:
    quick = {"duration": 4.0, "renew_every": 1.0, "write_reserve": 1.0}
    paused = lease(client, install, elsewhere(holder, "ws1"), **quick)
    await paused.acquire()
    clock = SystemClock()
    await clock.sleep(2)  # past what counts as renewed just now
    assert paused.still_held()
    started = clock.monotonic()
    heir = lease(client, install, elsewhere(holder, "ws2"), **quick)
    await heir.acquire()
    assert clock.monotonic() - started >= 4
    assert heir.still_held()
    assert not paused.still_held()
    with pytest.raises(InstallError) as caught:
        await paused.keep()
    assert caught.value.code == "LEASE-LOST"
    assert "ws2" in caught.value.cause
    await heir.release()


async def test_a_holder_that_renews_is_never_replaced(
    client: ApiClient, install: str, holder: Holder
) -> None:
    quick = {"duration": 4.0, "renew_every": 1.0, "write_reserve": 1.0}
    alive = lease(client, install, elsewhere(holder, "ws1"), **quick)
    await alive.acquire()
    keeping = asyncio.create_task(alive.keep())
    other = lease(client, install, elsewhere(holder, "ws2"), **quick)
    for _ in range(3):
        with pytest.raises(InstallError) as caught:
            await other.acquire()
        assert caught.value.code == "LOCKED"
    assert alive.still_held()
    keeping.cancel()
    await alive.release()


async def test_a_resumed_run_of_the_same_directory_goes_on_at_once(
    client: ApiClient, install: str, holder: Holder
) -> None:
    killed = lease(client, install, replace(holder, pid=2**22 - 1, started="1"))
    await killed.acquire()
    clock = SystemClock()
    started = clock.monotonic()
    resumed = lease(client, install, replace(holder, run="run-2"))
    await resumed.acquire()
    assert clock.monotonic() - started < 30
    assert resumed.still_held()
    await resumed.release()


async def test_a_second_install_of_the_same_id_is_refused(
    client: ApiClient, install: str, holder: Holder
) -> None:
    first = lease(client, install, holder)
    await first.acquire()
    second = lease(client, install, replace(elsewhere(holder, "ws2"), install_uid="uid-2"))
    with pytest.raises(InstallError) as caught:
        await second.acquire()
    assert caught.value.code == "FOREIGN-OWNER"
    assert "uid-1" in caught.value.cause
    await first.release()
