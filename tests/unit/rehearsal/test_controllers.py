"""What the simulated controllers do beyond the contract that a real cluster is held to."""

import math
from typing import Any

import pytest

from installer.rehearsal.kube.bootstrap import ClusterShape, NodeShape
from tests.contract.client import Client, collection, path_of, refused
from tests.contract.objects import (
    GROUP,
    claim,
    config_map,
    custom,
    definition,
    deployment,
    job,
    pod_template,
    secret,
    service,
    stateful_set,
)
from tests.unit.rehearsal.cluster import TestedCluster
from tests.unit.rehearsal.conftest import Start

Json = dict[str, Any]


def _status(obj: Json | None) -> Json:
    found: Json = (obj or {}).get("status") or {}
    return found


async def _ready(client: Client, obj: Json, count: int) -> Json:
    found = await client.until(
        path_of(obj),
        lambda seen: (
            _status(seen).get("readyReplicas", 0) == count
            and _status(seen).get("updatedReplicas", 0) == count
            and _status(seen).get("replicas", 0) == count
        ),
    )
    assert found is not None
    return found


async def test_an_ordered_set_starts_pod_after_pod(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted = stateful_set(client.namespace, replicas=3)
    await client.applied(wanted)
    await _ready(client, wanted, 3)
    born = {
        obj["metadata"]["name"]: change_version
        for change_version, obj in _first_versions(cluster, "pods.")
    }
    assert sorted(born, key=lambda name: born[name]) == ["store-0", "store-1", "store-2"]
    ready = _first_ready(cluster)
    assert ready["store-0"] < born["store-1"]
    assert ready["store-1"] < born["store-2"]


def _first_versions(cluster: TestedCluster, resource: str) -> list[tuple[int, Json]]:
    return [
        (change.version, change.after.obj)
        for change in cluster.server.store.since(resource, 0)
        if change.before is None and change.after is not None
    ]


def _first_ready(cluster: TestedCluster) -> dict[str, int]:
    found: dict[str, int] = {}
    for change in cluster.server.store.since("pods.", 0):
        conditions = _status(change.after.obj if change.after else None).get("conditions") or []
        if any(item["type"] == "Ready" and item["status"] == "True" for item in conditions):
            found.setdefault(change.key[2], change.version)
    return found


async def test_a_set_is_replaced_around_its_pods(cluster: TestedCluster) -> None:
    """Deleted as an orphan and made anew with a larger claim template, it adopts its pods."""
    client = cluster.client
    wanted = stateful_set(client.namespace)
    await client.applied(wanted)
    await _ready(client, wanted, 2)
    pods = {pod["metadata"]["uid"] for pod in cluster.objects("pods.")}
    await client.request("DELETE", path_of(wanted), {"propagationPolicy": "Orphan"})
    await client.until(path_of(wanted), lambda obj: obj is None)
    larger = {"requests": {"storage": "2Gi"}}
    wanted["spec"]["volumeClaimTemplates"][0]["spec"]["resources"] = larger
    await client.applied(wanted)
    await _ready(client, wanted, 2)
    assert {pod["metadata"]["uid"] for pod in cluster.objects("pods.")} == pods


async def test_a_changed_set_rolls_from_the_last_pod(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted = stateful_set(client.namespace, replicas=3)
    await client.applied(wanted)
    before = await _ready(client, wanted, 3)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/app:2"
    wanted["spec"]["updateStrategy"] = {"rollingUpdate": {"partition": 1}}
    await client.applied(wanted)
    await client.until(path_of(wanted), lambda obj: _status(obj).get("updatedReplicas") == 2)
    await client.until(path_of(wanted), lambda obj: _status(obj).get("readyReplicas") == 3)
    images = {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"][-1]
        for pod in cluster.objects("pods.")
    }
    assert images == {"store-0": "1", "store-1": "2", "store-2": "2"}
    seen = await client.seen(path_of(wanted))
    assert seen["status"]["currentRevision"] == before["status"]["currentRevision"]
    assert seen["status"]["updateRevision"] != seen["status"]["currentRevision"]


async def test_a_daemon_runs_on_every_node_that_lets_it(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted: Json = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": client.namespace},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": pod_template("agent")},
    }
    path = f"{collection('', client.namespace, 'apis/apps/v1', 'daemonsets')}/agent"
    assert (await client.apply(wanted, path=path)).is_success
    await client.until(path, lambda obj: _status(obj).get("numberAvailable") == 3)
    wanted["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    assert (await client.apply(wanted, path=path)).is_success
    done = await client.until(
        path,
        lambda obj: (
            _status(obj).get("updatedNumberScheduled") == _status(obj).get("numberAvailable") == 4
        ),
    )
    assert _status(done)["desiredNumberScheduled"] == 4


async def test_a_finished_job_goes_when_its_time_is_up(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted = job(client.namespace)
    wanted["spec"]["ttlSecondsAfterFinished"] = 60
    await client.applied(wanted)
    await client.until(path_of(wanted), lambda obj: obj is None)
    await client.until(
        collection("Pod", client.namespace), lambda listed: not (listed or {})["items"]
    )


async def test_a_pod_that_fits_nowhere_says_why(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted = deployment(client.namespace)
    large = {"requests": {"cpu": "64"}}
    wanted["spec"]["template"]["spec"]["containers"][0]["resources"] = large
    await client.applied(wanted)
    path = collection("Pod", client.namespace)

    def unschedulable(listed: Json | None) -> bool:
        return any(
            item.get("reason") == "Unschedulable"
            for pod in (listed or {})["items"]
            for item in _status(pod).get("conditions") or []
        )

    listed = await client.until(path, unschedulable)
    message = _status((listed or {})["items"][0])["conditions"][0]["message"]
    assert message.startswith("0/4 nodes are available: ")
    assert "3 Insufficient cpu" in message
    assert "untolerated taint {node-role.kubernetes.io/control-plane: }" in message


async def test_neighbours_that_repel_each_other_are_spread(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted = deployment(client.namespace, replicas=3)
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    wanted["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": rule}
    await client.applied(wanted)
    await _ready(client, wanted, 3)
    nodes = {pod["spec"]["nodeName"] for pod in cluster.objects("pods.")}
    assert nodes == {"worker-1", "worker-2", "worker-3"}


async def test_a_container_waits_for_its_secret(cluster: TestedCluster) -> None:
    client = cluster.client
    wanted = deployment(client.namespace)
    reference = {"secretKeyRef": {"name": "keys", "key": "key"}}
    container = wanted["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "KEY", "valueFrom": reference}]
    await client.applied(wanted)
    path = collection("Pod", client.namespace)
    listed = await client.until(
        path,
        lambda seen: any(
            (state["state"].get("waiting") or {}).get("reason") == "CreateContainerConfigError"
            for pod in (seen or {})["items"]
            for state in _status(pod).get("containerStatuses") or []
        ),
    )
    state = _status((listed or {})["items"][0])["containerStatuses"][0]["state"]
    assert state["waiting"]["message"] == 'secret "keys" not found'
    await client.applied(secret(client.namespace))
    await _ready(client, wanted, 1)


async def test_a_bound_claim_grows_and_is_kept_while_used(cluster: TestedCluster) -> None:
    client = cluster.client
    disk = claim(client.namespace)
    await client.applied(disk)
    wanted = deployment(client.namespace)
    source = {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}
    wanted["spec"]["template"]["spec"]["volumes"] = [source]
    await client.applied(wanted)
    await client.until(path_of(disk), lambda obj: _status(obj).get("phase") == "Bound")
    disk["spec"]["resources"]["requests"]["storage"] = "2Gi"
    await client.applied(disk)
    await client.until(
        path_of(disk), lambda obj: (_status(obj).get("capacity") or {}).get("storage") == "2Gi"
    )
    disk["spec"]["resources"]["requests"]["storage"] = "1Gi"
    refused(await client.apply(disk), 422, "Invalid")
    await client.request("DELETE", path_of(disk))
    assert "deletionTimestamp" in (await client.seen(path_of(disk)))["metadata"]
    await client.request("DELETE", path_of(wanted))
    await client.until(path_of(disk), lambda obj: obj is None)
    await client.until("/api/v1/persistentvolumes", lambda seen: not (seen or {})["items"])


@pytest.mark.parametrize(("pool", "address"), [("198.51.100.", "198.51.100."), ("", None)])
async def test_load_balancers_have_addresses_where_there_is_a_pool(
    start: Start, pool: str, address: str | None
) -> None:
    cluster = await start(shape=ClusterShape(load_balancer_pool=pool))
    client = cluster.client
    await client.make_namespace()
    wanted = service(client.namespace)
    wanted["spec"]["type"] = "LoadBalancer"
    made = await client.applied(wanted)
    assert made["spec"]["ports"][0]["nodePort"] >= 30000
    path = f"{collection('Service', client.namespace)}/web"
    if address is None:
        await client.applied(config_map(client.namespace))
        assert "ingress" not in (await client.seen(path))["status"]["loadBalancer"]
    else:
        seen = await client.until(
            path, lambda obj: bool(_status(obj)["loadBalancer"].get("ingress"))
        )
        assert _status(seen)["loadBalancer"]["ingress"][0]["ip"].startswith(address)


async def test_a_definition_takes_its_resources_along(cluster: TestedCluster) -> None:
    client = cluster.client
    crd = definition("gadgets", "Gadget")
    await client.applied(crd)
    path = f"{collection('', client.namespace, f'apis/{GROUP}/v1', 'gadgets')}/it"
    await client.until(path_of(crd), lambda obj: len(_status(obj).get("conditions") or []) == 2)
    assert (await client.apply(custom("Gadget", client.namespace), path=path)).is_success
    await client.request("DELETE", path_of(crd))
    await client.until(path_of(crd), lambda obj: obj is None)
    assert cluster.objects(f"gadgets.{GROUP}") == []
    assert (await client.get(path)).headers["content-type"].startswith("text/plain")


async def test_a_restarted_cluster_goes_on(start: Start) -> None:
    """Served definitions, half-started pods and held objects survive the server."""
    first = await start(speed=1.0)
    await first.client.make_namespace()
    wanted = deployment(first.client.namespace)
    await first.client.applied(definition("gadgets", "Gadget"))
    await first.client.applied(wanted)
    space = first.client.namespace
    await first.server.stop()
    second = await start(speed=math.inf)
    await _ready(second.client, wanted, 1)
    path = f"{collection('', space, f'apis/{GROUP}/v1', 'gadgets')}/it"
    await second.client.until(
        path_of(definition("gadgets", "Gadget")), lambda obj: bool(_status(obj))
    )
    assert (await second.client.apply(custom("Gadget", space), path=path)).status_code == 201


async def test_nodes_have_the_asked_shape(start: Start) -> None:
    shape = ClusterShape(nodes=(NodeShape("big", 32, "128Gi", labels=(("role", "db"),)),))
    cluster = await start(shape=shape)
    (node,) = cluster.objects("nodes.")
    assert node["status"]["allocatable"]["cpu"] == "32"
    assert node["metadata"]["labels"]["role"] == "db"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "big"


async def test_the_wire_is_written_down_without_bodies(cluster: TestedCluster) -> None:
    client = cluster.client
    await client.applied(secret(client.namespace), dryRun="All")
    await client.applied(secret(client.namespace))
    text = (cluster.server.folder / "wire.jsonl").read_text()
    assert '"dryRun":"All"' in text
    assert text.count(path_of(secret(client.namespace))) == 2
    assert "dmFsdWU=" not in text
