"""The contract held against the rehearsal's API server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.cases import CASES, run_case
from tests.contract.far_end import FarEnd, SimulatedFarEnd


@pytest.fixture
async def far_end(tmp_path: Path) -> AsyncIterator[FarEnd]:
    simulated = SimulatedFarEnd(tmp_path)
    await simulated.open()
    try:
        yield simulated
    finally:
        await simulated.kill()


@pytest.mark.parametrize("name", CASES)
async def test_contract(name: str, far_end: FarEnd) -> None:
    await run_case(CASES[name], far_end)
