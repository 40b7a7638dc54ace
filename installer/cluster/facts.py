"""What a cluster is like: version, nodes, storage, load balancers, APIs, ends of certificates.

A part that may not be read is named in ``unknown`` with the reason; nothing is guessed for it.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from installer.cluster.client import ApiClient
from installer.cluster.failures import ApiFailure, CallContext, FailureKind
from installer.cluster.quantities import quantity
from installer.core.objects import Manifest, ObjectRef

T = TypeVar("T")

_ROLE = "node-role.kubernetes.io/"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
# API group of a load balancer for bare machines -> its name
_BALANCER_GROUPS = {
    "metallb.io": "MetalLB",
    "purelb.io": "PureLB",
    "network.kubesphere.io": "OpenELB",
}


@dataclass(frozen=True)
class NodeFact:
    """Allocatable ``cpu`` in cores, ``memory`` and ``disk`` (for pods and images) in bytes.

    ``boot_id`` tells a reboot.
    """

    name: str
    roles: tuple[str, ...]
    labels: Mapping[str, str]
    cpu: float
    memory: int
    disk: int
    pods: int
    ready: bool
    schedulable: bool
    taints: tuple[str, ...]
    architecture: str
    kubelet: str
    os_image: str
    boot_id: str


@dataclass(frozen=True)
class StorageClassFact:
    """``waits`` is true for WaitForFirstConsumer: a claim stays pending until a pod uses it."""

    name: str
    provisioner: str
    default: bool
    waits: bool
    reclaim: str
    expandable: bool


@dataclass(frozen=True)
class LoadBalancerFact:
    """``evidence`` says in words what shows that services of type LoadBalancer get an address."""

    present: bool
    evidence: str


@dataclass(frozen=True)
class ClusterFacts:
    """``uid`` is that of the namespace kube-system: it tells a rebuilt cluster from the old one.

    ``credentials_end`` is when our own token or client certificate ends (UTC), None if it does
    not say.
    """

    version: str
    minor: tuple[int, int]
    uid: str
    nodes: tuple[NodeFact, ...]
    storage_classes: tuple[StorageClassFact, ...]
    load_balancer: LoadBalancerFact
    api_groups: Mapping[str, tuple[str, ...]]
    credentials_end: datetime | None
    unknown: Mapping[str, str] = field(default_factory=dict)


async def gather_facts(client: ApiClient) -> ClusterFacts:
    """Reads all facts side by side. Raises ApiFailure where the API as a whole does not answer."""
    unknown: dict[str, str] = {}

    async def allowed(part: str, reading: Awaitable[T], otherwise: T) -> T:
        try:
            return await reading
        except ApiFailure as failure:
            if failure.kind not in (FailureKind.FORBIDDEN, FailureKind.NO_SUCH_API):
                raise
            unknown[part] = failure.verdict.cause
            return otherwise

    version = await client.ask("GET", "/version", None, CallContext("get", "the version"))
    empty: tuple[Manifest, ...] = ()
    namespace, groups, nodes, classes, services = await asyncio.gather(
        allowed("uid", client.get(ObjectRef("v1", "Namespace", "", "kube-system")), None),
        allowed("api groups", _groups(client), {}),
        allowed("nodes", _items(client, "v1", "Node"), empty),
        allowed("storage classes", _items(client, "storage.k8s.io/v1", "StorageClass"), empty),
        allowed("services", _items(client, "v1", "Service"), empty),
    )
    grant = await client.target.credentials.current()
    return ClusterFacts(
        version=str(version.get("gitVersion", "")),
        minor=_minor(str(version.get("gitVersion", ""))),
        uid=str(((namespace or {}).get("metadata") or {}).get("uid", "")),
        nodes=tuple(map(_node, nodes)),
        storage_classes=tuple(map(_storage_class, classes)),
        load_balancer=_load_balancer(groups, nodes, services),
        api_groups=groups,
        credentials_end=grant.expires,
        unknown=unknown,
    )


async def _items(client: ApiClient, api_version: str, kind: str) -> tuple[Manifest, ...]:
    return (await client.list(api_version, kind)).items


async def _groups(client: ApiClient) -> dict[str, tuple[str, ...]]:
    listed = await client.ask("GET", "/apis", None, CallContext("list", "the API groups"))
    return {
        group["name"]: tuple(version["version"] for version in group.get("versions") or ())
        for group in listed.get("groups") or ()
    }


def _minor(text: str) -> tuple[int, int]:
    found = _VERSION.match(text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _node(node: Manifest) -> NodeFact:
    labels: dict[str, str] = node["metadata"].get("labels") or {}
    spec, status = node.get("spec") or {}, node.get("status") or {}
    allocatable: dict[str, Any] = status.get("allocatable") or {}
    info = status.get("nodeInfo") or {}
    ready = [c["status"] for c in status.get("conditions") or () if c.get("type") == "Ready"]
    return NodeFact(
        name=node["metadata"]["name"],
        roles=tuple(
            sorted(label.removeprefix(_ROLE) for label in labels if label.startswith(_ROLE))
        ),
        labels=labels,
        cpu=float(quantity(allocatable.get("cpu")) or 0),
        memory=int(quantity(allocatable.get("memory")) or 0),
        disk=int(quantity(allocatable.get("ephemeral-storage")) or 0),
        pods=int(quantity(allocatable.get("pods")) or 0),
        ready=ready == ["True"],
        schedulable=not spec.get("unschedulable"),
        taints=tuple(
            f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"
            for taint in spec.get("taints") or ()
        ),
        architecture=str(info.get("architecture", "")),
        kubelet=str(info.get("kubeletVersion", "")),
        os_image=str(info.get("osImage", "")),
        boot_id=str(info.get("bootID", "")),
    )


def _storage_class(found: Manifest) -> StorageClassFact:
    annotations = found["metadata"].get("annotations") or {}
    return StorageClassFact(
        name=found["metadata"]["name"],
        provisioner=str(found.get("provisioner", "")),
        default=annotations.get(_DEFAULT_CLASS) == "true",
        waits=found.get("volumeBindingMode") == "WaitForFirstConsumer",
        reclaim=str(found.get("reclaimPolicy", "Delete")),
        expandable=bool(found.get("allowVolumeExpansion")),
    )


def _load_balancer(
    groups: Mapping[str, tuple[str, ...]],
    nodes: tuple[Manifest, ...],
    services: tuple[Manifest, ...],
) -> LoadBalancerFact:
    for service in services:
        addresses = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        if (service.get("spec") or {}).get("type") == "LoadBalancer" and addresses:
            meta = service["metadata"]
            return LoadBalancerFact(
                True, f"the service {meta.get('namespace')}/{meta['name']} has got an address"
            )
    for group, name in _BALANCER_GROUPS.items():
        if group in groups:
            return LoadBalancerFact(True, f"{name} is installed (API group {group})")
    for node in nodes:
        provider = str((node.get("spec") or {}).get("providerID", "")).partition("://")[0]
        if provider and provider not in ("kind", "k3s", "kwok"):
            return LoadBalancerFact(True, f"the nodes are machines of the provider {provider!r}")
    return LoadBalancerFact(False, "no service has an address and no known controller is there")
