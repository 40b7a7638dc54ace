"""An engine in this process, with a fake clock and a far end of files."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from installer.core import events as ev
from installer.core.commands import Command, Reply, Verb
from installer.core.errors import InstallError
from installer.core.plan import Plan
from installer.core.state import RunState, StepStatus
from installer.engine.board import Board
from installer.engine.crash import CrashPoints
from installer.engine.journal import Journal
from installer.engine.recorder import Recorder
from installer.engine.service import Engine
from installer.engine.work import EngineWork
from tests.unit.engine.clocks import FakeClock

PATIENCE = 10.0  # seconds before a test gives up on something that should come at once


class House:
    """One engine on ``directory``. ``ids`` make command ids."""

    def __init__(
        self,
        directory: Path,
        work: EngineWork | InstallError,
        *,
        clock: FakeClock | None = None,
        crash: CrashPoints | None = None,
        parallel: int = 4,
    ) -> None:
        self.clock = clock or FakeClock()
        self.work = work
        self.secrets: list[str] = []
        crash = crash or CrashPoints()
        self.journal, state, repairs = Journal.open(directory, self.clock)
        self.recorder = Recorder(self.journal, state, crash)
        self.board = Board(self.clock)
        self.engine = Engine(
            directory,
            self._build,
            self.recorder,
            self.board,
            self.clock,
            crash,
            repairs,
            parallel,
        )
        self._ids = itertools.count(1)

    async def _build(self, secret: str) -> EngineWork:
        self.secrets.append(secret)
        if isinstance(self.work, InstallError):
            raise self.work
        return self.work

    @property
    def state(self) -> RunState:
        return self.recorder.state

    @property
    def types(self) -> list[str]:
        return [record.event.type for record in self.recorder.recent]

    def events(self, step: str = "") -> list[ev.Event]:
        found = [record.event for record in self.recorder.recent]
        return [e for e in found if not step or getattr(e, "step", "") == step]

    async def ask(
        self,
        verb: Verb,
        step: str = "",
        params: Mapping[str, Any] | None = None,
        *,
        seen: int | None = None,
        id: str = "",
        by: str = "anna",
    ) -> Reply:
        seen = self.recorder.seq if seen is None else seen
        command = Command(id or f"c{next(self._ids)}", verb, seen, by, step, params)
        return await asyncio.wait_for(self.engine.desk.take(command), PATIENCE)

    async def start(self, **params: object) -> None:
        unlocked = await self.ask(Verb.UNLOCK, params={"secret": "open"})
        assert unlocked.refused == ""
        digest = Plan.from_json(unlocked.data["plan"]).digest
        started = await self.ask(Verb.START, params={"digest": digest, **params})
        assert started.refused == "", started

    async def until(self, condition: Callable[[RunState], bool]) -> RunState:
        """Waits for records until the condition holds."""
        bell = asyncio.Event()
        self.recorder.listen(bell)
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(self.state):
                    bell.clear()
                    await bell.wait()
        finally:
            self.recorder.leave(bell)
        return self.state

    async def until_status(self, step: str, status: StepStatus) -> RunState:
        return await self.until(lambda state: state.of(step).status is status)

    async def end(self) -> RunState:
        """Waits for the end of the run, then closes."""
        await asyncio.wait_for(self.engine.over.wait(), PATIENCE)
        await asyncio.wait_for(self.engine.close(), PATIENCE)
        self.journal.close()
        return self.state
