"""Informers: what they show, and how they go on after each way a watch can end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.credentials import Grant
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.informer import Informer, Informers, Key
from installer.cluster.target import ClusterTarget
from installer.core.errors import InstallError
from installer.core.objects import Manifest
from tests.lab.fixed_credentials import FixedCredentials
from tests.unit.cluster.fake_api import FakeApi, Handler, Reply, Request, fake_api, status
from tests.unit.cluster.quick_clock import QuickClock

# On the quick clock: about twenty real seconds of a test that would otherwise wait for ever.
LONG = 50_000


def config_map(name: str, version: int, **data: str) -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "ns", "resourceVersion": str(version)},
        "data": data,
    }


def event(kind: str, what: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": what}).encode() + b"\n"


def listing(version: int, *items: Manifest) -> Reply:
    return Reply(data={"metadata": {"resourceVersion": str(version)}, "items": list(items)})


def stream(*parts: bytes, hold: asyncio.Event | None = None, cut: bool = False) -> Reply:
    """A watch that sends ``parts`` and then ends, or stays open until ``hold`` is set."""

    async def send() -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if hold is not None:
            await hold.wait()

    return Reply(parts=send(), cut=cut)


@asynccontextmanager
async def following(handler: Handler, **options: Any) -> AsyncIterator[tuple[Informer, FakeApi]]:
    async with fake_api(handler) as api:
        target = ClusterTarget("t", f"http://127.0.0.1:{api.port}", FixedCredentials(Grant()))
        async with ApiClient(target, clock=QuickClock()) as client:
            informer = Informer(client, "v1", "ConfigMap", **options)
            informer.start()
            try:
                yield informer, api
            finally:
                await informer.stop()


def has(name: str, **data: str) -> Callable[[Mapping[Key, Manifest]], bool]:
    return lambda objects: ("ns", name) in objects and objects["ns", name]["data"] == data


def watches(api: FakeApi) -> list[Request]:
    return [request for request in api.calls("GET") if "watch" in request.params]


def lists(api: FakeApi) -> list[Request]:
    return [request for request in api.calls("GET") if "watch" not in request.params]


async def test_it_shows_what_was_listed_and_what_changed_since() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if "watch" not in request.params:
            return listing(5, config_map("a", 3), config_map("b", 4))
        return stream(
            event("MODIFIED", config_map("a", 6, x="1")),
            event("DELETED", config_map("b", 7)),
            event("ADDED", config_map("c", 8)),
            hold=hold,
        )

    async with following(handler) as (informer, api):
        await informer.wait_for(has("c"), LONG)
        assert sorted(name for _, name in informer.objects) == ["a", "c"]
        assert informer.objects["ns", "a"]["data"] == {"x": "1"}
        assert not informer.stale
        hold.set()
    assert watches(api)[0].params["resourceVersion"] == "5"
    assert watches(api)[0].params["allowWatchBookmarks"] == "true"


async def test_a_watch_that_ends_goes_on_from_the_last_bookmark() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if "watch" not in request.params:
            return listing(5)
        if request.params["resourceVersion"] == "5":
            return stream(event("BOOKMARK", {"metadata": {"resourceVersion": "40"}}))
        return stream(event("ADDED", config_map("late", 41)), hold=hold)

    async with following(handler) as (informer, api):
        await informer.wait_for(has("late"), LONG)
        hold.set()
    assert [request.params["resourceVersion"] for request in watches(api)[:2]] == ["5", "40"]
    assert len(lists(api)) == 1


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_version_that_is_too_old_means_one_list(how: str) -> None:
    hold = asyncio.Event()
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    async def handler(request: Request) -> Reply:
        if "watch" not in request.params:
            return listing(5 if not watches(api) else 90)
        if request.params["resourceVersion"] == "5":
            return (
                status(410, "Expired", "too old")
                if how == "status"
                else stream(event("ERROR", gone))
            )
        return stream(event("ADDED", config_map("new", 91)), hold=hold)

    async with following(handler) as (informer, api):
        await informer.wait_for(has("new"), LONG)
        hold.set()
    assert len(lists(api)) == 2


async def test_a_storm_of_410_pauses_longer_each_time() -> None:
    async def handler(request: Request) -> Reply:
        if "watch" not in request.params:
            return listing(5)
        return status(410, "Expired", "too old")

    async with following(handler) as (informer, _):
        clock = informer._clock
        assert isinstance(clock, QuickClock)
        await clock.slept_times(8)
        pauses = [pause for pause in clock.sleeps if pause > 0][:8]
    assert pauses[-1] > 4 * pauses[0]
    assert sum(pauses) > 10
    assert max(pauses) <= 10


async def test_silence_ends_a_watch() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if "watch" not in request.params:
            return listing(5)
        if len(watches(api)) < 3:
            return stream(hold=hold)
        return stream(event("ADDED", config_map("after", 6)), hold=hold)

    async with following(handler, idle_timeout=0.05) as (informer, api):
        await informer.wait_for(has("after"), LONG)
        hold.set()
    assert len(lists(api)) == 1


async def test_a_broken_stream_goes_on_and_its_half_line_counts_for_nothing() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if "watch" not in request.params:
            return listing(5)
        if len(watches(api)) == 1:
            whole = event("ADDED", config_map("a", 6))
            return stream(whole, event("ADDED", config_map("b", 7))[:30], cut=True)
        return stream(event("ADDED", config_map("b", 7)), hold=hold)

    async with following(handler) as (informer, api):
        await informer.wait_for(has("b"), LONG)
        hold.set()
    assert watches(api)[1].params["resourceVersion"] == "6"


async def test_a_503_anywhere_closes_open_watches() -> None:
    hold = asyncio.Event()
    opened = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if request.path.endswith("/pods"):
            return status(503, "ServiceUnavailable", "shutting down")
        if "watch" not in request.params:
            return listing(5)
        if len(watches(api)) == 1:
            opened.set()
            return stream(event("ADDED", config_map("a", 6)), hold=hold)
        return stream(event("ADDED", config_map("b", 7)), hold=hold)

    async with following(handler) as (informer, api):
        await informer.wait_for(has("a"), LONG)
        await informer._client.request("GET", "/api/v1/pods")
        await informer.wait_for(has("b"), LONG)
        hold.set()
    assert len(watches(api)) == 2


async def test_a_kind_that_may_not_be_listed_is_told_to_who_waits() -> None:
    async def handler(request: Request) -> Reply:
        return status(403, "Forbidden", 'User "u" cannot list resource "configmaps"')

    async with following(handler) as (informer, _):
        with pytest.raises(ApiFailure) as caught:
            await informer.wait_for(has("x"), LONG)
    assert caught.value.kind is FailureKind.FORBIDDEN


async def test_a_refusal_that_passes_is_waited_out() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if len(lists(api)) == 1:
            return status(403, "Forbidden", "RBAC: clusterrole not found")
        if "watch" not in request.params:
            return listing(5, config_map("a", 3))
        return stream(hold=hold)

    async with following(handler) as (informer, api):
        await informer.wait_for(has("a"), LONG)
        assert informer.failure is None
        hold.set()


async def test_credentials_that_cannot_be_had_for_a_while_do_not_end_it() -> None:
    class Moody(FixedCredentials):
        asked = 0

        async def current(self) -> Grant:
            self.asked += 1
            if self.asked in (2, 3):
                raise InstallError("KUBECONFIG-EXEC", "no", "the plugin failed", "log in")
            return Grant()

    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if "watch" in request.params:
            return stream(hold=hold)
        return listing(5, config_map("a", 1))

    async with fake_api(handler) as api:
        target = ClusterTarget("t", f"http://127.0.0.1:{api.port}", Moody(Grant()))
        async with ApiClient(target, clock=QuickClock()) as client, Informers(client) as informers:
            await informers.of("v1", "ConfigMap").wait_for(has("a"), LONG)
            hold.set()


async def test_waiting_ends_with_the_time_and_with_what_the_rule_raises() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        return stream(hold=hold) if "watch" in request.params else listing(5)

    def fails(_: Mapping[Key, Manifest]) -> bool:
        raise LookupError("the rule says so")

    async with following(handler) as (informer, _):
        with pytest.raises(TimeoutError, match="ConfigMap"):
            await informer.wait_for(has("never"), 20)
        with pytest.raises(LookupError):
            await informer.wait_for(fails, 20)
        hold.set()


async def test_one_informer_serves_all_who_ask_for_a_kind() -> None:
    hold = asyncio.Event()

    async def handler(request: Request) -> Reply:
        return stream(hold=hold) if "watch" in request.params else listing(5, config_map("a", 1))

    async with fake_api(handler) as api:
        target = ClusterTarget("t", f"http://127.0.0.1:{api.port}", FixedCredentials(Grant()))
        async with (
            ApiClient(target, clock=QuickClock()) as client,
            Informers(client) as informers,
        ):
            first, second = informers.of("v1", "ConfigMap"), informers.of("v1", "ConfigMap")
            assert first is second
            await asyncio.gather(first.wait_for(has("a"), LONG), second.wait_for(has("a"), LONG))
        hold.set()
    assert len(lists(api)) == 1
