"""Custom resources, webhooks and namespaces that go away: what comes and goes under a client."""

import asyncio

from tests.contract.client import (
    MERGE,
    Client,
    Json,
    causes,
    collection,
    give_up_at,
    path_of,
    refused,
)
from tests.contract.objects import GROUP, config_map, custom, dead_webhook, definition


async def definition_then_resource(client: Client) -> None:
    """A CRD opens its API within seconds; its schema is held; without it the API is gone."""
    plural, kind = f"w{client.namespace[-8:]}", f"W{client.namespace[-8:]}"
    crd = definition(plural, kind)
    path = f"{collection(kind, client.namespace, f'apis/{GROUP}/v1', plural)}/it"
    answer = await client.apply(custom(kind, client.namespace), path=path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")
    await client.applied(crd)
    try:
        made = await _first_custom(client, custom(kind, client.namespace), path)
        assert made["spec"]["mode"] == "plain"
        answer = await client.apply(custom(kind, client.namespace, bogus=1), path=path)
        assert "field not declared in schema" in refused(answer, 500, "")
        answer = await client.apply(custom(kind, client.namespace, size=99), path=path)
        refused(answer, 422, "Invalid")
        assert causes(answer) == [("FieldValueInvalid", "spec.size")]
        await _status_is_separate(client, kind, path, made)
        listed = await client.seen(f"/apis/{GROUP}/v1")
        assert plural in {item["name"] for item in listed["resources"]}
    finally:
        await client.request("DELETE", path_of(crd))
    await client.until(path_of(crd), lambda obj: obj is None)


async def _first_custom(client: Client, wanted: Json, path: str) -> Json:
    deadline = give_up_at()
    while True:
        answer = await client.apply(wanted, path=path)
        if answer.status_code == 201:
            made: Json = answer.json()
            return made
        assert answer.status_code in (404, 503), answer.text
        assert asyncio.get_running_loop().time() < deadline, answer.text
        await asyncio.sleep(0.05)


async def _status_is_separate(client: Client, kind: str, path: str, made: Json) -> None:
    status = {"status": {"phase": "Good"}}
    answer = await client.request("PATCH", f"{path}/status", status, media=MERGE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["generation"] == made["metadata"]["generation"]
    done = await client.applied(custom(kind, client.namespace, size=4), path=path)
    assert done["status"] == {"phase": "Good"}
    assert done["metadata"]["generation"] == made["metadata"]["generation"] + 1


async def terminating_namespace(client: Client) -> None:
    """403 for what is new, 200 for what exists; when the last finalizer goes, so does it."""
    held = config_map(client.namespace, "held")
    held["metadata"]["finalizers"] = [f"{GROUP}/hold"]
    await client.applied(held)
    space = f"{collection('Namespace')}/{client.namespace}"
    answer = await client.request("DELETE", space)
    assert answer.status_code == 200, answer.text
    assert (await client.seen(space))["status"]["phase"] == "Terminating"
    answer = await client.apply(config_map(client.namespace, "new"))
    refused(answer, 403, "Forbidden")
    assert ("NamespaceTerminating", "metadata.namespace") in causes(answer)
    held["data"] = {"a": "2"}
    assert (await client.apply(held)).status_code == 200
    told = await client.until(space, _tells_of_finalizers)
    assert told is not None
    del held["metadata"]["finalizers"]
    await client.apply(held)
    await client.until(space, lambda obj: obj is None)
    answer = await client.apply(config_map(client.namespace, "new"))
    refused(answer, 404, "NotFound")


def _tells_of_finalizers(obj: Json | None) -> bool:
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return any(
        item["type"] == "NamespaceFinalizersRemaining"
        and item["status"] == "True"
        and f"{GROUP}/hold" in item["message"]
        for item in conditions
    )


async def webhook_down(client: Client) -> None:
    """500 InternalError that names the webhook; gone with the webhook's configuration."""
    hook = dead_webhook(client.namespace, client.namespace)
    await client.applied(hook)
    try:
        answer = await client.answered(config_map(client.namespace), well=False)
        message = refused(answer, 500, "InternalError")
        assert 'failed calling webhook "guard.contract.example"' in message
    finally:
        await client.request("DELETE", path_of(hook))
    answer = await client.answered(config_map(client.namespace), well=True)
    assert answer.is_success, answer.text


CASES = (
    definition_then_resource,
    terminating_namespace,
    webhook_down,
)
