"""A simulated cluster for a test, and a raw client to it."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from installer.rehearsal.kube.bootstrap import ClusterShape
from installer.rehearsal.kube.server import Options, SimulatedApi
from tests.contract.client import Client
from tests.unit.rehearsal.cluster import TestedCluster

Start = Callable[..., Awaitable[TestedCluster]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts simulated clusters (in `folder`, with faults); ends them after the test."""
    running: list[TestedCluster] = []

    async def begin(
        *faults: str,
        folder: str = "cluster",
        shape: ClusterShape | None = None,
        speed: float = math.inf,
    ) -> TestedCluster:
        options = Options(speed=speed, faults=faults, shape=shape or ClusterShape())
        cluster = TestedCluster(SimulatedApi(tmp_path / folder, options))
        await cluster.server.start()
        cluster.client = Client(cluster)
        running.append(cluster)
        return cluster

    yield begin
    for cluster in running:
        await cluster.close()


@pytest.fixture
async def cluster(start: Start) -> TestedCluster:
    """A healthy cluster with a namespace for the test."""
    found = await start()
    await found.client.make_namespace()
    return found
