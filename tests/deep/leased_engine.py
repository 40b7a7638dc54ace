"""``python -m tests.deep.leased_engine DIR FAR``: writes on and on under a lease of LEASE s."""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from installer.core.clock import SystemClock
from installer.core.commands import Command, Verb
from installer.core.step import NoFarEndLock, StepContext, StepOutcome
from installer.engine.board import Board
from installer.engine.crash import CrashPoints
from installer.engine.journal import Journal
from installer.engine.recorder import Recorder
from installer.engine.service import Engine
from installer.engine.work import EngineWork
from tests.unit.engine.world import FarEnd, FileStep, steps_of, work_of

LEASE = float(os.environ["LEASE"])


class ClockedLock(NoFarEndLock):
    """Renewed every fifth of its time; its deadline counts while the process is stopped."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._deadline = 0.0

    async def acquire(self) -> None:
        self._deadline = self._clock.boottime() + LEASE

    def still_held(self) -> bool:
        return self._clock.boottime() < self._deadline

    async def keep(self) -> None:
        while True:
            await self._clock.sleep(LEASE / 5)
            if self.still_held():
                self._deadline = self._clock.boottime() + LEASE


class Writer(FileStep):
    """Never done."""

    async def apply(self, ctx: StepContext) -> StepOutcome:
        for number in itertools.count():
            async with ctx.gate.mutation("put", self.planned.targets[0]):
                self.far.put(self.planned.targets[0], str(number))
            sys.stdout.write("wrote\n")
            sys.stdout.flush()
            await asyncio.sleep(LEASE / 50)
        raise AssertionError("counted to the end")


async def main() -> None:
    directory, far = Path(sys.argv[1]), FarEnd(Path(sys.argv[2]))
    made = steps_of(far, shape={"one": ()})["one"]

    async def build(secret: str) -> EngineWork:
        return work_of([Writer(far, made.planned, made.text)], ClockedLock())

    clock, crash = SystemClock(), CrashPoints()
    journal, state, repairs = Journal.open(directory, clock)
    recorder = Recorder(journal, state, crash)
    engine = Engine(directory, build, recorder, Board(clock), clock, crash, repairs)
    await engine.desk.take(Command("u", Verb.UNLOCK, 0))
    assert engine.work is not None
    params = {"digest": engine.work.plan.digest}
    await engine.desk.take(Command("s", Verb.START, 0, by="test", params=params))
    await engine.over.wait()
    await engine.close()
    journal.close()


if __name__ == "__main__":
    asyncio.run(main())
