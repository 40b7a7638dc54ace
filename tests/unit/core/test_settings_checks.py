"""Rules between fields: each has the case that breaks it and nothing else."""

from typing import Any

import pytest

from installer.core.settings_problem import Finding, dotted
from installer.core.settings_validation import check_settings
from tests.unit.core.settings_samples import MODEL, changed, valid_tree

RECIPIENT = "age1z3u8fvts4d58s0v4xfscrsgtty7dnpd7tzd2lg3utdwaklttd30sxu60wj"
TRIAL_HOST = {
    "name": "one",
    "address": "10.10.0.11",
    "roles": ["control", "app", "db", "storage", "call"],
}


def findings(tree: dict[str, Any]) -> list[Finding]:
    return list(check_settings(MODEL, tree).findings)


def networks(**values: Any) -> dict[str, Any]:
    tree = valid_tree()
    tree["networks"].update(values)
    return tree


def addresses(**values: str | None) -> dict[str, Any]:
    tree = valid_tree()
    tree["networks"]["virtual_addresses"] = {k: v for k, v in values.items() if v}
    return tree


@pytest.mark.parametrize(
    ("tree", "path", "why"),
    [
        (
            changed("server.public_names.web_client", "matrix.example.org"),
            "server.public_names.web_client",
            "the same name as homeserver",
        ),
        (changed("server.name", "a-rather-long-first-label.example.org"), "install.id", "longer"),
        (valid_tree(scale={}), "scale", "says nothing about the size"),
        (
            valid_tree(scale={"row": "100", "accounts": 5}),
            "scale.accounts",
            "only one of row, concurrent_users and accounts",
        ),
        (valid_tree(scale={"accounts": 100_005}), "scale.accounts", "20,001 people"),
        (
            valid_tree(scale={"concurrent_users": 20_001}),
            "scale.concurrent_users",
            "less than or equal to 20000",
        ),
        (
            valid_tree(scale={"row": "100", "accounts_per_concurrent_user": 9}),
            "scale.accounts_per_concurrent_user",
            "with accounts only",
        ),
        (
            valid_tree(scale={"row": "100", "overrides": {"cache": {}}}),
            "scale.overrides.cache",
            "changes nothing",
        ),
        (valid_tree(cluster={"context": "x"}), "cluster.context", "with a kubeconfig only"),
        (changed("hosts.1.name", "control-1"), "hosts[1].name", "the same as of host number 1"),
        (
            changed("hosts.1.address", "10.10.0.11"),
            "hosts[1].address",
            "the same as of host control-1",
        ),
        (changed("hosts.3.roles", ["app", "app"]), "hosts[3].roles", "names a role twice"),
        (changed("hosts.3.address", "10.11.0.1"), "hosts[3].address", "none of networks.nodes"),
        (changed("hosts.3.address", "10.10.0.205"), "hosts[3].address", "a pool"),
        (networks(services="10.244.128.0/17"), "networks.services", "overlaps the pods network"),
        (networks(pods="172.16.0.0/12"), "networks.pods", "172.17.0.0/16"),
        (networks(pods="10.244.0.0/21"), "networks.pods", "room for 8 hosts"),
        (networks(pools=[]), "networks.pools", "needed with load_balancer: metallb"),
        (
            networks(pools=["10.10.0.200-10.10.0.220", "10.10.0.210-10.10.0.230"]),
            "networks.pools[1]",
            "overlaps the pool",
        ),
        (
            networks(pools=["10.10.0.200-10.10.0.220", "10.96.3.0/28"]),
            "networks.pools[1]",
            "overlaps the services network",
        ),
        (valid_tree(load_balancer="nodeport"), "networks.pools", "metallb only"),
        (addresses(edge="10.10.0.200"), "networks.virtual_addresses.api", "3 control hosts"),
        (addresses(api="10.10.0.11"), "networks.virtual_addresses.api", "of host control-1"),
        (addresses(api="10.11.0.1"), "networks.virtual_addresses.api", "none of networks.nodes"),
        (addresses(api="10.10.0.203"), "networks.virtual_addresses.api", "in a pool"),
        (
            addresses(api="10.10.0.10", edge="10.10.0.99"),
            "networks.virtual_addresses.edge",
            "none of networks.pools",
        ),
        (
            valid_tree(tls={"source": "own", "private_key": "secret:k"}),
            "tls.certificate_file",
            "needed with source: own",
        ),
        (
            valid_tree(tls={"source": "own", "certificate_file": "f"}),
            "tls.private_key",
            "needed with source: own",
        ),
        (
            valid_tree(tls={"certificate_file": "f"}),
            "tls.certificate_file",
            "with source: own only",
        ),
        (
            valid_tree(tls={"acme_server": "https://ca.example.org/dir"}),
            "tls.acme_server",
            "with source: acme only",
        ),
        (
            valid_tree(tls={"source": "acme"}, source={"kind": "bundle", "bundle_file": "b"}),
            "tls.source",
            "cannot be reached",
        ),
        (valid_tree(source={"kind": "bundle"}), "source.bundle_file", "needed with kind: bundle"),
        (valid_tree(source={"bundle_file": "b"}), "source.bundle_file", "with kind: bundle only"),
        (valid_tree(source={"kind": "registry"}), "source.registry", "needed with kind: registry"),
        (valid_tree(source={"registry": "r.example.org"}), "source.registry", "kind: online"),
        (
            valid_tree(
                source={"kind": "registry", "registry": "r.example.org", "registry_user": "u"}
            ),
            "source.registry_password",
            "needed with registry_user",
        ),
        (
            valid_tree(
                source={
                    "kind": "bundle",
                    "bundle_file": "b",
                    "registry_user": "u",
                    "registry_password": "secret:r",
                }
            ),
            "source.registry_user",
            "with a registry only",
        ),
        (valid_tree(proxy={"no_proxy": ["a"]}), "proxy.no_proxy", "with http or https only"),
        (
            valid_tree(proxy={"http": "http://p.example.org:3128", "password": "secret:p"}),
            "proxy.user",
            "needed with password",
        ),
        (
            valid_tree(
                proxy={"http": "http://p.example.org"},
                source={"kind": "bundle", "bundle_file": "b"},
            ),
            "proxy.http",
            "nothing is fetched",
        ),
        (valid_tree(secrets={"seal": "recipients"}), "secrets.recipients", "needed with seal"),
        (
            valid_tree(secrets={"recipients": [RECIPIENT]}),
            "secrets.recipients",
            "with seal: recipients only",
        ),
        (
            valid_tree(secrets={"seal": "recipients", "recipients": [RECIPIENT, RECIPIENT]}),
            "secrets.recipients",
            "names a recipient twice",
        ),
        (
            valid_tree(secrets={"seal": "recipients", "recipients": ["ssh-ed25519 AAAA"]}),
            "secrets.recipients[0]",
            "not an age recipient",
        ),
        (
            valid_tree(ssh={"key_passphrase": "secret:k"}),
            "ssh.key_passphrase",
            "with key_file only",
        ),
    ],
)
def test_a_rule_between_fields_is_broken_by_one_finding(
    tree: dict[str, Any], path: str, why: str
) -> None:
    assert [(dotted(f.path), why in f.why) for f in findings(tree)] == [(path, True)]


