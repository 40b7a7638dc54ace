"""Redis for Synapse and for LiveKit: Valkey with Sentinel, behind a proxy that knows the master."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from installer.core.secrets import SecretDeclaration
from installer.core.settings_problem import Finding
from manifests.component import (
    Component,
    Declaration,
    Endpoint,
    Flow,
    Image,
    NamespaceDeclaration,
    ObjectFile,
    Phase,
    Proof,
    ToPods,
)
from manifests.components.redis import estates, facts
from manifests.components.redis import settings as redis_settings
from manifests.components.redis.estates import Estate
from manifests.components.redis.settings import ExternalRedis, RedisSettings
from manifests.config import Config, DataConfig, FileConfig, SecretRef, TextConfig
from manifests.config_text import HaproxyVariable
from manifests.context import ComponentContext
from manifests.contributions import AlertRules, Contribution, Dashboard, ScrapeTarget

FOLDER = Path(__file__).parent
SCRIPTS = (
    "common.sh",
    "start-server.sh",
    "start-sentinel.sh",
    "stop-server.sh",
    "stop-sentinel.sh",
    "step-down.sh",
    "probe.sh",
)
POD_LABEL = "statefulset.kubernetes.io/pod-name"  # set by Kubernetes on each pod
MONITORING = "monitoring"  # the component that takes scrape targets, when there is one


def _config(estate: Estate, further: Mapping[str, Any]) -> Mapping[str, Config]:
    password = SecretRef(f"redis-{estate.name}-password")
    sentinel_password = SecretRef(f"redis-{estate.name}-sentinel-password")
    hard, soft = estate.pubsub_limit
    server = {
        "password": password,
        "maxmemory": estate.memory * estates.DATA_PERCENT // 100,
        "eviction": estate.eviction,
        "pubsub_hard": hard,
        "pubsub_soft": soft,
        "extra": [
            [name, list(value) if isinstance(value, list) else [value]]
            for name, value in sorted(further.items())
        ],
    }
    passwords = {"redis://127.0.0.1:6379": password}
    files: dict[str, Config] = {
        "server.conf": TextConfig("server.conf.j2", "redis", server),
        "password": DataConfig(password, "text"),
    }
    if estate.sentinel:
        sentinel = {
            "password": sentinel_password,
            "server_password": password,
            "master": estate.master_name,
        }
        files["sentinel.conf"] = TextConfig("sentinel.conf.j2", "redis", sentinel)
        files["sentinel-password"] = DataConfig(sentinel_password, "text")
        passwords["redis://127.0.0.1:26379"] = sentinel_password
    files["exporter-passwords.json"] = DataConfig(passwords, "json")
    return files


def _proxy_config(estate: Estate) -> Mapping[str, Config]:
    values: dict[str, Any] = {
        "password": SecretRef(f"redis-{estate.name}-password"),
        "sentinel": estate.sentinel,
        "master": estate.master_name,
        "quorum": estate.quorum,
        "servers": [
            {"name": name, "address": HaproxyVariable(_address_variable(name))}
            for name in estate.members
        ],
        "port": estates.SERVER_PORT,
        "sentinel_port": estates.SENTINEL_PORT,
        "health_port": estates.PROXY_HEALTH_PORT,
    }
    if estate.sentinel:
        values["sentinel_password"] = SecretRef(f"redis-{estate.name}-sentinel-password")
    return {"haproxy.cfg": TextConfig("haproxy.cfg.j2", "haproxy", values)}


def _address_variable(service: str) -> str:
    """The variable in which a pod finds a Service's address (enableServiceLinks)."""
    return f"{service.upper().replace('-', '_')}_SERVICE_HOST"


