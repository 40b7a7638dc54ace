"""Network policies: everything denied, both sides of every declared flow allowed, nothing more."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from installer.core.objects import Manifest
from installer.core.sizing_rows import Role
from manifests.assembly import assemble
from manifests.component import (
    Component,
    Declaration,
    Endpoint,
    Flow,
    ToEndpoint,
    ToNetworks,
    ToPods,
)
from manifests.context import ComponentContext
from manifests.derive.network import policies
from manifests.derive.podtemplates import containers, is_workload, pod_template
from manifests.pods import Port
from tests.unit.manifests.samples import ROWS, named, objects
from tests.unit.manifests.synthetic import component, install, plain_settings

every_row = pytest.mark.parametrize("row", ROWS)
Link = tuple[str, str, int, str]  # pod set, peer's pod set, port, protocol


def links(found: list[Manifest], direction: str) -> set[Link]:
    """(pods, peer, port, protocol) of all rules in one direction; peers by name of pod set."""
    result = set()
    for policy in (m for m in found if m["kind"] == "NetworkPolicy"):
        own = policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for rule in policy["spec"].get(direction, ()) if own else ():
            for peer in rule["from" if direction == "ingress" else "to"]:
                other = peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
                for port in rule["ports"]:
                    result.add((own, other, port["port"], port["protocol"]))
    return result


@every_row
def test_policies_pair_up(row: str) -> None:
    found = objects(row)
    going_out = links(found, "egress")
    coming_in = {
        (peer, own, port, protocol) for own, peer, port, protocol in links(found, "ingress")
    }
    assert going_out == coming_in
    assert going_out


@every_row
def test_every_namespace_denies_by_default_and_asks_dns(row: str) -> None:
    found = objects(row)
    for namespace in (m["metadata"]["name"] for m in found if m["kind"] == "Namespace"):
        by_name = {
            m["metadata"]["name"]: m["spec"]
            for m in found
            if m["kind"] == "NetworkPolicy" and m["metadata"]["namespace"] == namespace
        }
        deny = by_name["default-deny"]
        assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        (rule,) = by_name["allow-dns"]["egress"]
        assert {(p["port"], p["protocol"]) for p in rule["ports"]} == {(53, "UDP"), (53, "TCP")}
        assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in rule["to"]


@every_row
def test_redis_takes_nobody_but_its_own(row: str) -> None:
    allowed = {(own, peer) for own, peer, _, _ in links(objects(row), "ingress")}
    own_pairs = {("redis-synapse", "redis-synapse-proxy"), ("redis-livekit", "redis-livekit-proxy")}
    if row != "trial":
        own_pairs |= {("redis-synapse", "redis-synapse"), ("redis-livekit", "redis-livekit")}
    assert allowed == own_pairs


@every_row
def test_policies_name_ports_that_containers_have(row: str) -> None:
    found = objects(row)
    for own, _, port, _ in links(found, "ingress"):
        offered = {
            offer["containerPort"]
            for m in found
            if is_workload(m)
            and pod_template(m)["metadata"]["labels"]["app.kubernetes.io/name"] == own
            for c in containers(m)
            for offer in c.get("ports", ())
        }
        assert port in offered


def store(ctx: ComponentContext) -> Declaration:
    pods = ctx.pod_set(
        "s3",
        role="server",
        namespace="store",
        replicas=1,
        ports=(Port("s3", 9000, "objects"), Port("metrics", 9001, "metrics")),
        node_role=Role.STORAGE,
    )
    return Declaration(
        pods=(pods,),
        endpoints=(
            Endpoint("s3", "objects", "s3.example", 80, pods="s3", pod_ports=("s3",)),
            Endpoint("tape", "tapes", "tape.example", 7, networks=(IPv4Network("192.0.2.0/24"),)),
        ),
    )


def media(*targets: Any) -> Component:
    def declare(ctx: ComponentContext) -> Declaration:
        pods = ctx.pod_set("media", role="worker", namespace="media", replicas=1)
        return Declaration(pods=(pods,), flows=tuple(Flow("media", t, "files") for t in targets))

    return component("media", declare)


def test_a_flow_across_namespaces_opens_the_pods_port_on_both_sides() -> None:
    made = assemble([media(ToEndpoint("store", "s3")), component("store", store)],
                    install(), plain_settings)  # fmt: skip
    (out,) = policies(made, "media")
    (into,) = policies(made, "store")
    assert out["metadata"]["namespace"] == "example-media"
    (egress,) = out["spec"]["egress"]
    assert egress["ports"] == [{"port": 9000, "protocol": "TCP"}]  # the pod's, not the Service's
    (peer,) = egress["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "example-store"
    }
    (ingress,) = into["spec"]["ingress"]
    assert ingress["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "media"
    assert "ingress" not in out["spec"]
    assert "egress" not in into["spec"]


def test_flows_out_of_the_cluster_go_to_networks() -> None:
    mail = ToNetworks((IPv4Network("198.51.100.0/24"),), (Port("smtp", 25, "mail"),))
    made = assemble([media(ToEndpoint("store", "tape"), mail), component("store", store)],
                    install(), plain_settings)  # fmt: skip
    (out,) = policies(made, "media")
    assert [(r["to"], r["ports"]) for r in out["spec"]["egress"]] == [
        ([{"ipBlock": {"cidr": "192.0.2.0/24"}}], [{"port": 7, "protocol": "TCP"}]),
        ([{"ipBlock": {"cidr": "198.51.100.0/24"}}], [{"port": 25, "protocol": "TCP"}]),
    ]


def test_a_flow_to_a_port_that_pods_do_not_have_is_a_defect() -> None:
    made = assemble([media(ToPods("media", ("nothing",)))], install(), plain_settings)
    with pytest.raises(KeyError, match="media has no port nothing"):
        policies(made, "media")


def test_dns_of_another_cluster() -> None:
    own = {"dns_namespace": "openshift-dns", "dns_addresses": [], "dns_ports": [5353]}
    found = objects(components={"namespaces": own})
    (rule,) = named(found, "NetworkPolicy", "allow-dns")["spec"]["egress"]
    assert [peer for peer in rule["to"] if "ipBlock" in peer] == []
    assert {port["port"] for port in rule["ports"]} == {5353}


def every_peer(found: list[Manifest]) -> Iterator[dict[str, Any]]:
    for policy in (m for m in found if m["kind"] == "NetworkPolicy"):
        for direction, key in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, ()):
                yield from rule[key]


@every_row
def test_no_peer_is_everybody(row: str) -> None:
    for peer in every_peer(objects(row)):
        assert peer not in ({}, {"podSelector": {}}, {"namespaceSelector": {}})
        assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"
