"""The client while the control plane fails: killed, frozen, overloaded, forgetful."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.concurrency import AdaptiveLimit, RetryBudget
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.informer import Informer, Informers, Key
from installer.core.clock import SystemClock
from installer.core.objects import Manifest, ObjectRef
from tests.cluster.clients import connected
from tests.lab.control_plane import APISERVER, ControlPlane

pytestmark = pytest.mark.timeout(120)

Planes = Callable[..., ControlPlane]


@pytest.fixture
def plane(private_control_plane: Planes) -> ControlPlane:
    return private_control_plane(controllers=False, kubelets=False)


def config_map(number: int, **data: str) -> Manifest:
    meta = {"name": f"n{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def apply_all(client: ApiClient, count: int, limit: AdaptiveLimit, **data: str) -> list[str]:
    """Applies so many objects side by side; the codes of what was repeated."""
    budget = RetryBudget(SystemClock(), seconds=60)
    repeated: list[str] = []

    async def one(number: int) -> None:
        async def write() -> None:
            async with limit.slot():
                await client.apply(config_map(number, **data))

        await budget.run(write, on_wait=lambda failed, _: repeated.append(failed.code))

    await asyncio.gather(*(one(number) for number in range(count)))
    return repeated


async def everything_there(client: ApiClient, count: int, **data: str) -> None:
    listing = await client.list("v1", "ConfigMap", namespace="default")
    ours = [item for item in listing.items if item["metadata"]["name"].startswith("n")]
    assert len(ours) == count
    assert all(item["data"] == data for item in ours)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_the_api_server_ends_in_the_middle_of_a_wave(
    plane: ControlPlane, tmp_path: Path, signum: signal.Signals
) -> None:
    async with (
        connected(plane.admin_kubeconfig(tmp_path / "kc")) as client,
        Informers(client) as informers,
    ):
        informer = informers.of("v1", "ConfigMap", namespace="default")
        await informer.wait_for(lambda _: informer.synced, 30)
        wave = asyncio.create_task(apply_all(client, 400, AdaptiveLimit(), wave="one"))
        await informer.wait_for(lambda objects: len(objects) > 20, 30)
        await asyncio.to_thread(plane.restart_apiserver, signum=signum)
        repeated = await wave
        await everything_there(client, 400, wave="one")
        await informer.wait_for(lambda objects: count_of(objects, "one") == 400, 60)
    assert repeated


def count_of(objects: Mapping[Key, Manifest], wave: str) -> int:
    return sum((item.get("data") or {}).get("wave") == wave for item in objects.values())


async def test_a_storm_of_429_is_ridden_out_slower(plane: ControlPlane, tmp_path: Path) -> None:
    await asyncio.to_thread(
        plane.restart_apiserver,
        "--enable-priority-and-fairness=false",
        "--max-mutating-requests-inflight=1",
    )
    limit = AdaptiveLimit()
    lowest = 8

    async def watch_limit() -> None:
        nonlocal lowest
        clock = SystemClock()
        while True:
            lowest = min(lowest, limit.limit)
            await clock.sleep(0.005)

    async with connected(plane.admin_kubeconfig(tmp_path / "kc")) as client:
        watcher = asyncio.create_task(watch_limit())
        repeated = await apply_all(client, 60, limit, wave="storm")
        watcher.cancel()
        await everything_there(client, 60, wave="storm")
    assert "API-OVERLOAD" in repeated
    assert lowest < 8


async def test_a_frozen_api_server_is_noticed_and_forgiven(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async with connected(plane.admin_kubeconfig(tmp_path / "kc")) as client:
        await client.apply(config_map(1, k="v"))
        with plane.frozen(APISERVER):
            with pytest.raises(ApiFailure) as caught:
                await client.apply(config_map(1, k="w"), within=1)
            with pytest.raises(ApiFailure):
                await client.request("GET", "/version", within=1)
        assert caught.value.kind is FailureKind.NO_ANSWER
        assert caught.value.verdict.outcome_unknown
        done = await RetryBudget(SystemClock()).run(lambda: client.apply(config_map(1, k="w")))
    assert done["data"] == {"k": "w"}


async def test_a_write_outlasts_an_etcd_that_hangs(plane: ControlPlane, tmp_path: Path) -> None:
    async with connected(plane.admin_kubeconfig(tmp_path / "kc")) as client:
        await client.apply(config_map(1, k="v"))
        plane.freeze("etcd-0")
        try:
            write = asyncio.create_task(client.apply(config_map(1, k="w")))
            done, _ = await asyncio.wait({write}, timeout=4)
            assert not done
        finally:
            plane.thaw("etcd-0")
        assert (await write)["data"] == {"k": "w"}


async def test_an_informer_goes_on_after_its_version_was_forgotten(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async with connected(plane.admin_kubeconfig(tmp_path / "kc")) as client:
        informer = Informer(client, "v1", "ConfigMap", namespace="default")
        lists = 0
        listed = client.list

        async def counted(*names: str, **options: Any) -> object:
            nonlocal lists
            lists += 1
            return await listed(*names, **options)

        client.list = counted  # type: ignore[assignment, method-assign]  # counts, then asks
        informer.start()
        try:
            await client.apply(config_map(1, k="before"))
            await informer.wait_for(lambda objects: ("default", "n1") in objects, 30)
            before = lists
            await asyncio.to_thread(plane.expire_versions)
            budget = RetryBudget(SystemClock())
            await budget.run(lambda: client.apply(config_map(2, k="after")))
            await informer.wait_for(lambda objects: ("default", "n2") in objects, 60)
            assert ("default", "n1") in informer.objects
            assert lists - before == 1
        finally:
            await informer.stop()


async def test_the_outcome_of_a_refused_connection_is_known(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async with connected(plane.admin_kubeconfig(tmp_path / "kc")) as client:
        await client.apply(config_map(1, k="v"))
        await asyncio.to_thread(plane.stop_apiserver, signal.SIGKILL)
        failures = []
        for _ in range(10):
            with pytest.raises(ApiFailure) as caught:
                await client.apply(config_map(1, k="w"))
            failures.append(caught.value)
        await asyncio.to_thread(plane.start_apiserver)
        assert await client.get(ObjectRef("v1", "ConfigMap", "default", "n1")) is not None
    assert failures[-1].kind is FailureKind.REFUSED
    assert not failures[-1].verdict.outcome_unknown
