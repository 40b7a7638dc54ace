"""The classifier against what a real API server answers."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.failures import (
    ApiFailure,
    FailureKind,
    FieldConflict,
    Replacement,
    WatchExpired,
)
from installer.core.clock import SystemClock
from installer.core.objects import Manifest, ObjectRef
from tests.cluster.clients import connected
from tests.lab.control_plane import ControlPlane

CONTAINER: dict[str, Any] = {"name": "c", "image": "example.org/image:1"}
POD: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
CLAIM: dict[str, Any] = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.fixture
async def client(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[ApiClient]:
    async with connected(control_plane.admin_kubeconfig(tmp_path / "kc")) as made:
        yield made


def thing(api_version: str, kind: str, namespace: str, name: str, **parts: Any) -> Manifest:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **parts}


def config_map(namespace: str, name: str = "a", **data: str) -> Manifest:
    return thing("v1", "ConfigMap", namespace, name, data=data)


def deployment(namespace: str) -> Manifest:
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": POD}
    return thing("apps/v1", "Deployment", namespace, "d", spec=copy.deepcopy(spec))


async def refused(client: ApiClient, manifest: Manifest, **options: Any) -> ApiFailure:
    with pytest.raises(ApiFailure) as caught:
        await client.apply(manifest, **options)
    return caught.value


async def test_a_field_of_another_manager(client: ApiClient, namespace: str) -> None:
    await client.apply(config_map(namespace, key="theirs"), manager="somebody")
    failure = await refused(client, config_map(namespace, key="ours"))
    assert failure.kind is FailureKind.FIELD_CONFLICT
    assert failure.verdict.conflicts == (FieldConflict(".data.key", "somebody"),)
    taken = await client.apply(config_map(namespace, key="ours"), force=True)
    assert taken["data"] == {"key": "ours"}


async def test_an_unknown_field(client: ApiClient, namespace: str) -> None:
    wrong = deployment(namespace)
    wrong["spec"]["replcas"] = 3
    failure = await refused(client, wrong)
    assert failure.kind is FailureKind.UNKNOWN_FIELD
    assert ".spec.replcas" in failure.cause


async def test_a_kind_that_is_not_there(client: ApiClient, namespace: str) -> None:
    failure = await refused(client, thing("nowhere.example/v1", "Thing", namespace, "a"))
    assert failure.kind is FailureKind.NO_SUCH_API


async def test_a_namespace_that_is_not_there(client: ApiClient) -> None:
    assert (await refused(client, config_map("nowhere-at-all"))).kind is (
        FailureKind.NAMESPACE_MISSING
    )


IMMUTABLE: list[tuple[str, Manifest, tuple[str, ...], Any, Replacement]] = [
    (
        "deployment",
        thing(
            "apps/v1",
            "Deployment",
            "",
            "d",
            spec={"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": POD},
        ),
        ("spec",),
        {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "c"}},
            "template": {**POD, "metadata": {"labels": {"a": "c"}}},
        },
        Replacement.RECREATE_WITH_CONSENT,
    ),
    (
        "job",
        thing(
            "batch/v1",
            "Job",
            "",
            "j",
            spec={"suspend": True, "template": {"spec": {**POD["spec"], "restartPolicy": "Never"}}},
        ),
        ("spec", "template", "spec", "containers"),
        [{**CONTAINER, "image": "example.org/image:2"}],
        Replacement.RECREATE,
    ),
    (
        "stateful set",
        thing(
            "apps/v1",
            "StatefulSet",
            "",
            "s",
            spec={
                "replicas": 0,
                "serviceName": "s",
                "selector": {"matchLabels": {"a": "b"}},
                "template": POD,
                "volumeClaimTemplates": [CLAIM],
            },
        ),
        ("spec", "volumeClaimTemplates"),
        [
            {
                **CLAIM,
                "spec": {**CLAIM["spec"], "resources": {"requests": {"storage": "2Gi"}}},
            }
        ],
        Replacement.ORPHAN_RECREATE,
    ),
    (
        "service",
        thing(
            "v1",
            "Service",
            "",
            "s",
            spec={"selector": {"a": "b"}, "ports": [{"port": 80}], "clusterIP": "None"},
        ),
        ("spec", "clusterIP"),
        "10.96.0.99",
        Replacement.RECREATE_WITH_CONSENT,
    ),
    (
        "config map",
        thing("v1", "ConfigMap", "", "c", data={"a": "1"}, immutable=True),
        ("data", "a"),
        "2",
        Replacement.NEW_NAME,
    ),
    (
        "secret",
        thing("v1", "Secret", "", "s", data={"a": "MQ=="}, immutable=True),
        ("data", "a"),
        "Mg==",
        Replacement.NEW_NAME,
    ),
    (
        "role binding",
        thing(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "",
            "r",
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
        ),
        ("roleRef", "name"),
        "edit",
        Replacement.RECREATE,
    ),
    (
        "claim",
        thing("v1", "PersistentVolumeClaim", "", "p", spec=CLAIM["spec"]),
        ("spec", "accessModes"),
        ["ReadWriteMany"],
        Replacement.NEVER,
    ),
]


@pytest.mark.parametrize(
    ("made", "path", "value", "how"),
    [row[1:] for row in IMMUTABLE],
    ids=[row[0] for row in IMMUTABLE],
)
async def test_each_kind_that_cannot_be_changed_in_place(
    client: ApiClient,
    namespace: str,
    made: Manifest,
    path: tuple[str, ...],
    value: Any,
    how: Replacement,
) -> None:
    first = copy.deepcopy(made)
    first["metadata"]["namespace"] = namespace
    await client.apply(first)
    changed = copy.deepcopy(first)
    at = changed
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    failure = await refused(client, changed, force=True)
    assert failure.kind is FailureKind.IMMUTABLE, failure.evidence
    assert failure.verdict.replacement is how


async def test_an_object_too_large(client: ApiClient, namespace: str) -> None:
    for size in (1_100_000, 3_500_000):
        failure = await refused(client, config_map(namespace, key="x" * size))
        assert failure.kind is FailureKind.TOO_LARGE


async def test_an_invalid_object(client: ApiClient, namespace: str) -> None:
    wrong = deployment(namespace)
    wrong["spec"]["replicas"] = -1
    failure = await refused(client, wrong)
    assert failure.kind is FailureKind.INVALID
    assert failure.verdict.fields == ("spec.replicas",)


async def test_a_namespace_on_its_way_out(
    client: ApiClient, control_plane: ControlPlane, namespace: str
) -> None:
    held = config_map(namespace, key="v")
    held["metadata"]["finalizers"] = ["lab.test/hold"]
    await client.apply(held)
    await client.apply(config_map(namespace, "there", key="v"))
    place = ObjectRef("v1", "Namespace", "", namespace)
    try:
        assert await client.delete(place)
        failure = await refused(client, config_map(namespace, "new", key="v"))
        assert failure.kind is FailureKind.NAMESPACE_TERMINATING
        await client.patch(ObjectRef.of(held), {"metadata": {"annotations": {"still": "writable"}}})
    finally:
        await client.patch(ObjectRef.of(held), {"metadata": {"finalizers": None}})


async def test_a_webhook_that_is_away(client: ApiClient, namespace: str) -> None:
    hook = {
        "name": "guard.lab.test",
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["*"],
                "resources": ["configmaps"],
            }
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    made = thing(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "",
        f"guard-{namespace}",
        webhooks=[hook],
    )
    await client.apply(made)
    try:
        failure = await webhook_failure(client, namespace)
    finally:
        await client.delete(ObjectRef.of(made))
    assert failure.kind is FailureKind.WEBHOOK_DOWN
    assert failure.verdict.webhook == "guard.lab.test"


async def webhook_failure(client: ApiClient, namespace: str) -> ApiFailure:
    """The API server notices a new webhook a moment after it was written."""
    clock = SystemClock()
    for attempt in range(100):
        try:
            await client.apply(config_map(namespace, key=str(attempt)))
        except ApiFailure as failure:
            return failure
        await clock.sleep(0.1)
    raise AssertionError("the webhook was never called")


async def test_writes_that_meet_another_version(client: ApiClient, namespace: str) -> None:
    made = await client.create(config_map(namespace, key="1"))
    with pytest.raises(ApiFailure) as again:
        await client.create(config_map(namespace, key="1"))
    assert again.value.kind is FailureKind.ALREADY_EXISTS
    newer = await client.replace({**made, "data": {"key": "2"}})
    with pytest.raises(ApiFailure) as outdated:
        await client.replace({**made, "data": {"key": "3"}})
    assert outdated.value.kind is FailureKind.VERSION_CONFLICT
    ref = ObjectRef.of(made)
    with pytest.raises(ApiFailure) as other:
        await client.delete(ref, uid="00000000-0000-0000-0000-000000000000")
    assert other.value.kind is FailureKind.VERSION_CONFLICT
    assert await client.delete(ref, uid=newer["metadata"]["uid"])
    assert not await client.delete(ref)


async def test_a_watch_from_a_version_long_gone(client: ApiClient, namespace: str) -> None:
    stream = client.watch("v1", "ConfigMap", namespace=namespace, resource_version="1")
    with pytest.raises(WatchExpired):
        await anext(stream)


async def test_an_unchanged_apply_writes_nothing(client: ApiClient, namespace: str) -> None:
    first = await client.apply(config_map(namespace, key="v"))
    second = await client.apply(config_map(namespace, key="v"))
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_a_list_longer_than_a_page(
    client: ApiClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installer.cluster.listing.PAGE", 3)
    for number in range(7):
        await client.apply(config_map(namespace, f"n{number}", key="v"))
    listing = await client.list("v1", "ConfigMap", namespace=namespace)
    names = {item["metadata"]["name"] for item in listing.items}
    assert {f"n{number}" for number in range(7)} <= names
    assert listing.items[0]["kind"] == "ConfigMap"
