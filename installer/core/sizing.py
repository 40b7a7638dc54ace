"""From people to hardware: which row of the table, what it needs in all, whether hosts suffice."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from installer.core.errors import ExitCode, InstallError
from installer.core.sizing_rows import (
    REAL_ROWS,
    ROWS,
    STANDING_ROLES,
    TRIAL,
    HostPool,
    Role,
    SizeRow,
)

LARGEST = REAL_ROWS[-1].concurrent_users
# One in five accounts is active at the same time, unless the operator knows better.
ACCOUNTS_PER_CONCURRENT_USER = 5.0
# A host sold as 16 GB shows a little less: what is there counts from 95 % of what is asked.
TOLERANCE = 0.95
TRIAL_HOSTS = range(1, 4)
TRIAL_WORDS = (
    "A trial is for at most 20 people on 1 to 3 hosts. There is one instance of everything: when "
    "a host stops, the service stops. It cannot grow into a larger row: install anew for that."
)


def row_names() -> tuple[str, ...]:
    return tuple(row.name for row in ROWS)


def row_named(name: str) -> SizeRow:
    """The row of that name. Raises KeyError; :func:`row_names` lists what there is."""
    for row in ROWS:
        if row.name == name:
            return row
    raise KeyError(name)


def concurrent_from_accounts(accounts: int, ratio: float = ACCOUNTS_PER_CONCURRENT_USER) -> int:
    """People at the same time, rounded up, when ``ratio`` accounts stand for one of them."""
    if ratio < 1:
        raise ValueError("more people at the same time than accounts")
    return math.ceil(accounts / ratio)


def row_for(concurrent_users: int) -> SizeRow:
    """The smallest real row that holds so many people at once; a trial is only taken by name.

    Raises InstallError SIZE-ABOVE-LARGEST for more than the largest row holds.
    """
    for row in REAL_ROWS:
        if concurrent_users <= row.concurrent_users:
            return row
    raise InstallError(
        code="SIZE-ABOVE-LARGEST",
        title="More people than one install can serve",
        cause=f"{concurrent_users:,} people at the same time were asked for; the largest size "
        f"holds {LARGEST:,}.",
        remedy="Plan two servers that federate, or lower the number.",
        exit_code=ExitCode.SETTINGS,
    )


@dataclass(frozen=True)
class Totals:
    """Hosts and what they have in all. Memory and disk in GB."""

    hosts: int
    cpu: int
    memory_gb: int
    disk_gb: int


def pools_of(row: SizeRow, optional: Collection[Role] = ()) -> tuple[HostPool, ...]:
    """The row's pools that stand in every install, and those of ``optional`` (LI, monitoring)."""
    return tuple(p for p in row.pools if p.role in STANDING_ROLES or p.role in optional)


def totals(row: SizeRow, optional: Collection[Role] = ()) -> Totals:
    """The sum over the row's standing pools and those of the ``optional`` roles."""
    pools = pools_of(row, optional)
    return Totals(
        hosts=sum(p.count for p in pools),
        cpu=sum(p.count * p.cpu for p in pools),
        memory_gb=sum(p.count * p.memory_gb for p in pools),
        disk_gb=sum(p.count * p.disk_gb for p in pools),
    )


def object_store_usable_gb(row: SizeRow, copies: int = 3) -> int:
    """What fits into the object store when each object is kept ``copies`` times."""
    storage = [p for p in row.pools if p.role is Role.STORAGE]
    return sum(p.count * p.disk_gb for p in storage) // copies


@dataclass(frozen=True)
class HostFacts:
    """What a host was seen to have; None: not looked at yet. ``disk_gb`` is the largest disk."""

    name: str
    roles: tuple[Role, ...]
    cpu: float | None
    memory_gb: float | None
    disk_gb: float | None


class Fit(StrEnum):
    FITS = "fits"
    SHORT = "short"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Shortage:
    """What a role lacks. ``unit`` is hosts, CPU, GB of memory or GB of disk."""

    role: str
    unit: str
    needed: float
    found: float

    @property
    def missing(self) -> int:
        return math.ceil(self.needed - self.found)

    def __str__(self) -> str:
        return (
            f"{self.role}: {self.missing:,} {self.unit} short "
            f"({round(self.found, 1):,g} of {self.needed:,g})"
        )


