"""LIST and WATCH: pages, selectors, events, bookmarks, forgotten versions."""

import asyncio

from tests.contract.client import Client, Json, collection, path_of, refused, take
from tests.contract.objects import config_map


def _labelled(client: Client, name: str, **labels: str) -> Json:
    found = config_map(client.namespace, name)
    found["metadata"]["labels"] = labels
    return found


async def pages_hold_their_version(client: Client) -> None:
    """A list in pages shows the cluster as it was at the first page, each object once."""
    names = [f"page-{number}" for number in range(7)]
    for name in names:
        await client.applied(_labelled(client, name, paged="yes"))
    path = collection("ConfigMap", client.namespace)
    page = await client.seen(path, limit="3")
    version, seen = page["metadata"]["resourceVersion"], list(page["items"])
    assert len(seen) == 3
    await client.request("DELETE", path_of(config_map(client.namespace, "page-6")))
    await client.applied(_labelled(client, "page-5x", paged="yes"))
    while page["metadata"].get("continue"):
        page = await client.seen(path, limit="3", **{"continue": page["metadata"]["continue"]})
        assert page["metadata"]["resourceVersion"] == version
        seen += page["items"]
    found = [item["metadata"]["name"] for item in seen]
    assert [name for name in found if name.startswith("page-")] == names
    assert len(found) == len(set(found))


async def selectors_narrow_a_list(client: Client) -> None:
    """By label: equality, set, absence; by field: the name. A list's items say no kind."""
    await client.applied(_labelled(client, "one", tier="a", x="1"))
    await client.applied(_labelled(client, "two", tier="b"))
    path = collection("ConfigMap", client.namespace)
    for query, expected in (
        ({"labelSelector": "tier=a"}, ["one"]),
        ({"labelSelector": "tier in (a, b),!x"}, ["two"]),
        ({"labelSelector": "tier,tier!=a"}, ["two"]),
        ({"fieldSelector": "metadata.name=two"}, ["two"]),
        ({"labelSelector": "tier=a", "fieldSelector": "metadata.name=two"}, []),
    ):
        page = await client.seen(path, **query)
        assert [item["metadata"]["name"] for item in page["items"]] == expected, query
        assert page["kind"] == "ConfigMapList"
        assert all("kind" not in item for item in page["items"])


async def watch_tells_what_happens(client: Client) -> None:
    """ADDED, MODIFIED, DELETED with rising versions; a second watch resumes in the middle."""
    path = collection("ConfigMap", client.namespace)
    start = (await client.seen(path))["metadata"]["resourceVersion"]
    query = {"resourceVersion": start, "fieldSelector": "metadata.name=settings"}
    async with client.watch(path, **query) as events:
        await client.applied(config_map(client.namespace))
        await client.applied(config_map(client.namespace, a="2"))
        await client.request("DELETE", path_of(config_map(client.namespace)))
        seen = await take(events, 3)
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))
    assert seen[0]["object"]["kind"] == "ConfigMap"
    query["resourceVersion"] = str(versions[0])
    async with client.watch(path, **query) as events:
        assert await take(events, 2) == seen[1:]


async def watch_by_label_sees_leaving(client: Client) -> None:
    """An object that no longer matches is told as DELETED to those who watch by label."""
    path = collection("ConfigMap", client.namespace)
    start = (await client.seen(path))["metadata"]["resourceVersion"]
    query = {"resourceVersion": start, "labelSelector": "tier=a"}
    async with client.watch(path, **query) as events:
        await client.applied(_labelled(client, "one", tier="b"))
        await client.applied(_labelled(client, "one", tier="a"))
        await client.applied(_labelled(client, "one", tier="b"))
        seen = await take(events, 2)
    assert [event["type"] for event in seen] == ["ADDED", "DELETED"]


async def watch_without_a_version_begins_with_all(client: Client) -> None:
    """No resourceVersion: what exists comes first, as ADDED."""
    await client.applied(config_map(client.namespace))
    path = collection("ConfigMap", client.namespace)
    async with client.watch(path, fieldSelector="metadata.name=settings") as events:
        (first,) = await take(events, 1)
        assert first["type"] == "ADDED"
        await client.applied(config_map(client.namespace, a="2"))
        (second,) = await take(events, 1)
        assert (second["type"], second["object"]["data"]) == ("MODIFIED", {"a": "2"})


async def watch_with_bookmarks(client: Client) -> None:
    """A watch that sees nothing learns of a newer version before it ends in good order."""
    path = collection("ConfigMap", client.namespace)
    start = (await client.seen(path))["metadata"]["resourceVersion"]
    query = {"resourceVersion": start, "allowWatchBookmarks": "true", "timeoutSeconds": "4"}
    query["fieldSelector"] = "metadata.name=nobody"
    async with client.watch(path, **query) as events, asyncio.timeout(20):
        passed_over = await client.applied(config_map(client.namespace))
        seen = [event async for event in events]
    marks = [event for event in seen if event["type"] == "BOOKMARK"]
    assert marks
    assert marks[-1]["object"]["kind"] == "ConfigMap"
    version = int(passed_over["metadata"]["resourceVersion"])
    assert int(marks[-1]["object"]["metadata"]["resourceVersion"]) >= version
    assert len(seen) == len(marks)


async def too_old_a_watch(client: Client) -> None:
    """HTTP 200, and then one ERROR event with code 410, and the end."""
    path = collection("ConfigMap", client.namespace)
    async with (
        client.watch(path, resourceVersion="1", timeoutSeconds="3") as events,
        asyncio.timeout(20),
    ):
        seen = [event async for event in events]
    assert [event["type"] for event in seen] == ["ERROR"]
    status = seen[0]["object"]
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")


async def forgotten_versions(client: Client) -> None:
    """When history is gone, a watch and a page from before it are both 410."""
    for number in range(3):
        await client.applied(_labelled(client, f"page-{number}", paged="yes"))
    path = collection("ConfigMap", client.namespace)
    page = await client.seen(path, limit="1")
    token, version = page["metadata"]["continue"], page["metadata"]["resourceVersion"]
    await client.applied(_labelled(client, "later", paged="no"))
    await client.far_end.forget_history()
    await client.reconnect()
    answer = await client.get(path, limit="1", **{"continue": token})
    refused(answer, 410, "Expired")
    async with (
        client.watch(path, resourceVersion=version, timeoutSeconds="3") as events,
        asyncio.timeout(20),
    ):
        seen = [event async for event in events]
    assert [(event["type"], event["object"].get("code")) for event in seen] == [("ERROR", 410)]
    listed = await client.seen(path)
    assert {"page-0", "page-1", "page-2", "later"} <= {
        item["metadata"]["name"] for item in listed["items"]
    }


CASES = (
    pages_hold_their_version,
    selectors_narrow_a_list,
    watch_tells_what_happens,
    watch_by_label_sees_leaving,
    watch_without_a_version_begins_with_all,
    watch_with_bookmarks,
    too_old_a_watch,
    forgotten_versions,
)