def _objects(estate: Estate, further: Mapping[str, Any]) -> tuple[ObjectFile, ...]:
    common = {
        "namespace": estate.servers.namespace,
        "estate": {
            "name": estate.name,
            "master": estate.master_name,
            "replicas": estate.replicas,
            "sentinel": estate.sentinel,
            "quorum_text": str(estate.quorum),
            "members": [
                {"name": name, "selector": {**estate.servers.selector, POD_LABEL: name}}
                for name in estate.members
            ],
            "pods": " ".join(estate.members),
            "size": {"cpu": estate.size.cpu, "memory_gb": estate.size.memory_gb},
            "sidecar": _size(estates.SIDECAR_SIZE),
            "state_limit": f"{estate.memory // estates.MIB + 64}Mi",
        },
        "servers": {"name": estate.servers.name, "selector": dict(estate.servers.selector)},
        "proxy": {
            "name": estate.proxy.name,
            "selector": dict(estate.proxy.selector),
            "replicas": estate.proxies,
            "size": _size(estates.PROXY_SIZE),
        },
    }
    return (
        ObjectFile("servers.yaml.j2", common, _config(estate, further)),
        ObjectFile("proxy.yaml.j2", common, _proxy_config(estate)),
    )


def _size(size: Any) -> dict[str, float]:
    return {"cpu": size.cpu, "memory_gb": size.memory_gb}


def _secrets(estate: Estate) -> tuple[SecretDeclaration, ...]:
    reader = {"synapse": "Synapse", "livekit": "LiveKit"}[estate.name]
    declared = [
        SecretDeclaration(
            name=f"redis-{estate.name}-password",
            purpose=f"Opens the Redis servers that {reader} uses",
            reader=f"the servers, their Sentinels and proxies, {reader}",
            rotation="Old and new servers would refuse each other: after a new value, delete all "
            f"pods of the estate at once. {reader} must restart too; calls and replication are "
            "away for about a minute.",
        )
    ]
    if estate.sentinel:
        declared.append(
            SecretDeclaration(
                name=f"redis-{estate.name}-sentinel-password",
                purpose=f"Opens the Sentinels that watch {reader}'s Redis servers",
                reader="the Sentinels, the proxies" + (", LiveKit" if reader == "LiveKit" else ""),
                rotation="A new value restarts the servers and the proxies.",
            )
        )
    return tuple(declared)


def _flows(estate: Estate) -> tuple[Flow, ...]:
    servers, proxy = estate.servers.name, estate.proxy.name
    if not estate.sentinel:
        return (Flow(proxy, ToPods(servers, ("redis",)), "connections of clients, role checks"),)
    both = ToPods(servers, ("redis", "sentinel"))
    return (
        Flow(proxy, both, "connections of clients, role checks"),
        Flow(servers, both, "replication, Sentinels' quorum"),
    )


def _endpoints(estate: Estate) -> tuple[Endpoint, ...]:
    found = [
        Endpoint(
            name=estate.name,
            title=f"the master of {estate.name}'s Redis, through the proxy",
            host=f"{estate.proxy.name}.{estate.domain}",
            port=estates.SERVER_PORT,
            pods=estate.proxy.name,
            pod_ports=("redis",),
            secrets={"password": f"redis-{estate.name}-password"},
        )
    ]
    if estate.sentinel:
        found.append(
            Endpoint(
                name=f"{estate.name}-sentinel",
                title=f"{estate.name}'s Redis for clients that speak Sentinel",
                host=f"{estate.members[0]}.{estate.domain}",
                port=estates.SENTINEL_PORT,
                pods=estate.servers.name,
                pod_ports=("redis", "sentinel"),
                facts={
                    "master_name": estate.master_name,
                    "addresses": [
                        f"{name}.{estate.domain}:{estates.SENTINEL_PORT}" for name in estate.members
                    ],
                },
                secrets={
                    "password": f"redis-{estate.name}-password",
                    "sentinel_password": f"redis-{estate.name}-sentinel-password",
                },
            )
        )
    return tuple(found)


def _external(name: str, external: ExternalRedis) -> Endpoint:
    return Endpoint(
        name=name,
        title=f"{name}'s Redis, run by the operator",
        host=external.host,
        port=external.port,
        networks=tuple(external.networks),
        secrets={"password": external.password.secret},
    )


def _proofs(estate: Estate) -> tuple[Proof, ...]:
    name = estate.servers.name
    found = [
        Proof("redis-one-master", f"{name}: exactly one server is master", {"estate": name}),
        Proof("redis-pubsub", f"{name}: a message published through the proxy arrives"),
    ]
    if estate.sentinel:
        found.append(Proof("redis-quorum", f"{name}: the Sentinels agree (SENTINEL CKQUORUM)"))
    return tuple(found)


