"""The rows of the size table: hosts, Synapse's processes, and the figures that follow from scale.

Source: the deployment's scaling guide, with its sums recomputed, Redis cut to the two cores that a
single-threaded server can use, and media workers and stream writers added from Synapse's
``docs/workers.md``. Memory is in GB, disk in GB of 1000 MB; CPU counts virtual cores.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a host is for; a host of the trial has all of them."""

    CONTROL = "control"
    APP = "app"
    DB = "db"
    STORAGE = "storage"
    CALL = "call"
    LI = "li"
    MONITORING = "monitoring"


# Roles that every install needs; the others come with what was chosen.
STANDING_ROLES = (Role.CONTROL, Role.APP, Role.DB, Role.STORAGE, Role.CALL)


@dataclass(frozen=True)
class HostPool:
    """So many hosts of one size for one role."""

    role: Role
    count: int
    cpu: int
    memory_gb: int
    disk_gb: int


@dataclass(frozen=True)
class Size:
    """What one process is given. CPU in cores, memory in GB."""

    cpu: float
    memory_gb: float


@dataclass(frozen=True)
class SynapseFigures:
    """How many Synapse processes of each kind, and how large.

    ``stream_writers``: one process each for typing, to_device, account_data, presence and
    push_rules; without them the main process writes these streams.
    """

    synchrotrons: int
    generic_workers: int
    event_persisters: int
    federation_senders: int
    media_workers: int
    stream_writers: bool
    worker: Size
    persister: Size
    main: Size
    pool_main: int
    pool_worker: int
    cache_global_factor: float
    max_upload_mb: int

    @property
    def workers(self) -> int:
        """Processes beside the main one."""
        return (
            self.synchrotrons
            + self.generic_workers
            + self.event_persisters
            + self.federation_senders
            + self.media_workers
            + (5 if self.stream_writers else 0)
        )


@dataclass(frozen=True)
class PostgresFigures:
    instances: int
    max_connections: int
    shared_buffers_gb: float
    work_mem_mb: int


@dataclass(frozen=True)
class RedisFigures:
    """Two estates of ``replicas`` servers each: Synapse's and LiveKit's."""

    replicas: int
    synapse: Size
    livekit: Size


@dataclass(frozen=True)
class CallFigures:
    livekit: int
    coturn: int


@dataclass(frozen=True)
class SizeRow:
    """One row: for how many people at once, on what, with what inside."""

    name: str
    concurrent_users: int
    highly_available: bool
    pools: tuple[HostPool, ...]
    synapse: SynapseFigures
    postgres: PostgresFigures
    redis: RedisFigures
    calls: CallFigures


def _pools(**sizes: tuple[int, int, int, int]) -> tuple[HostPool, ...]:
    return tuple(HostPool(Role(role), *size) for role, size in sizes.items())


# One to three hosts with all roles on each; three are counted. Its inner figures are this
# product's own, chosen to fit one host of 12 GB.
TRIAL = SizeRow(
    name="trial",
    concurrent_users=20,
    highly_available=False,
    pools=_pools(app=(3, 4, 12, 100)),
    synapse=SynapseFigures(
        synchrotrons=1, generic_workers=1, event_persisters=1, federation_senders=1,
        media_workers=1, stream_writers=False,
        worker=Size(0.5, 0.5), persister=Size(0.5, 0.5), main=Size(1, 1),
        pool_main=5, pool_worker=5, cache_global_factor=0.5, max_upload_mb=50,
    ),
    postgres=PostgresFigures(1, 100, 0.5, 8),
    redis=RedisFigures(1, Size(0.5, 0.25), Size(0.5, 0.25)),
    calls=CallFigures(livekit=1, coturn=1),
)  # fmt: skip

