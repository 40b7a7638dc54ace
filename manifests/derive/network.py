"""Network policies: both sides of every declared flow, and nothing beside them.

Policies see the addresses and ports of pods, never a Service's: flows end at pod ports. Default
denial and DNS are the business of the component that makes the namespaces.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from installer.core.objects import Manifest
from manifests.assembly import Chosen, endpoint
from manifests.component import Flow, ToEndpoint, ToPods
from manifests.pods import PodSet, Port

NAMESPACE_LABEL = "kubernetes.io/metadata.name"  # set by Kubernetes itself on each namespace


@dataclass(frozen=True)
class Rule:
    """One direction of one flow, at one pod set."""

    component: str
    pods: PodSet
    direction: Literal["ingress", "egress"]
    peers: tuple[Any, ...]
    ports: tuple[Port, ...]
    why: str


def rules(chosen: Sequence[Chosen]) -> tuple[Rule, ...]:
    """Every flow's egress at its source and ingress at its target."""
    return tuple(
        rule
        for item in chosen
        for flow in item.declaration.flows
        for rule in _of(chosen, item, flow)
    )


def _of(chosen: Sequence[Chosen], item: Chosen, flow: Flow) -> Iterable[Rule]:
    source = pod_set(item, flow.source)
    match flow.target:
        case ToPods():
            target = pod_set(item, flow.target.pod_set)
            ports = tuple(target.port(name) for name in flow.target.ports)
            yield from _both(item.name, source, item.name, target, ports, flow.why)
        case ToEndpoint():
            offered = endpoint(chosen, flow.target.component, flow.target.endpoint)
            if offered is None:
                raise KeyError(f"no endpoint {flow.target}")
            if offered.networks:
                out = (Port(offered.name, offered.port, offered.title),)
                peers = tuple({"ipBlock": {"cidr": str(n)}} for n in offered.networks)
                yield Rule(item.name, source, "egress", peers, out, flow.why)
                return
            owner = next(other for other in chosen if other.name == flow.target.component)
            target = pod_set(owner, offered.pods)
            ports = tuple(target.port(name) for name in offered.pod_ports)
            yield from _both(item.name, source, owner.name, target, ports, flow.why)
        case _:
            peers = tuple({"ipBlock": {"cidr": str(n)}} for n in flow.target.networks)
            yield Rule(item.name, source, "egress", peers, flow.target.ports, flow.why)


def _both(
    source_component: str,
    source: PodSet,
    target_component: str,
    target: PodSet,
    ports: tuple[Port, ...],
    why: str,
) -> Iterable[Rule]:
    yield Rule(source_component, source, "egress", (_peer(source, target),), ports, why)
    yield Rule(target_component, target, "ingress", (_peer(target, source),), ports, why)


def _peer(seen_from: PodSet, other: PodSet) -> dict[str, Any]:
    peer: dict[str, Any] = {"podSelector": {"matchLabels": dict(other.selector)}}
    if other.namespace != seen_from.namespace:
        peer["namespaceSelector"] = {"matchLabels": {NAMESPACE_LABEL: other.namespace}}
    return peer


def pod_set(item: Chosen, name: str) -> PodSet:
    """Raises KeyError."""
    for pods in item.declaration.pods:
        if pods.name == name:
            return pods
    raise KeyError(f"{item.name} declares no pod set {name}")


def policies(chosen: Sequence[Chosen], component: str) -> list[Manifest]:
    """One policy for each pod set of the component that any flow begins or ends at."""
    every = [rule for rule in rules(chosen) if rule.component == component]
    found = []
    for pods in dict.fromkeys(rule.pods.name for rule in every):
        mine = [rule for rule in every if rule.pods.name == pods]
        found.append(_policy(mine))
    return found


def _policy(rules_of_pods: Sequence[Rule]) -> Manifest:
    pods = rules_of_pods[0].pods
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": dict(pods.selector)},
        "policyTypes": ["Ingress", "Egress"],
    }
    for direction, key in (("ingress", "from"), ("egress", "to")):
        entries = [
            {key: list(rule.peers), "ports": [_port(port) for port in rule.ports]}
            for rule in rules_of_pods
            if rule.direction == direction
        ]
        unique = [entry for at, entry in enumerate(entries) if entry not in entries[:at]]
        if unique:
            spec[direction] = unique
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": pods.name, "namespace": pods.namespace},
        "spec": spec,
    }


def _port(port: Port) -> dict[str, Any]:
    return {"port": port.number, "protocol": port.protocol}
