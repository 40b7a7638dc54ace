"""Rules that span several fields of the install-wide settings.

Each check reads the sections that are valid in themselves, so that one run finds all that can be
found. A check yields :class:`Finding`; it never raises.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Any

from pydantic import BaseModel

from installer.core.settings_machines import (
    Cluster,
    Host,
    Networks,
    Ssh,
)
from installer.core.settings_problem import Finding, Path
from installer.core.settings_sections import (
    LETS_ENCRYPT,
    Override,
    Proxy,
    Scale,
    Secrets,
    Server,
    Source,
    Tls,
)
from installer.core.settings_types import pool_range
from installer.core.sizing import (
    ACCOUNTS_PER_CONCURRENT_USER,
    LARGEST,
    TRIAL_HOSTS,
    concurrent_from_accounts,
)
from installer.core.sizing_rows import STANDING_ROLES, Role

Sections = Mapping[str, Any]
Findings = Iterator[Finding]

# The network that container engines take for themselves unless told otherwise.
DOCKER = IPv4Network("172.17.0.0/16")
# kubeadm gives each node a /24 of the pod network.
NODE_PREFIX = 24


def check_names(server: Server) -> Findings:
    given = server.public_names
    names = {
        "homeserver": given.homeserver or f"matrix.{server.name}",
        "web_client": given.web_client or f"chat.{server.name}",
        "calls": given.calls or f"rtc.{server.name}",
        "turn": given.turn or f"turn.{server.name}",
    }
    for (one, first), (other, second) in combinations(names.items(), 2):
        if first == second:
            yield Finding(
                ("server", "public_names", other),
                f"the same name as {one}; each part needs its own",
                value=second,
            )


def check_install_id(install: BaseModel, server: Server) -> Findings:
    derived = server.name.partition(".")[0]
    if getattr(install, "id", None) is None and len(derived) > 20:
        yield Finding(
            ("install", "id"),
            "the first part of the server's name is longer than 20 characters: give a short id",
            f"id: {derived[:20].rstrip('-')}",
        )


def check_scale(scale: Scale) -> Findings:
    ways = ("row", "concurrent_users", "accounts")
    given = [name for name in ways if getattr(scale, name) is not None]
    if not given:
        yield Finding(("scale",), "says nothing about the size", "row: 100")
    for name in given[1:]:
        yield Finding(
            ("scale", name), f"only one of row, concurrent_users and accounts; {given[0]} is given",
            "remove one of them", value=getattr(scale, name),
        )  # fmt: skip
    if scale.accounts is not None:
        people = concurrent_from_accounts(scale.accounts, scale.accounts_per_concurrent_user)
        if people > LARGEST:
            yield Finding(
                ("scale", "accounts"),
                f"that is {people:,} people at the same time; one install serves {LARGEST:,}",
                value=scale.accounts,
            )
    elif scale.accounts_per_concurrent_user != ACCOUNTS_PER_CONCURRENT_USER and given:
        yield Finding(
            ("scale", "accounts_per_concurrent_user"), "means something with accounts only",
            "remove it", value=scale.accounts_per_concurrent_user,
        )  # fmt: skip
    for name, override in scale.overrides.items():
        if override == Override():
            yield Finding(("scale", "overrides", name), "changes nothing", "remove it")


def check_where(cluster: Cluster) -> Findings:
    # Neither hosts nor a cluster is no mistake: --kubeconfig may name one.
    if cluster.context is not None and cluster.kubeconfig is None:
        yield Finding(
            ("cluster", "context"), "means something with a kubeconfig only", value=cluster.context
        )


def check_hosts(hosts: tuple[Host, ...]) -> Findings:
    for field in ("name", "address"):
        seen: dict[object, int] = {}
        for number, host in enumerate(hosts):
            value = getattr(host, field)
            if value in seen:
                other = (
                    hosts[seen[value]].name if field == "address" else f"number {seen[value] + 1}"
                )
                yield Finding(("hosts", number, field), f"the same as of host {other}", value=value)
            seen.setdefault(value, number)
    for number, host in enumerate(hosts):
        if len(set(host.roles)) != len(host.roles):
            yield Finding(("hosts", number, "roles"), "names a role twice")


def check_roles(hosts: tuple[Host, ...], scale: Scale, cluster: Cluster) -> Findings:
    if not hosts:
        return
    if scale.row == "trial":
        yield from _trial_roles(hosts)
        return
    missing = [r for r in STANDING_ROLES if not any(r in host.roles for host in hosts)]
    for role in missing:
        yield Finding(("hosts",), f"no host has the role {role}", f"roles: [{role}]")
    control = sum(Role.CONTROL in host.roles for host in hosts)
    if control % 2 == 0 and control and cluster.kubeconfig is None:
        yield Finding(
            ("hosts",),
            f"{control} control hosts: an even number stops when half of them do",
            "1, 3 or 5",
        )


def _trial_roles(hosts: tuple[Host, ...]) -> Findings:
    if len(hosts) not in TRIAL_HOSTS:
        yield Finding(("hosts",), f"a trial runs on 1 to 3 hosts, and here are {len(hosts)}")
    for number, host in enumerate(hosts):
        lacking = [role for role in STANDING_ROLES if role not in host.roles]
        if lacking:
            yield Finding(
                ("hosts", number, "roles"),
                "each host of a trial has all roles",
                f"roles: [{', '.join(STANDING_ROLES)}]",
            )


def _ranges(networks: Networks) -> Iterator[tuple[Path, str, IPv4Address, IPv4Address]]:
    """Path, name, first and last address of every range."""
    for number, node in enumerate(networks.nodes):
        yield ("networks", "nodes", number), f"the hosts' network {node}", node[0], node[-1]
    for name, network in (("pods", networks.pods), ("services", networks.services)):
        yield ("networks", name), f"the {name} network {network}", network[0], network[-1]
    for number, pool in enumerate(networks.pools):
        first, last = pool_range(pool)
        yield ("networks", "pools", number), f"the pool {pool}", first, last


def check_overlaps(networks: Networks) -> Findings:
    for one, other in combinations(_ranges(networks), 2):
        (_, name, first, last), (path, other_name, other_first, other_last) = one, other
        # A pool lies within the hosts' own network: that is how its addresses are reached.
        if path[1] == "pools" and one[0][1] == "nodes":
            continue
        if first <= other_last and other_first <= last:
            yield Finding(path, f"{other_name} overlaps {name}", "use a range that is free")
    for path, name, first, last in _ranges(networks):
        if path[1] in ("pods", "services") and first <= DOCKER[-1] and DOCKER[0] <= last:
            yield Finding(path, f"{name} overlaps {DOCKER}, which container engines use")


def check_addresses(networks: Networks, hosts: tuple[Host, ...]) -> Findings:
    pools = [pool_range(pool) for pool in networks.pools]
    for number, host in enumerate(hosts):
        path: Path = ("hosts", number, "address")
        if networks.nodes and not any(host.address in network for network in networks.nodes):
            yield Finding(path, "lies in none of networks.nodes", value=host.address)
        # With the hosts' own networks known, an overlap with these is told once, not per host.
        elif not networks.nodes and any(
            host.address in network for network in (networks.pods, networks.services)
        ):
            yield Finding(path, "lies in the pods or services network", value=host.address)
        if any(first <= host.address <= last for first, last in pools):
            yield Finding(path, "lies in a pool that MetalLB gives out", value=host.address)
    room = 2 ** max(0, NODE_PREFIX - networks.pods.prefixlen)
    if len(hosts) > room:
        yield Finding(
            ("networks", "pods"), f"has room for {room} hosts of 256 pods, and there are "
            f"{len(hosts)}", "a larger one, such as 10.244.0.0/16", value=networks.pods,
        )  # fmt: skip


def check_virtual_addresses(
    networks: Networks, hosts: tuple[Host, ...], cluster: Cluster, load_balancer: str
) -> Findings:
    api, edge = networks.virtual_addresses.api, networks.virtual_addresses.edge
    pools = [pool_range(pool) for pool in networks.pools]
    base: Path = ("networks", "virtual_addresses")
    for name, address in (("api", api), ("edge", edge)):
        for host in hosts:
            if address is not None and host.address == address and load_balancer != "host":
                yield Finding((*base, name), f"is the address of host {host.name}", value=address)
    if api is not None:
        if networks.nodes and not any(api in network for network in networks.nodes):
            yield Finding((*base, "api"), "lies in none of networks.nodes", value=api)
        if any(first <= api <= last for first, last in pools):
            yield Finding((*base, "api"), "lies in a pool that MetalLB gives out", value=api)
        if api == edge:
            yield Finding((*base, "edge"), "the same address as api", value=edge)
    control = sum(Role.CONTROL in host.roles for host in hosts)
    if control > 1 and api is None and cluster.kubeconfig is None:
        yield Finding(
            (*base, "api"), f"needed with {control} control hosts: the address that moves to one "
            "that lives", "a free address of the hosts' network",
        )  # fmt: skip
    in_no_pool = edge is not None and pools and not any(a <= edge <= b for a, b in pools)
    if load_balancer == "metallb" and in_no_pool:
        yield Finding((*base, "edge"), "lies in none of networks.pools", value=edge)


def check_pools(networks: Networks, load_balancer: str) -> Findings:
    if load_balancer == "metallb" and not networks.pools:
        yield Finding(
            ("networks", "pools"), "needed with load_balancer: metallb",
            'pools: ["10.10.0.200-10.10.0.220"]',
        )  # fmt: skip
    elif load_balancer != "metallb" and networks.pools:
        yield Finding(("networks", "pools"), "means something with load_balancer: metallb only")


def check_tls(tls: Tls, source: Source) -> Findings:
    for name in ("certificate_file", "private_key"):
        yield from _goes_with(tls, "tls", name, "source", "own", needed=True)
    if tls.source != "acme" and tls.acme_server != LETS_ENCRYPT:
        yield Finding(("tls", "acme_server"), "means something with source: acme only", "remove it")
    if tls.source == "acme" and source.kind == "bundle" and tls.acme_server == LETS_ENCRYPT:
        yield Finding(
            ("tls", "source"), "Let's Encrypt cannot be reached from a place without the internet",
            "internal-ca, own, or an acme_server of yours", value="acme",
        )  # fmt: skip


def check_source(source: Source) -> Findings:
    yield from _goes_with(source, "source", "bundle_file", "kind", "bundle", needed=True)
    if source.kind == "registry" and source.registry is None:
        yield Finding(
            ("source", "registry"), "needed with kind: registry",
            "registry: registry.example.org:5000/matrix",
        )  # fmt: skip
    if source.kind == "online" and source.registry is not None:
        yield Finding(("source", "registry"), "means nothing with kind: online", "kind: registry")
    yield from _login(source, "source", "registry_user", "registry_password")
    if source.registry is None and source.registry_user is not None:
        yield Finding(("source", "registry_user"), "means something with a registry only")


def check_proxy(proxy: Proxy, source: Source) -> Findings:
    if proxy.http is None and proxy.https is None:
        for name in ("no_proxy", "user", "password"):
            if getattr(proxy, name):
                yield Finding(("proxy", name), "means something with http or https only")
    elif source.kind == "bundle":
        name = "http" if proxy.http else "https"
        yield Finding(("proxy", name), "with source.kind: bundle nothing is fetched", "remove it")
    yield from _login(proxy, "proxy", "user", "password")


def check_secrets(secrets: Secrets) -> Findings:
    yield from _goes_with(secrets, "secrets", "recipients", "seal", "recipients", needed=True)
    if len(set(secrets.recipients)) != len(secrets.recipients):
        yield Finding(("secrets", "recipients"), "names a recipient twice")


def check_ssh(ssh: Ssh) -> Findings:
    if ssh.key_passphrase is not None and ssh.key_file is None:
        yield Finding(("ssh", "key_passphrase"), "means something with key_file only")


def _goes_with(
    section: BaseModel, name: str, field: str, switch: str, wanted: str, *, needed: bool
) -> Findings:
    is_wanted, value = getattr(section, switch) == wanted, getattr(section, field)
    if needed and is_wanted and not value:
        example = type(section).model_fields[field].examples or [""]
        shown = example[0] if isinstance(example[0], str) else f"[{', '.join(example[0])}]"
        yield Finding((name, field), f"needed with {switch}: {wanted}", f"{field}: {shown}")
    elif value and not is_wanted:
        yield Finding(
            (name, field), f"means something with {switch}: {wanted} only", "remove it", hide=True
        )


def _login(section: BaseModel, name: str, user: str, password: str) -> Findings:
    if (getattr(section, user) is None) != (getattr(section, password) is None):
        there, lacking = (password, user) if getattr(section, user) is None else (user, password)
        yield Finding((name, lacking), f"needed with {there}")


# Which sections each check reads: it runs when all of them are valid in themselves.
_CHECKS: tuple[tuple[Callable[..., Findings], tuple[str, ...]], ...] = (
    (check_names, ("server",)),
    (check_install_id, ("install", "server")),
    (check_scale, ("scale",)),
    (check_where, ("cluster",)),
    (check_hosts, ("hosts",)),
    (check_roles, ("hosts", "scale", "cluster")),
    (check_overlaps, ("networks",)),
    (check_addresses, ("networks", "hosts")),
    (check_virtual_addresses, ("networks", "hosts", "cluster", "load_balancer")),
    (check_pools, ("networks", "load_balancer")),
    (check_tls, ("tls", "source")),
    (check_source, ("source",)),
    (check_proxy, ("proxy", "source")),
    (check_secrets, ("secrets",)),
    (check_ssh, ("ssh",)),
)


def findings(sections: Sections) -> Iterable[Finding]:
    """What the checks find in the sections that are there."""
    for check, names in _CHECKS:
        if all(name in sections for name in names):
            yield from check(*(sections[name] for name in names))
