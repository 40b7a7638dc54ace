"""What a contract case may do to an API server, whichever it is, and the simulated one."""

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from installer.rehearsal.kube.rules import Rules
from installer.rehearsal.kube.server import Options, SimulatedApi


class FarEnd(Protocol):
    """An API server under test; cases know nothing else about it."""

    @property
    def url(self) -> str:
        """https://host:port; may change over a restart."""
        ...

    @property
    def token(self) -> str:
        """A bearer token that may do everything (and is throttled like any client)."""
        ...

    def trust(self) -> ssl.SSLContext:
        """Trusts the server's own CA."""
        ...

    async def kill(self) -> None:
        """End the server without warning."""
        ...

    async def start(self) -> None:
        """Start the killed server again; returns when it answers."""
        ...

    def frozen_api(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The server accepts connections and says nothing."""
        ...

    def frozen_store(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The server's database says nothing."""
        ...

    def overloaded(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The server has all the writes in flight that it allows."""
        ...

    async def forget_history(self) -> None:
        """Earlier versions can neither be watched from nor listed on; watches may end."""
        ...


class SimulatedFarEnd:
    """The rehearsal's API server in this very event loop, its clock as fast as can be."""

    def __init__(self, folder: Path, rules: Rules | None = None) -> None:
        self._folder = folder
        self._options = Options(speed=math.inf, rules=rules or Rules())
        self._server = SimulatedApi(folder, self._options)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def token(self) -> str:
        return self._server.identity.token

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._server.identity.ca))

    async def kill(self) -> None:
        await self._server.stop()

    async def start(self) -> None:
        self._server = SimulatedApi(self._folder, self._options)
        await self._server.start()

    async def open(self) -> None:
        await self._server.start()

    @contextlib.asynccontextmanager
    async def frozen_api(self) -> AsyncIterator[None]:
        self._server.freeze()
        try:
            yield
        finally:
            self._server.thaw()

    @contextlib.asynccontextmanager
    async def frozen_store(self) -> AsyncIterator[None]:
        self._server.freeze_etcd()
        try:
            yield
        finally:
            self._server.thaw_etcd()

    @contextlib.asynccontextmanager
    async def overloaded(self) -> AsyncIterator[None]:
        self._server.overloaded = True
        try:
            with self._server.occupied():
                yield
        finally:
            self._server.overloaded = False

    async def forget_history(self) -> None:
        await self._server.restart(0.0)
        await asyncio.sleep(0)
