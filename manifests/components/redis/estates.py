"""The two Redis estates and the figures that follow from their size."""

from dataclasses import dataclass

from installer.core.sizing_rows import Role, Size
from manifests.context import ComponentContext
from manifests.pods import PodSet, Port, Priority

SUFFIX = "redis"  # of the namespace
SERVER_PORT = 6379
SENTINEL_PORT = 26379
EXPORTER_PORT = 9121
PROXY_HEALTH_PORT = 8405

# One estate a Synapse: two homeservers of one name must never share one, because Synapse's channel
# is called after the server's name and PUBLISH knows no database number.
NAMES = ("synapse", "livekit")

PROXY_SIZE = Size(0.5, 0.125)
SIDECAR_SIZE = Size(0.1, 0.0625)  # Sentinel, and the exporter
# Of a server's memory; the rest is for clients' and replicas' buffers and for copying on write.
DATA_PERCENT = 60
MIB = 2**20


@dataclass(frozen=True)
class Estate:
    """One estate: ``replicas`` servers, each with a Sentinel when there is more than one."""

    name: str
    replicas: int
    proxies: int
    size: Size
    servers: PodSet
    proxy: PodSet
    eviction: str
    domain: str  # of the namespace's Services

    @property
    def sentinel(self) -> bool:
        return self.replicas > 1

    @property
    def master_name(self) -> str:
        """By which Sentinels know the estate."""
        return self.servers.name

    @property
    def quorum(self) -> int:
        return self.replicas // 2 + 1

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the servers' pods, and of the Services that stand for one pod each.

        Sentinels, replicas and proxies know each other by these Services' addresses, which stay
        when a pod is made anew: a Sentinel looks up names in its only thread, and one that waits
        for a name server stops watching ("TILT") for half a minute.
        """
        return tuple(f"{self.servers.name}-{n}" for n in range(self.replicas))

    @property
    def memory(self) -> int:
        """Bytes that a server's container may use."""
        return round(self.size.memory_gb * 1024) * MIB

    @property
    def pubsub_limit(self) -> tuple[int, int]:
        """Bytes that may wait for one slow subscriber: at once, and for a minute on end.

        A subscriber beyond it is cut off and comes back; without a limit it would take the
        server's memory. A sixteenth of the memory, from 32 to 256 MiB.
        """
        hard = min(max(self.memory // 16, 32 * MIB), 256 * MIB)
        return hard, hard // 4


def estates(ctx: ComponentContext) -> tuple[Estate, ...]:
    """Those that we run, at the install's scale, with the operator's own figures."""
    row = ctx.install.row.redis
    found = (
        _estate(ctx, "synapse", row.synapse, row.replicas, "volatile-lru"),
        # LiveKit keeps the state of rooms here: better refused than evicted.
        _estate(ctx, "livekit", row.livekit, row.replicas, "noeviction"),
    )
    return tuple(e for e in found if getattr(ctx.settings, e.name).provision == "install")


def _estate(ctx: ComponentContext, name: str, size: Size, replicas: int, eviction: str) -> Estate:
    count = ctx.replicas(name, replicas)
    proxies = ctx.replicas("proxy", 2 if ctx.install.row.highly_available else 1)
    full = f"redis-{name}"
    server_ports = [
        Port("redis", SERVER_PORT, "Redis protocol"),
        Port("metrics", EXPORTER_PORT, "Prometheus metrics"),
    ]
    if count > 1:
        server_ports.insert(1, Port("sentinel", SENTINEL_PORT, "Sentinel protocol"))
    servers = ctx.pod_set(
        full,
        role="server",
        namespace=SUFFIX,
        replicas=count,
        ports=tuple(server_ports),
        node_role=Role.APP,
        priority=Priority.INFRASTRUCTURE,
    )
    proxy = ctx.pod_set(
        f"{full}-proxy",
        role="proxy",
        namespace=SUFFIX,
        replicas=proxies,
        ports=(
            Port("redis", SERVER_PORT, "Redis protocol, always the master"),
            Port("health", PROXY_HEALTH_PORT, "health and Prometheus metrics"),
        ),
        node_role=Role.APP,
        priority=Priority.INFRASTRUCTURE,
    )
    domain = f"{servers.namespace}.svc.{ctx.install.cluster_domain}"
    size = ctx.size(name, size)
    return Estate(name, count, proxies, size, servers, proxy, eviction, domain)
