"""What a cluster is like, read from its API."""

from datetime import UTC, datetime
from typing import Any

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.credentials import Grant
from installer.cluster.facts import ClusterFacts, gather_facts
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.target import ClusterTarget
from installer.core.clock import SystemClock
from tests.lab.fixed_credentials import FixedCredentials
from tests.unit.cluster.fake_api import Reply, Request, fake_api, status

NODE = {
    "metadata": {
        "name": "cp1",
        "labels": {"node-role.kubernetes.io/control-plane": "", "zone": "a"},
    },
    "spec": {
        "unschedulable": True,
        "taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
    },
    "status": {
        "allocatable": {"cpu": "3900m", "memory": "7921204Ki", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {
            "architecture": "amd64",
            "kubeletVersion": "v1.36.2",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "bootID": "boot-1",
        },
    },
}
FAST = {
    "metadata": {
        "name": "fast",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "csi.example.org",
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Retain",
    "allowVolumeExpansion": True,
}
SLOW = {"metadata": {"name": "slow"}, "provisioner": "nfs", "volumeBindingMode": "Immediate"}
WAITING = {"metadata": {"name": "web", "namespace": "x"}, "spec": {"type": "LoadBalancer"}}
SERVED = {**WAITING, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}


def cluster(**changes: Any) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "/version": {"gitVersion": "v1.36.2+k3s1"},
        "/apis": {"groups": [{"name": "apps", "versions": [{"version": "v1"}]}]},
        "/api/v1/namespaces/kube-system": {"metadata": {"uid": "cluster-uid"}},
        "/api/v1/nodes": {"items": [NODE]},
        "/apis/storage.k8s.io/v1/storageclasses": {"items": [FAST, SLOW]},
        "/api/v1/services": {"items": [WAITING]},
    }
    return answers | {name.replace("__", "/"): value for name, value in changes.items()}


async def facts(answers: dict[str, Any], grant: Grant | None = None) -> ClusterFacts:
    async def handler(request: Request) -> Reply:
        answer = answers[request.path]
        return answer if isinstance(answer, Reply) else Reply(data=answer)

    async with fake_api(handler) as api:
        credentials = FixedCredentials(grant or Grant())
        place = ClusterTarget("t", f"http://127.0.0.1:{api.port}", credentials)
        async with ApiClient(place, clock=SystemClock()) as client:
            return await gather_facts(client)


async def test_a_cluster_is_described() -> None:
    end = datetime(2027, 1, 1, tzinfo=UTC)
    found = await facts(cluster(), Grant(expires=end))
    assert (found.version, found.minor, found.uid) == ("v1.36.2+k3s1", (1, 36), "cluster-uid")
    (node,) = found.nodes
    assert (node.roles, node.cpu, node.memory) == (("control-plane",), 3.9, 7921204 * 1024)
    assert (node.pods, node.ready, node.schedulable) == (110, True, False)
    assert node.taints == ("node-role.kubernetes.io/control-plane=:NoSchedule",)
    assert (node.architecture, node.boot_id) == ("amd64", "boot-1")
    fast, slow = found.storage_classes
    assert (fast.default, fast.waits, fast.reclaim, fast.expandable) == (True, True, "Retain", True)
    assert (slow.default, slow.waits, slow.reclaim) == (False, False, "Delete")
    assert found.api_groups == {"apps": ("v1",)}
    assert found.credentials_end == end
    assert not found.load_balancer.present
    assert not found.unknown


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"__api__v1__services": {"items": [WAITING, SERVED]}}, "x/web"),
        ({"__apis": {"groups": [{"name": "metallb.io"}]}}, "MetalLB"),
        (
            {"__api__v1__nodes": {"items": [{**NODE, "spec": {"providerID": "openstack:///i"}}]}},
            "openstack",
        ),
    ],
)
async def test_what_shows_a_load_balancer(changes: dict[str, Any], evidence: str) -> None:
    found = await facts(cluster(**changes))
    assert found.load_balancer.present
    assert evidence in found.load_balancer.evidence


async def test_a_part_that_may_not_be_read_is_named() -> None:
    refused = status(403, "Forbidden", 'User "u" cannot list resource "nodes"')
    found = await facts(cluster(__api__v1__nodes=refused))
    assert found.nodes == ()
    assert 'cannot list resource "nodes"' in found.unknown["nodes"]
    assert found.storage_classes


async def test_an_api_that_does_not_answer_gives_no_facts() -> None:
    with pytest.raises(ApiFailure) as caught:
        await facts(cluster(__version=Reply(503, text="shutting down")))
    assert caught.value.kind is FailureKind.UNAVAILABLE
