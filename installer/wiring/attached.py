"""A view's hold on a running engine: its news folded into the run's state, its commands."""

import contextlib
import subprocess
from collections.abc import AsyncIterator, Mapping
from typing import Any

from installer.core.commands import Reply, Verb
from installer.core.errors import ErrorReport, ExitCode, InstallError
from installer.core.events import Progress, Recorded
from installer.core.state import Folding, RunState, exit_code
from installer.engine.client import Ended, EngineClient, engine_gone


class Attached:
    """Made by :class:`installer.session.Session`. ``process`` is the engine we started, if any."""

    def __init__(
        self,
        client: EngineClient,
        state: RunState,
        process: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        self._client = client
        self._folding = Folding(state)
        self._process = process
        self._error: ErrorReport | None = None
        self._ended = False

    @property
    def state(self) -> RunState:
        return self._folding.state()

    @property
    def repairs(self) -> tuple[str, ...]:
        """Lines about what the engine mended in the journal."""
        return self._client.hello.repairs

    async def news(self) -> AsyncIterator[Recorded | Progress]:
        """Everything that happens in the engine's run, ``state`` already folded; ends with it.

        Records of earlier runs are folded and not given out: they are history, not news. Raises
        InstallError ENGINE-GONE when the engine dies under us.
        """
        async for item in self._client.news():
            if isinstance(item, Ended):
                self._ended = True
                self._error = item.error
                continue
            if isinstance(item, Recorded):
                self._folding.add(item)
                if item.run < self._client.hello.run:
                    continue
            yield item
        if not self._ended:
            raise engine_gone()

    async def command(
        self, verb: Verb, *, by: str = "", step: str = "", params: Mapping[str, Any] | None = None
    ) -> Reply:
        return await self._client.command(verb, by=by, step=step, params=params)

    async def insist(
        self, verb: Verb, *, by: str = "", params: Mapping[str, Any] | None = None
    ) -> Reply:
        """A command whose refusal is an error. Raises InstallError with the engine's reason."""
        reply = await self.command(verb, by=by, params=params)
        if not reply.refused:
            return reply
        if reply.error is not None:
            raise InstallError.reported(reply.error)
        raise InstallError(
            code=reply.code,
            title=f"The engine refuses to {verb.value}",
            cause=reply.refused,
            remedy="Look at the plan again and approve it as it is now.",
            evidence=reply.changed,
            exit_code=ExitCode.REFUSED,
        )

    async def dismiss(self) -> None:
        """Ends an engine that was never started, so that it is in nobody's way."""
        with contextlib.suppress(InstallError):
            await self.command(Verb.ABORT)
            async for _ in self.news():
                pass
        await self.leave()
        self.reap()

    async def leave(self) -> None:
        """Lets go; the engine goes on."""
        await self._client.close()

    def exit_code(self) -> ExitCode:
        """What the run came to. Call it after ``news`` ended."""
        if self._error is not None:
            return self._error.exit_code
        return exit_code(self.state)

    def reap(self) -> None:
        """Waits a moment for the engine that we started, so that no zombie stays."""
        if self._process is not None and self._ended:
            self._process.wait(timeout=30)