def _monitoring(estate: Estate) -> tuple[Contribution, ...]:
    servers, proxy = estate.servers.name, estate.proxy.name
    found = [
        ScrapeTarget(MONITORING, job=servers, pod_set=servers, port="metrics"),
        ScrapeTarget(MONITORING, job=proxy, pod_set=proxy, port="health"),
    ]
    if estate.sentinel:
        found.append(
            ScrapeTarget(
                MONITORING,
                job=f"{servers}-sentinel",
                pod_set=servers,
                port="metrics",
                path="/scrape",
                params={"target": "redis://127.0.0.1:26379"},
            )
        )
    return tuple(found)


def alert_groups() -> tuple[Mapping[str, Any], ...]:
    """The rule groups of ``alerts.yaml``."""
    text = (FOLDER / "alerts.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["groups"])


def dashboard() -> Mapping[str, Any]:
    """The dashboard's JSON."""
    content: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return content


def declare(ctx: ComponentContext) -> Declaration:
    settings: RedisSettings = ctx.settings
    made = estates.estates(ctx)
    outside = (("synapse", settings.synapse.external), ("livekit", settings.livekit.external))
    shared = ObjectFile(
        "scripts.yaml.j2",
        {"namespace": ctx.install.namespace(estates.SUFFIX)},
        {name: FileConfig(f"scripts/{name}") for name in SCRIPTS},
    )
    objects = tuple(o for e in made for o in _objects(e, settings.extra))
    return Declaration(
        objects=(shared, *objects) if objects else (),
        pods=tuple(pods for e in made for pods in (e.servers, e.proxy)),
        flows=tuple(flow for e in made for flow in _flows(e)),
        endpoints=(
            *(offered for e in made for offered in _endpoints(e)),
            *(_external(name, there) for name, there in outside if there is not None),
        ),
        secrets=tuple(secret for e in made for secret in _secrets(e)),
        proofs=tuple(proof for e in made for proof in _proofs(e)),
        contributions=_contributions(made),
    )


def _contributions(made: Sequence[Estate]) -> tuple[Contribution, ...]:
    if not made:
        return ()
    return (
        AlertRules(MONITORING, groups=alert_groups()),
        Dashboard(MONITORING, name="redis", content=dashboard()),
        *(item for e in made for item in _monitoring(e)),
    )


def check(ctx: ComponentContext) -> Iterable[Finding]:
    yield from redis_settings.check(ctx.settings)
    for estate in estates.estates(ctx):
        if estate.replicas % 2 == 0:
            yield Finding(
                ("scale", "overrides"),
                f"redis/{estate.name}: an even number of servers cannot have a majority",
                f"{estate.replicas + 1}",
                value=estate.replicas,
            )


COMPONENT = Component(
    name="redis",
    title="Redis",
    phase=Phase.INFRASTRUCTURE,
    folder=FOLDER,
    settings=RedisSettings,
    declare=declare,
    needs=("namespaces",),
    parts=(*estates.NAMES, "proxy"),
    namespaces=(NamespaceDeclaration(estates.SUFFIX, "Redis of Synapse and LiveKit"),),
    images=(
        Image(
            name="valkey",
            repository="docker.io/valkey/valkey",
            version="9.1.1",
            variant="alpine",
            floor="9.1.1",
            floor_reason="older ones let a client run code (CVE-2026-56684, CVE-2026-63639) and "
            "their Sentinel can crash during a failover",
            source="https://hub.docker.com/r/valkey/valkey/tags",
        ),
        Image(
            name="haproxy",
            repository="docker.io/library/haproxy",
            version="3.2.22",
            variant="alpine",
            floor="3.2.0",
            floor_reason="the oldest line with long-term support that the configuration is "
            "written for",
            source="https://github.com/docker-library/official-images/blob/master/library/haproxy",
        ),
        Image(
            name="exporter",
            repository="ghcr.io/oliver006/redis_exporter",
            version="v1.88.0",
            floor="1.88.0",
            floor_reason="the version whose metrics' names the alerts were written against",
            source="https://github.com/oliver006/redis_exporter/releases",
        ),
    ),
    check=check,
    unverified=facts.UNVERIFIED,
)
