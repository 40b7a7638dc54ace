"""What tests of the simulated cluster hold in their hands."""

import ssl
from typing import Any

from installer.rehearsal.kube.server import SimulatedApi
from tests.contract.client import Client
from tests.contract.far_end import SimulatedFarEnd


class TestedCluster(SimulatedFarEnd):
    """A server in this event loop, and a client of it."""

    __test__ = False
    client: Client

    def __init__(self, server: SimulatedApi) -> None:
        self.server = server

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token(self) -> str:
        return self.server.identity.token

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.server.identity.ca))

    async def close(self) -> None:
        await self.client.close()
        await self.server.stop()

    def objects(self, resource: str) -> list[dict[str, Any]]:
        """What the cluster holds of a resource, looked at from behind."""
        return [stored.obj for stored in self.server.store.items(resource)]