@dataclass(frozen=True)
class Judgement:
    """Whether hosts suffice for a row, in a word, in figures and in a sentence with a remedy."""

    row: SizeRow
    fit: Fit
    shortages: tuple[Shortage, ...]
    words: str


def judge(
    row: SizeRow, hosts: Sequence[HostFacts] | None, optional: Collection[Role] = ()
) -> Judgement:
    """Holds the hosts' facts against the row, role by role.

    A host with several roles counts for each with an equal share. When no host has a role (the
    nodes of a cluster that exists), only the sums are compared.
    """
    if hosts is None or any(None in (host.cpu, host.memory_gb, host.disk_gb) for host in hosts):
        return Judgement(row, Fit.UNKNOWN, (), "cannot judge: the hosts were not looked at yet")
    if row is TRIAL:
        shortages = _trial_shortages(hosts)
    elif any(host.roles for host in hosts):
        shortages = [s for pool in pools_of(row, optional) for s in _pool_shortages(pool, hosts)]
    else:
        need = totals(row, optional)
        shortages = _shortages("all hosts", need.cpu, need.memory_gb, need.disk_gb, hosts)
    if not shortages:
        words = "fits" if row.highly_available else f"fits, no HA. {TRIAL_WORDS}"
        return Judgement(row, Fit.FITS, (), words)
    return Judgement(row, Fit.SHORT, tuple(shortages), _remedy(row, shortages))


def _share(host: HostFacts) -> float:
    return 1 / max(1, len(host.roles))


def _shortages(
    role: str, cpu: float, memory: float, disk: float, hosts: Sequence[HostFacts]
) -> list[Shortage]:
    found = (
        ("CPU", cpu, sum((h.cpu or 0) * _share(h) for h in hosts)),
        ("GB of memory", memory, sum((h.memory_gb or 0) * _share(h) for h in hosts)),
        ("GB of disk", disk, sum((h.disk_gb or 0) * _share(h) for h in hosts)),
    )
    return [Shortage(role, unit, n, f) for unit, n, f in found if f < n * TOLERANCE]


def _pool_shortages(pool: HostPool, hosts: Sequence[HostFacts]) -> list[Shortage]:
    mine = [host for host in hosts if pool.role in host.roles]
    short = []
    if len(mine) < pool.count:
        short.append(Shortage(pool.role, "hosts", pool.count, len(mine)))
    needs = (pool.count * pool.cpu, pool.count * pool.memory_gb, pool.count * pool.disk_gb)
    return short + _shortages(pool.role, *needs, mine)


def _trial_shortages(hosts: Sequence[HostFacts]) -> list[Shortage]:
    pool = TRIAL.pools[0]
    if not hosts:
        return [Shortage("trial", "hosts", TRIAL_HOSTS[0], 0)]
    # A cluster that exists may have more nodes; the trial needs no more than its three best.
    best = sorted(hosts, key=lambda h: (h.memory_gb or 0, h.cpu or 0), reverse=True)
    return [
        shortage
        for host in best[: TRIAL_HOSTS[-1]]
        for shortage in _shortages(
            host.name,
            pool.cpu,
            pool.memory_gb,
            pool.disk_gb,
            [replace(host, roles=())],
        )
    ]


def _remedy(row: SizeRow, shortages: Sequence[Shortage]) -> str:
    text = "does not fit: " + "; ".join(str(shortage) for shortage in shortages)
    pools = {str(pool.role): pool for pool in row.pools}
    add = []
    for role in dict.fromkeys(shortage.role for shortage in shortages):
        if role in pools and row is not TRIAL:
            pool = pools[role]
            size = {"hosts": 1, "CPU": pool.cpu, "GB of memory": pool.memory_gb}
            count = max(
                math.ceil(s.missing / size.get(s.unit, pool.disk_gb))
                for s in shortages
                if s.role == role
            )
            add.append(f"{count} {role} of {pool.cpu} CPU, {pool.memory_gb} GB, {pool.disk_gb} GB")
    return f"{text}. Add {', '.join(add)}, or choose a smaller row." if add else f"{text}."
