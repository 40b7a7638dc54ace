"""What was found on a cluster, and whether the planned size fits it, in lines of the plan."""

from installer.cluster.facts import ClusterFacts, NodeFact
from installer.core.settings import Settings
from installer.core.sizing import HostFacts, judge, object_store_usable_gb, totals
from installer.core.sizing_connections import connection_budget
from installer.core.sizing_rows import Role
from manifests import registry

ROLE_LABEL = "matrix.io/role"
_GB = 1000**3


def lines(facts: ClusterFacts) -> tuple[str, ...]:
    """Version, nodes, storage, load balancer, and what could not be read."""
    ready = sum(node.ready for node in facts.nodes)
    classes = [
        f"{found.name} (default)" if found.default else found.name
        for found in facts.storage_classes
    ]
    text = [
        f"Kubernetes {facts.version}, {len(facts.nodes)} nodes, {ready} of them ready",
        f"storage classes: {', '.join(classes) or 'none'}",
        f"load balancer: {'yes' if facts.load_balancer.present else 'none'}, "
        f"{facts.load_balancer.evidence}",
    ]
    if facts.credentials_end is not None:
        text.append(f"our credentials end {facts.credentials_end:%Y-%m-%d %H:%M} UTC")
    return (*text, *(f"{part} not known: {why}" for part, why in facts.unknown.items()))


def missing_classes(settings: Settings, facts: ClusterFacts) -> tuple[str, ...]:
    """Storage classes that the settings name and the cluster does not have."""
    if "storage classes" in facts.unknown:
        return ()
    there = {found.name for found in facts.storage_classes}
    named = settings.storage_classes.model_dump()
    return tuple(
        f"storage class {name} (storage_classes.{use}) is not on this cluster: volumes that ask "
        "for it stay pending"
        for use, name in named.items()
        if name is not None and name not in there
    )


def sizing(settings: Settings, facts: ClusterFacts | None) -> tuple[str, ...]:
    """Row, sums, verdict and connections. Raises InstallError DATABASE-CONNECTIONS."""
    row = settings.size_row
    sums = totals(row)
    hosts = None if facts is None or not facts.nodes else [_host(node) for node in facts.nodes]
    verdict = judge(row, hosts)
    consumers = registry.connection_consumers(settings)
    budget = connection_budget(consumers, row.postgres.max_connections)
    media = object_store_usable_gb(row)  # a trial keeps it on the disks of all
    room = f"; {media:,} GB of it for media (three copies)" if media else ""
    return (
        f"{row.name}: up to {row.concurrent_users:,} people at the same time",
        f"hosts for all of it: {sums.hosts}, {sums.cpu:,} CPU, {sums.memory_gb:,} GB memory, "
        f"{sums.disk_gb:,} GB disk{room}",
        f"this cluster: {verdict.words}",
        *((f"database connections: {budget.words}",) if consumers else ()),
    )


def _host(node: NodeFact) -> HostFacts:
    label = node.labels.get(ROLE_LABEL, "")
    roles = (Role(label),) if label in set(Role) else ()
    return HostFacts(node.name, roles, node.cpu, node.memory / _GB, node.disk / _GB)