@pytest.mark.parametrize("role", ["control", "app", "db", "storage", "call"])
def test_every_standing_role_needs_a_host(role: str) -> None:
    hosts = [host for host in valid_tree()["hosts"] if role not in host["roles"]]
    assert [f.why for f in findings(valid_tree(hosts=hosts))] == [f"no host has the role {role}"]


def test_an_even_number_of_control_hosts_is_refused() -> None:
    hosts = valid_tree()["hosts"][1:]
    assert [f.suggestion for f in findings(valid_tree(hosts=hosts))] == ["1, 3 or 5"]


def test_a_host_in_the_pods_network_is_refused() -> None:
    tree = changed("hosts.3.address", "10.244.1.1")
    del tree["networks"]["nodes"]
    assert [f.why for f in findings(tree)] == ["lies in the pods or services network"]


def test_the_api_and_the_edge_need_an_address_each() -> None:
    tree = addresses(api="10.10.0.10", edge="10.10.0.10")
    tree["load_balancer"] = "existing"
    del tree["networks"]["pools"]
    assert [f.why for f in findings(tree)] == ["the same address as api"]


def test_the_hosts_network_overlaps_no_other() -> None:
    found = findings(networks(nodes=["10.10.0.0/24", "10.96.0.0/24"]))
    assert [dotted(f.path) for f in found] == ["networks.services"]
    found = findings(networks(nodes=["10.10.0.0/24"], services="10.10.0.0/25"))
    assert [dotted(f.path) for f in found] == ["networks.services"]


def test_a_pool_lies_within_the_network_of_the_hosts() -> None:
    assert findings(networks(pools=["10.10.0.128/25"])) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_trial_runs_on_up_to_three_hosts_with_all_roles(count: int) -> None:
    tree = valid_tree(scale={"row": "trial"})
    tree["hosts"] = [
        {**TRIAL_HOST, "name": f"h{n}", "address": f"10.10.0.{n + 20}"} for n in range(count)
    ]
    assert findings(tree) == []
    tree["hosts"][0]["roles"] = ["control", "app"]
    assert [dotted(f.path) for f in findings(tree)] == ["hosts[0].roles"]


def test_a_trial_on_four_hosts_is_refused() -> None:
    tree = valid_tree(scale={"row": "trial"})
    tree["hosts"] = [
        {**TRIAL_HOST, "name": f"h{n}", "address": f"10.10.0.{n + 20}"} for n in range(4)
    ]
    assert ["1 to 3 hosts" in f.why for f in findings(tree)] == [True]


def test_a_cluster_that_exists_needs_no_hosts() -> None:
    tree = valid_tree(hosts=None, cluster={"kubeconfig": "k"}, load_balancer="existing")
    tree["networks"] = {}
    assert findings(tree) == []


def test_hosts_beside_a_kubeconfig_count_for_sizing_alone() -> None:
    tree = valid_tree(cluster={"kubeconfig": "k"})
    tree["networks"]["virtual_addresses"] = {"edge": "10.10.0.200"}
    assert findings(tree) == []
