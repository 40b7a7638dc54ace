"""The same cases as on the real API server, on the rehearsal's."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from installer.rehearsal.kube.server import Options, SimulatedApi
from tests.cluster.apply_cases import CASES
from tests.cluster.apply_world import Install


@pytest.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[SimulatedApi]:
    api = SimulatedApi(tmp_path / "simulated", Options(speed=math.inf))
    await api.start()
    yield api
    await api.stop()


@pytest.mark.parametrize("name", CASES)
async def test_applying(name: str, simulated: SimulatedApi, tmp_path: Path) -> None:
    await CASES[name](Install(simulated.kubeconfig, tmp_path / "scratch"))
