"""Namespaces of all chosen components: who may run what in them, how much, and nothing by wire."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from installer.core.settings_types import Address, Label
from manifests.component import Component, Declaration, ObjectFile, Phase, UnverifiedFact
from manifests.config import DataConfig, SecretRef
from manifests.context import ComponentContext
from manifests.contributions import NamespaceDemand, PriorityDemand
from manifests.derive.podtemplates import REGISTRY_LOGIN
from manifests.settings import ComponentSettings

# Above every ordinary pod (0) and below what Kubernetes keeps for itself (2,000,000,000).
PRIORITY_VALUES = {"infrastructure": 1_000_000, "service": 100_000}
HEADROOM_PERCENT = 150  # a rollout runs old and new pods side by side
SPARE_PODS = 10  # the operator's own Jobs and debug pods


class NamespacesSettings(ComponentSettings):
    """Namespaces, their quotas and their default denial of all traffic."""

    dns_namespace: Label = Field(
        default="kube-system",
        description="Namespace of the cluster's DNS servers: every pod may ask them.",
        examples=["kube-system"],
    )
    dns_addresses: tuple[Address, ...] = Field(
        default=(IPv4Address("169.254.20.10"),),
        description="Further addresses that answer DNS, such as a cache on each node.",
        examples=[["169.254.20.10"]],
    )
    dns_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        default=(53,),
        min_length=1,
        description="Ports on which the pods of the DNS servers listen.",
        examples=[[53]],
    )


def _quota(demand: NamespaceDemand) -> dict[str, str]:
    def with_headroom(figure: int) -> int:
        return -(-figure * HEADROOM_PERCENT // 100)

    return {
        "pods": str(with_headroom(demand.pods) + SPARE_PODS),
        "requests.cpu": f"{with_headroom(demand.cpu_request) + 1000}m",
        "requests.memory": f"{with_headroom(demand.memory_request) + 1024}Mi",
        "limits.memory": f"{with_headroom(demand.memory_limit) + 1024}Mi",
        "persistentvolumeclaims": str(demand.volume_claims),
        "services.loadbalancers": str(demand.load_balancers),
        "services.nodeports": str(demand.node_ports),
    }


def _registry_login(
    ctx: ComponentContext, spaces: Sequence[Mapping[str, Any]]
) -> tuple[ObjectFile, ...]:
    """A Secret for pulling images in each namespace. Without one, hosts log in or need not."""
    login = ctx.install.registry_login
    if login is None:
        return ()
    entry = {"username": login.user, "password": SecretRef(login.password)}
    config = DataConfig({"auths": {login.server: entry}}, "json")
    values = {"namespaces": spaces, "name": REGISTRY_LOGIN}
    return (ObjectFile("registry-login.yaml.j2", values, {"login": config}),)


def declare(ctx: ComponentContext) -> Declaration:
    settings: NamespacesSettings = ctx.settings
    demands = ctx.contributions(NamespaceDemand)
    classes = ctx.contributions(PriorityDemand)
    dns = {
        "dns_namespace": settings.dns_namespace,
        "dns_networks": [f"{address}/32" for address in settings.dns_addresses],
        "dns_ports": list(settings.dns_ports),
    }
    spaces = [
        {
            "name": demand.namespace,
            "title": demand.title,
            "pod_security": demand.pod_security,
            "quota": _quota(demand),
        }
        for demand in demands
    ]
    priorities = [
        {"name": item.class_name, "value": PRIORITY_VALUES[item.priority], "title": item.priority}
        for item in classes
    ]
    return Declaration(
        objects=(
            *_registry_login(ctx, spaces),
            ObjectFile("priorities.yaml.j2", {"priorities": priorities}),
            ObjectFile("namespaces.yaml.j2", {"namespaces": spaces}),
            ObjectFile("policies.yaml.j2", {"namespaces": spaces, **dns}),
        )
    )


COMPONENT = Component(
    name="namespaces",
    title="Namespaces",
    phase=Phase.INFRASTRUCTURE,
    folder=Path(__file__).parent,
    settings=NamespacesSettings,
    declare=declare,
    accepts=(NamespaceDemand, PriorityDemand),
    unverified=(
        UnverifiedFact(
            fact="A NetworkPolicy sees the addresses and ports of DNS pods, after the Service's "
            "address was translated.",
            source="https://kubernetes.io/docs/concepts/services-networking/network-policies/",
            if_wrong="Pods cannot resolve names; add the Service's address to dns_addresses.",
        ),
        UnverifiedFact(
            fact="The cluster's network plugin enforces NetworkPolicies in both directions.",
            source="https://docs.tigera.io/calico/latest/network-policy/",
            if_wrong="Every pod of the cluster can reach every other.",
        ),
        UnverifiedFact(
            fact="A login of a registry may be given as user and password, without the field auth.",
            source="https://kubernetes.io/docs/tasks/configure-pod-container/"
            "pull-image-private-registry/",
            if_wrong="Pods of an install from a registry with a login cannot pull their images.",
        ),
    ),
)