REAL_ROWS = (
    SizeRow(
        name="100",
        concurrent_users=100,
        highly_available=True,
        pools=_pools(
            control=(3, 4, 8, 100), app=(3, 8, 16, 200), db=(3, 4, 16, 500),
            storage=(4, 4, 8, 1000), call=(2, 4, 8, 50),
            li=(1, 4, 8, 100), monitoring=(1, 4, 16, 200),
        ),
        synapse=SynapseFigures(
            synchrotrons=2, generic_workers=2, event_persisters=2, federation_senders=2,
            media_workers=1, stream_writers=False,
            worker=Size(1, 1), persister=Size(2, 2), main=Size(2, 4),
            pool_main=10, pool_worker=8, cache_global_factor=0.5, max_upload_mb=50,
        ),
        postgres=PostgresFigures(3, 200, 4, 20),
        redis=RedisFigures(3, Size(1, 2), Size(1, 1)),
        calls=CallFigures(livekit=2, coturn=2),
    ),
    SizeRow(
        name="1k",
        concurrent_users=1_000,
        highly_available=True,
        pools=_pools(
            control=(3, 4, 8, 100), app=(5, 16, 32, 500), db=(3, 8, 32, 1000),
            storage=(4, 8, 16, 2000), call=(4, 8, 16, 100),
            li=(1, 4, 16, 200), monitoring=(1, 8, 32, 300),
        ),
        synapse=SynapseFigures(
            synchrotrons=4, generic_workers=2, event_persisters=2, federation_senders=2,
            media_workers=1, stream_writers=False,
            worker=Size(1.5, 2), persister=Size(2, 3), main=Size(2, 8),
            pool_main=15, pool_worker=12, cache_global_factor=1, max_upload_mb=100,
        ),
        postgres=PostgresFigures(3, 300, 8, 26),
        redis=RedisFigures(3, Size(2, 4), Size(2, 2)),
        calls=CallFigures(livekit=2, coturn=2),
    ),
    SizeRow(
        name="5k",
        concurrent_users=5_000,
        highly_available=True,
        pools=_pools(
            control=(3, 8, 16, 200), app=(8, 16, 64, 1000), db=(3, 16, 64, 2000),
            storage=(4, 16, 32, 4000), call=(6, 16, 32, 200),
            li=(1, 8, 32, 500), monitoring=(1, 8, 32, 500),
        ),
        synapse=SynapseFigures(
            synchrotrons=6, generic_workers=4, event_persisters=2, federation_senders=4,
            media_workers=2, stream_writers=True,
            worker=Size(2, 3), persister=Size(3, 4), main=Size(4, 12),
            pool_main=18, pool_worker=12, cache_global_factor=2, max_upload_mb=100,
        ),
        postgres=PostgresFigures(3, 400, 16, 40),
        redis=RedisFigures(3, Size(2, 8), Size(2, 4)),
        calls=CallFigures(livekit=3, coturn=3),
    ),
    SizeRow(
        name="10k",
        concurrent_users=10_000,
        highly_available=True,
        pools=_pools(
            control=(3, 8, 16, 200), app=(12, 32, 128, 2000), db=(3, 32, 128, 4000),
            storage=(8, 16, 32, 4000), call=(8, 16, 32, 200),
            li=(1, 8, 32, 500), monitoring=(1, 16, 64, 1000),
        ),
        synapse=SynapseFigures(
            synchrotrons=8, generic_workers=4, event_persisters=2, federation_senders=4,
            media_workers=2, stream_writers=True,
            worker=Size(2, 4), persister=Size(4, 6), main=Size(4, 16),
            pool_main=20, pool_worker=15, cache_global_factor=3, max_upload_mb=100,
        ),
        postgres=PostgresFigures(3, 500, 32, 50),
        redis=RedisFigures(3, Size(2, 16), Size(2, 8)),
        calls=CallFigures(livekit=4, coturn=4),
    ),
    SizeRow(
        name="20k",
        concurrent_users=20_000,
        highly_available=True,
        pools=_pools(
            control=(3, 8, 16, 200), app=(21, 32, 128, 2000), db=(5, 32, 128, 4000),
            storage=(12, 16, 32, 4000), call=(10, 16, 32, 200),
            li=(1, 16, 64, 1000), monitoring=(1, 16, 64, 1000),
        ),
        synapse=SynapseFigures(
            synchrotrons=18, generic_workers=8, event_persisters=4, federation_senders=8,
            media_workers=4, stream_writers=True,
            worker=Size(2, 4), persister=Size(4, 6), main=Size(4, 16),
            pool_main=25, pool_worker=12, cache_global_factor=4, max_upload_mb=100,
        ),
        postgres=PostgresFigures(3, 600, 32, 64),
        redis=RedisFigures(3, Size(2, 24), Size(2, 12)),
        calls=CallFigures(livekit=5, coturn=5),
    ),
)  # fmt: skip

ROWS = (TRIAL, *REAL_ROWS)
