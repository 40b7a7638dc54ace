"""Which rights are missing, asked of the API."""

import asyncio
from typing import Any

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.credentials import Grant
from installer.cluster.failures import ApiFailure
from installer.cluster.rights import Right, missing_rights
from installer.cluster.target import ClusterTarget
from installer.core.clock import Clock, SystemClock
from tests.lab.fixed_credentials import FixedCredentials
from tests.unit.cluster.fake_api import FakeApi, Reply, Request, fake_api, status


class HastyClock(SystemClock):
    """Only sleeping takes time, a hundredth of it; sleeps side by side count once."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        awake = self.passed + seconds
        await asyncio.sleep(seconds / 100)
        self.passed = max(self.passed, awake)


async def asked(api: FakeApi, *rights: Right, clock: Clock | None = None) -> Any:
    place = ClusterTarget("t", f"http://127.0.0.1:{api.port}", FixedCredentials(Grant()))
    async with ApiClient(place, clock=clock or SystemClock()) as client:
        return await missing_rights(client, rights)


async def test_what_is_not_allowed_is_listed_once_and_sorted() -> None:
    async def handler(request: Request) -> Reply:
        attributes = request.json()["spec"]["resourceAttributes"]
        allowed = attributes["verb"] == "get"
        return Reply(201, {"status": {"allowed": allowed, "reason": "" if allowed else "no role"}})

    read = Right("get", "", "pods", "ns")
    scale = Right("update", "apps", "deployments/scale", "ns", "web")
    make = Right("create", "", "namespaces")
    async with fake_api(handler) as api:
        missing = await asked(api, scale, read, make, scale)
    assert [entry.right for entry in missing] == [make, scale]
    assert missing[0].reason == "no role"
    assert len(api.calls("POST")) == 3
    spec = next(r.json()["spec"] for r in api.requests if b"scale" in r.body)
    assert spec["resourceAttributes"] == {
        "verb": "update",
        "group": "apps",
        "resource": "deployments",
        "subresource": "scale",
        "namespace": "ns",
        "name": "web",
    }
    assert str(scale) == "update deployments/scale.apps web in ns"


async def test_they_are_asked_side_by_side() -> None:
    together = asyncio.Barrier(8)

    async def handler(_: Request) -> Reply:
        async with asyncio.timeout(10):
            await together.wait()
        return Reply(201, {"status": {"allowed": True}})

    async with fake_api(handler) as api:
        assert await asked(api, *(Right("get", "", f"kind{n}") for n in range(16))) == ()


async def test_an_authoriser_that_cannot_tell_counts_as_missing() -> None:
    async def handler(_: Request) -> Reply:
        return Reply(201, {"status": {"allowed": False, "evaluationError": "webhook is away"}})

    async with fake_api(handler) as api:
        (missing,) = await asked(api, Right("get", "", "pods"))
    assert missing.reason == "webhook is away"


async def test_an_api_that_does_not_answer_is_no_answer() -> None:
    async def handler(_: Request) -> Reply:
        return status(500, "InternalError", "no")

    async with fake_api(handler) as api:
        with pytest.raises(ApiFailure):
            await asked(api, Right("get", "", "pods"), clock=HastyClock())


async def test_an_overloaded_server_is_asked_slower() -> None:
    busy, refused = asyncio.Lock(), 0

    async def handler(_: Request) -> Reply:
        nonlocal refused
        if busy.locked():
            refused += 1
            return Reply(429, headers={"Retry-After": "1"}, text="Too many requests")
        async with busy:
            await asyncio.sleep(0.01)
        return Reply(201, {"status": {"allowed": True}})

    rights = [Right("get", "", f"kind{n}") for n in range(40)]
    async with fake_api(handler) as api:
        assert await asked(api, *rights, clock=HastyClock()) == ()
    assert refused, "the first ones come side by side"
    assert len(api.calls("POST")) < 3 * len(rights)
