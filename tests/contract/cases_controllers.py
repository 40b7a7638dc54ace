"""What controllers make of objects, as far as gates and removal rely on it."""

from tests.contract.client import Client, Json, collection, path_of
from tests.contract.objects import (
    budget,
    claim,
    deployment,
    job,
    service,
    stateful_set,
)


def _status(obj: Json | None) -> Json:
    found: Json = (obj or {}).get("status") or {}
    return found


def _current(obj: Json | None) -> bool:
    return obj is not None and (
        _status(obj).get("observedGeneration") == obj["metadata"]["generation"]
    )


def _has(obj: Json | None, kind: str, status: str = "True") -> bool:
    return any(
        item["type"] == kind and item["status"] == status
        for item in _status(obj).get("conditions") or []
    )


async def deployment_becomes_available(client: Client) -> None:
    """All counts reach the wanted number, with the generation observed; then a new image rolls."""
    wanted = deployment(client.namespace, replicas=2)
    await client.applied(wanted)
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")

    def complete(obj: Json | None) -> bool:
        return _current(obj) and all(_status(obj).get(name) == 2 for name in counts)

    done = await client.until(path_of(wanted), complete)
    assert _has(done, "Available")
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/app:2"
    assert (await client.applied(wanted))["metadata"]["generation"] == 2
    await client.until(path_of(wanted), complete)
    sets = await client.seen(collection("ReplicaSet", client.namespace))
    assert sorted(item["spec"]["replicas"] for item in sets["items"]) == [0, 2]
    assert (await client.applied(wanted))["metadata"]["generation"] == 2


async def stateful_set_becomes_ready(client: Client) -> None:
    """Named pods with claims of their own; the revisions are equal at the end."""
    wanted = stateful_set(client.namespace)
    await client.applied(wanted)

    def complete(obj: Json | None) -> bool:
        status = _status(obj)
        return (
            _current(obj)
            and status.get("readyReplicas") == status.get("updatedReplicas") == 2
            and status.get("currentRevision") == status.get("updateRevision")
        )

    await client.until(path_of(wanted), complete)
    pods = await client.seen(collection("Pod", client.namespace))
    assert {item["metadata"]["name"] for item in pods["items"]} == {"store-0", "store-1"}
    claims = await client.seen(collection("PersistentVolumeClaim", client.namespace))
    phases = {item["metadata"]["name"]: item["status"]["phase"] for item in claims["items"]}
    assert phases == {"data-store-0": "Bound", "data-store-1": "Bound"}
    answer = await client.request("DELETE", path_of(wanted))
    assert answer.status_code == 200, answer.text
    await client.until(f"{collection('Pod', client.namespace)}/store-0", lambda obj: obj is None)
    claims = await client.seen(collection("PersistentVolumeClaim", client.namespace))
    assert len(claims["items"]) == 2


async def job_completes(client: Client) -> None:
    """The Complete condition."""
    wanted = job(client.namespace)
    await client.applied(wanted)
    done = await client.until(path_of(wanted), lambda obj: _has(obj, "Complete"))
    assert _status(done)["succeeded"] == 1


async def claim_waits_for_a_consumer(client: Client) -> None:
    """Pending without a pod that wants it, where the class binds late."""
    wanted = claim(client.namespace)
    await client.applied(wanted)
    seen = await client.until(path_of(wanted), lambda obj: _status(obj).get("phase") == "Pending")
    assert seen is not None
    assert seen["spec"]["storageClassName"] == "standard"
    assert "volumeName" not in seen["spec"]


async def service_gets_an_address_and_endpoints(client: Client) -> None:
    """A cluster address at once; endpoints when pods are ready; the budget counts them too."""
    made = await client.applied(service(client.namespace))
    assert made["spec"]["clusterIP"]
    assert made["spec"]["ports"][0]["targetPort"] == 80
    guarded = budget(client.namespace)
    await client.applied(guarded)
    await client.applied(deployment(client.namespace, replicas=2))

    def counted(obj: Json | None) -> bool:
        return _current(obj) and _status(obj).get("currentHealthy") == 2

    done = await client.until(path_of(guarded), counted)
    assert _status(done)["disruptionsAllowed"] == 1
    slices = collection("", client.namespace, "apis/discovery.k8s.io/v1", "endpointslices")
    listed = await client.seen(slices, labelSelector="kubernetes.io/service-name=web")
    ready = [
        endpoint
        for item in listed["items"]
        for endpoint in item["endpoints"]
        if endpoint["conditions"]["ready"]
    ]
    assert len(ready) == 2


async def owners_take_their_own_along(client: Client) -> None:
    """Background deletion takes dependents along; orphaning leaves them, without their owner."""
    wanted = deployment(client.namespace)
    await client.applied(wanted)
    await client.until(path_of(wanted), lambda obj: _status(obj).get("readyReplicas") == 1)
    sets = collection("ReplicaSet", client.namespace)
    first = (await client.seen(sets))["items"][0]
    await client.request("DELETE", path_of(wanted), {"propagationPolicy": "Orphan"})
    await client.until(path_of(wanted), lambda obj: obj is None)
    path = f"{sets}/{first['metadata']['name']}"
    kept = await client.until(
        path, lambda obj: obj is not None and "ownerReferences" not in obj["metadata"]
    )
    assert kept is not None
    await client.applied(wanted)
    await client.until(path_of(wanted), lambda obj: _status(obj).get("readyReplicas") == 1)
    await client.request("DELETE", path_of(wanted), {"propagationPolicy": "Foreground"})
    await client.until(path_of(wanted), lambda obj: obj is None)
    await client.until(path, lambda obj: obj is None)


CASES = (
    deployment_becomes_available,
    stateful_set_becomes_ready,
    job_completes,
    claim_waits_for_a_consumer,
    service_gets_an_address_and_endpoints,
    owners_take_their_own_along,
)
