"""``python -m tests.unit.engine.small_engine``: the synthetic install as a process of its own.

Argument: JSON ``{"dir", "far", "hold": fifo or "", "patience", "fails": [step, …]}``. With a
``hold`` the step "one" waits in its verification until a byte arrives in that fifo.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from installer.core import redaction
from installer.core.errors import InstallError
from installer.core.step import StepContext
from installer.engine import process
from installer.engine.work import EngineWork
from tests.unit.engine.world import FarEnd, FileStep, steps_of, work_of

TWO: dict[str, tuple[str, ...]] = {"one": (), "two": ("one",)}


class HeldStep(FileStep):
    """Waits for a byte in the fifo ``way``."""

    way = ""

    async def verify(self, ctx: StepContext) -> None:
        come = asyncio.Event()
        file = os.open(self.way, os.O_RDWR | os.O_NONBLOCK)
        loop = asyncio.get_running_loop()
        loop.add_reader(file, come.set)
        try:
            ctx.waiting("the fifo")
            await come.wait()
            os.read(file, 1)
        finally:
            loop.remove_reader(file)
            os.close(file)


def steps(job: dict[str, Any]) -> dict[str, FileStep]:
    made = steps_of(FarEnd(Path(job["far"])), shape=TWO, lost={"two": "the second"})
    if job.get("hold"):
        one = made["one"]
        held = HeldStep(one.far, one.planned, one.text)
        held.way = job["hold"]
        made["one"] = held
    for name in job.get("fails", ()):
        made[name].fails = [InstallError("BROKEN", "It broke", "on purpose", "retry")]
    return made


def main() -> None:
    job = json.loads(sys.argv[1])

    async def build(secret: str) -> EngineWork:
        redaction.register([secret])
        logging.getLogger("library").warning("connected with %s", secret)
        return work_of(steps(job))

    sys.exit(process.run_engine(Path(job["dir"]), build, job.get("patience", process.PATIENCE)))


if __name__ == "__main__":
    main()
