"""What the API server refuses, and in which form."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.contract.client import (
    Client,
    Json,
    causes,
    collection,
    path_of,
    refused,
)
from tests.contract.objects import (
    GROUP,
    claim,
    config_map,
    deployment,
    job,
    lease,
    role_binding,
    secret,
    service,
    stateful_set,
    storage_class,
)


async def unknown_field_under_apply(client: Client) -> None:
    """500, no reason at all: easily taken for an outage, and for ever the same."""
    wanted = deployment(client.namespace, replicas=0)
    wanted["spec"]["replicaz"] = 1
    answer = await client.apply(wanted)
    message = refused(answer, 500, "")
    assert ".spec.replicaz: field not declared in schema" in message
    assert (await client.get(path_of(wanted))).status_code == 404


async def unknown_field_in_a_create(client: Client) -> None:
    """400 with the path, when validation is strict."""
    wanted = deployment(client.namespace, replicas=0)
    wanted["spec"]["replicaz"] = 1
    answer = await client.request(
        "POST",
        collection("Deployment", client.namespace),
        wanted,
        fieldValidation="Strict",
        fieldManager="one",
    )
    message = refused(answer, 400, "BadRequest")
    assert 'unknown field "spec.replicaz"' in message


async def unknown_api_is_plain_text(client: Client) -> None:
    """404 that is no Status: nobody serves the API group."""
    for path in (
        f"/apis/nothing.{GROUP}/v1/namespaces/{client.namespace}/things/x",
        f"/apis/nothing.{GROUP}/v1",
        f"/apis/nothing.{GROUP}",
    ):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/plain"), path
        assert answer.text.strip() == "404 page not found"


async def unknown_kind_of_a_known_group(client: Client) -> None:
    """404 that is a Status, but names no object: a built-in group lacks that kind or version."""
    for path in (
        f"/apis/apps/v9/namespaces/{client.namespace}/deployments",
        f"/apis/apps/v1/namespaces/{client.namespace}/nothings",
        f"/api/v1/namespaces/{client.namespace}/nothings/x",
        "/apis/apps/v9",
    ):
        answer = await client.get(path)
        message = refused(answer, 404, "NotFound")
        assert message == "the server could not find the requested resource"
        assert answer.json()["details"] == {}, path


async def discovery_lists_what_is_served(client: Client) -> None:
    """Versions, groups and resources; aggregated when asked for first; all in one answer then."""
    assert (await client.seen("/api"))["versions"] == ["v1"]
    groups = {group["name"] for group in (await client.seen("/apis"))["groups"]}
    assert {"apps", "batch", "policy", "coordination.k8s.io"} <= groups
    group = await client.seen("/apis/apps")
    assert group["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    listed = {item["name"]: item for item in (await client.seen("/apis/apps/v1"))["resources"]}
    assert (listed["deployments"]["kind"], listed["deployments"]["namespaced"]) == (
        "Deployment",
        True,
    )
    assert {"get", "list", "watch", "patch", "delete"} <= set(listed["deployments"]["verbs"])
    assert listed["deployments/scale"]["kind"] == "Scale"
    core = {item["name"]: item for item in (await client.seen("/api/v1"))["resources"]}
    assert core["configmaps"]["shortNames"] == ["cm"]
    assert core["nodes"]["namespaced"] is False
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = await client.get("/apis", headers={"Accept": f"{wanted},application/json"})
    assert answer.headers["content-type"].startswith(wanted)
    (apps,) = [item for item in answer.json()["items"] if item["metadata"]["name"] == "apps"]
    kinds = {item["responseKind"]["kind"] for item in apps["versions"][0]["resources"]}
    assert {"Deployment", "StatefulSet", "DaemonSet"} <= kinds


async def health_and_version(client: Client) -> None:
    """Plain `ok`, and a version that clients can compare."""
    for path in ("/readyz", "/livez"):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (200, "ok")
    version = await client.seen("/version")
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


async def missing_namespace(client: Client) -> None:
    """404 Status about the namespace, not about the object."""
    for answer in (
        await client.apply(config_map("contract-not-there")),
        await client.request(
            "POST", collection("ConfigMap", "contract-not-there"), config_map("contract-not-there")
        ),
    ):
        message = refused(answer, 404, "NotFound")
        assert message == 'namespaces "contract-not-there" not found'
        assert answer.json()["details"] == {"name": "contract-not-there", "kind": "namespaces"}


async def missing_object(client: Client) -> None:
    """404 Status that names resource and object."""
    answer = await client.get(f"{collection('Deployment', client.namespace)}/nobody")
    assert refused(answer, 404, "NotFound") == 'deployments.apps "nobody" not found'
    details = answer.json()["details"]
    assert details == {"name": "nobody", "group": "apps", "kind": "deployments"}


def _image(obj: Json) -> None:
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/app:2"


def _selector(obj: Json) -> None:
    obj["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    obj["spec"]["template"]["metadata"]["labels"] = {"app": "other"}


def _set(*path: str, value: Any) -> Callable[[Json], None]:
    def change(obj: Json) -> None:
        for name in path[:-1]:
            obj = obj[name]
        obj[path[-1]] = value

    return change


_Changes = list[tuple[Json, Callable[[Json], None], str, str]]


def _changes(namespace: str) -> _Changes:
    invalid, forbidden = "FieldValueInvalid", "FieldValueForbidden"
    keys = {**secret(namespace, "locked", immutable=True)}
    settings = {**config_map(namespace, "locked"), "immutable": True}
    return [
        (job(namespace), _image, invalid, "spec.template"),
        (
            stateful_set(namespace, replicas=0),
            _set("spec", "serviceName", value="b"),
            forbidden,
            "spec",
        ),
        (
            stateful_set(namespace, "claims", replicas=0),
            lambda obj: _set("resources", "requests", "storage", value="2Gi")(
                obj["spec"]["volumeClaimTemplates"][0]["spec"]
            ),
            forbidden,
            "spec",
        ),
        (deployment(namespace, replicas=0), _selector, invalid, "spec.selector"),
        (
            service(namespace),
            _set("spec", "clusterIP", value="10.96.255.254"),
            invalid,
            "spec.clusterIPs[0]",
        ),
        (keys, _set("stringData", "key", value="b"), forbidden, "data"),
        (settings, _set("data", "a", value="b"), forbidden, "data"),
        (claim(namespace), _set("spec", "accessModes", value=["ReadWriteMany"]), forbidden, "spec"),
        (role_binding(namespace), _set("roleRef", "name", value="edit"), invalid, "roleRef"),
        (storage_class(namespace), _set("parameters", "type", value="b"), invalid, "parameters"),
    ]


async def immutable_fields(client: Client) -> None:
    """422 with the field; the words differ by kind, so cause and path are what counts."""
    for wanted, change, reason, field in _changes(client.namespace):
        await client.applied(wanted)
        change(wanted)
        answer = await client.apply(wanted, force="true")
        refused(answer, 422, "Invalid")
        assert (reason, field) in causes(answer), answer.text
    await client.request("DELETE", path_of(storage_class(client.namespace)))


async def too_large_config_map(client: Client) -> None:
    """More than 1 MiB: 422 with FieldValueTooLong."""
    answer = await client.apply(config_map(client.namespace, a="x" * (1024 * 1024 + 1)))
    refused(answer, 422, "Invalid")
    assert [reason for reason, _ in causes(answer)] == ["FieldValueTooLong"]


async def invalid_names_and_values(client: Client) -> None:
    """422 tells each field that is wrong, all at once."""
    answer = await client.apply(config_map(client.namespace, "Not_A_Name"))
    refused(answer, 422, "Invalid")
    assert causes(answer) == [("FieldValueInvalid", "metadata.name")]
    wanted = deployment(client.namespace)
    wanted["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    del wanted["spec"]["template"]["spec"]["containers"][0]["image"]
    answer = await client.apply(wanted)
    refused(answer, 422, "Invalid")
    assert set(causes(answer)) == {
        ("FieldValueInvalid", "spec.template.metadata.labels"),
        ("FieldValueRequired", "spec.template.spec.containers[0].image"),
    }


async def lease_race_and_stale_update(client: Client) -> None:
    """Of four creators one wins; an update with an old version loses."""
    path = collection("Lease", client.namespace)
    answers = await asyncio.gather(
        *(
            client.request("POST", path, lease(client.namespace, holder=holder))
            for holder in ("a", "b", "c", "d")
        )
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, 409, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            message = refused(answer, 409, "AlreadyExists")
            assert message == 'leases.coordination.k8s.io "lock" already exists'
    held = await client.seen(f"{path}/lock")
    held["spec"]["leaseDurationSeconds"] = 61
    answer = await client.request("PUT", f"{path}/lock", held)
    assert answer.status_code == 200, answer.text
    held["spec"]["holderIdentity"] = "thief"
    answer = await client.request("PUT", f"{path}/lock", held)
    assert "the object has been modified" in refused(answer, 409, "Conflict")
    assert (await client.seen(f"{path}/lock"))["spec"]["holderIdentity"] != "thief"


async def delete_by_uid(client: Client) -> None:
    """A DELETE with another object's uid is refused; with the right one it succeeds."""
    wanted = config_map(client.namespace)
    made = await client.applied(wanted)
    other = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    answer = await client.request("DELETE", path_of(wanted), other)
    refused(answer, 409, "Conflict")
    assert (await client.get(path_of(wanted))).status_code == 200
    right = {"preconditions": {"uid": made["metadata"]["uid"]}}
    answer = await client.request("DELETE", path_of(wanted), right)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "Success"
    refused(await client.request("DELETE", path_of(wanted)), 404, "NotFound")


async def wrong_token(client: Client) -> None:
    """401 with a Status."""
    answer = await client.get("/api/v1/namespaces", headers={"Authorization": "Bearer wrong"})
    refused(answer, 401, "Unauthorized")


CASES = (
    unknown_field_under_apply,
    unknown_field_in_a_create,
    unknown_api_is_plain_text,
    unknown_kind_of_a_known_group,
    discovery_lists_what_is_served,
    health_and_version,
    missing_namespace,
    missing_object,
    immutable_fields,
    too_large_config_map,
    invalid_names_and_values,
    lease_race_and_stale_update,
    delete_by_uid,
    wrong_token,
)
