"""The contract held against a real kube-apiserver: the cases of the rehearsal's own server."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.contract.cases import CASES, run_case
from tests.contract.far_end import FarEnd
from tests.lab.control_plane import APISERVER, ControlPlane
from tests.lab.nodes import NodeShape

ONE_WRITE_AT_A_TIME = (
    "--enable-priority-and-fairness=false",
    "--max-mutating-requests-inflight=1",
)


class RealFarEnd:
    """A control plane of its own for the cases, which stop, freeze and restart it."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    @property
    def url(self) -> str:
        return self._control_plane.server

    @property
    def token(self) -> str:
        return self._control_plane.credentials.operator_token

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(
            cafile=str(self._control_plane.credentials.authority_file)
        )

    async def kill(self) -> None:
        await asyncio.to_thread(self._control_plane.stop_apiserver, signal.SIGKILL)

    async def start(self) -> None:
        await asyncio.to_thread(self._control_plane.start_apiserver)

    @asynccontextmanager
    async def frozen_api(self) -> AsyncIterator[None]:
        with self._control_plane.frozen(APISERVER):
            yield

    @asynccontextmanager
    async def frozen_store(self) -> AsyncIterator[None]:
        with self._control_plane.frozen(self._control_plane.etcd.names[0]):
            yield

    @asynccontextmanager
    async def overloaded(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._control_plane.restart_apiserver, *ONE_WRITE_AT_A_TIME)
        held = self._control_plane.mutations_in_flight(1)
        await asyncio.to_thread(held.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(held.__exit__, None, None, None)
            await asyncio.to_thread(self._control_plane.restart_apiserver)

    async def forget_history(self) -> None:
        await asyncio.to_thread(self._control_plane.expire_versions)


@pytest.fixture(scope="module")
def far_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarEnd]:
    shapes = [NodeShape(count=2, cpu="64", memory="256Gi", disk="1000Gi")]
    with ControlPlane(tmp_path_factory.mktemp("contract"), nodes=shapes) as control_plane:
        yield RealFarEnd(control_plane)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", CASES)
async def test_contract(name: str, far_end: FarEnd) -> None:
    await run_case(CASES[name], far_end)
