"""The API client against a server of the test: paths, bodies, pages, deletes, broken answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.credentials import Grant
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.target import ClusterTarget
from installer.core.clock import SystemClock
from installer.core.objects import ObjectRef
from tests.lab.fixed_credentials import FixedCredentials
from tests.unit.cluster.fake_api import FakeApi, Handler, Reply, Request, fake_api, status

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "cm", "namespace": "ns"},
    "data": {"a": "b"},
}


@asynccontextmanager
async def connected(handler: Handler) -> AsyncIterator[tuple[ApiClient, FakeApi]]:
    async with fake_api(handler) as api:
        credentials = FixedCredentials(Grant(token="sesame-token"))
        target = ClusterTarget("test", f"http://127.0.0.1:{api.port}", credentials)
        async with ApiClient(target, clock=SystemClock()) as client:
            yield client, api


async def test_apply_is_a_strict_server_side_apply_under_our_manager() -> None:
    async def handler(request: Request) -> Reply:
        return Reply(data={**request.json(), "status": {}})

    async with connected(handler) as (client, api):
        done = await client.apply(CONFIG, dry_run=True)
    (call,) = api.calls("PATCH")
    assert call.path == "/api/v1/namespaces/ns/configmaps/cm"
    assert call.params == {
        "fieldManager": "matrix-install",
        "fieldValidation": "Strict",
        "force": "false",
        "dryRun": "All",
    }
    assert call.headers["content-type"] == "application/apply-patch+yaml"
    assert call.headers["authorization"] == "Bearer sesame-token"
    assert call.json() == CONFIG
    assert done["status"] == {}


async def test_an_absent_object_and_an_absent_kind_are_none() -> None:
    async def handler(request: Request) -> Reply:
        return Reply(404, text="404 page not found")

    async with connected(handler) as (client, _):
        assert await client.get(ObjectRef("v1", "ConfigMap", "ns", "cm")) is None
        assert await client.get(ObjectRef("acid.zalan.do/v1", "postgresql", "ns", "x")) is None
        with pytest.raises(ApiFailure) as caught:
            await client.list("acid.zalan.do/v1", "postgresql")
    assert caught.value.kind is FailureKind.NO_SUCH_API


async def test_a_kind_is_found_once_its_definition_has_come() -> None:
    served = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if request.path == "/apis/acid.zalan.do/v1" and served.is_set():
            entry = {"name": "postgresqls", "kind": "postgresql", "namespaced": True}
            return Reply(data={"kind": "APIResourceList", "resources": [entry]})
        return Reply(404, text="404 page not found")

    async with connected(handler) as (client, _):
        assert await client.find_resource("acid.zalan.do/v1", "postgresql") is None
        served.set()
        found = await client.resource("acid.zalan.do/v1", "postgresql")
    assert found.path("ns", "x") == "/apis/acid.zalan.do/v1/namespaces/ns/postgresqls/x"


async def test_a_list_follows_its_pages_and_names_the_kind() -> None:
    async def handler(request: Request) -> Reply:
        second = request.params.get("continue") == "more"
        meta = {"resourceVersion": "7"} if second else {"resourceVersion": "7", "continue": "more"}
        name = "b" if second else "a"
        return Reply(data={"metadata": meta, "items": [{"metadata": {"name": name}}]})

    async with connected(handler) as (client, _):
        listing = await client.list("v1", "ConfigMap", labels="x=y")
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b"]
    assert listing.items[0]["kind"] == "ConfigMap"
    assert listing.resource_version == "7"


async def test_a_list_whose_pages_expired_is_read_in_one_answer() -> None:
    async def handler(request: Request) -> Reply:
        if "continue" in request.params:
            return status(410, "Expired", "The provided continue parameter is too old")
        if "limit" in request.params:
            return Reply(data={"metadata": {"continue": "t"}, "items": [{"metadata": {}}]})
        return Reply(data={"metadata": {"resourceVersion": "9"}, "items": []})

    async with connected(handler) as (client, api):
        assert (await client.list("v1", "ConfigMap")).resource_version == "9"
    assert len(api.calls("GET")) == 3
