"""Runs many engines in children of one process, so that imports are paid for once.

``python -m tests.unit.engine.mill`` reads one JSON job a line from stdin: ``{"dir", "far", "at",
"texts"}``. It forks; the child runs an engine that unlocks and starts itself, without a view; the
parent answers ``{"status": <wait status as returncode>}``. Only installer.engine and installer.core
are imported.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from installer.core.clock import SystemClock
from installer.core.commands import Command, Verb
from installer.core.state import exit_code
from installer.engine.board import Board
from installer.engine.crash import CrashPoints
from installer.engine.journal import Journal
from installer.engine.recorder import Recorder
from installer.engine.service import Engine
from installer.engine.work import EngineWork
from tests.unit.engine.world import FarEnd, steps_of, work_of


async def run(job: dict[str, Any]) -> int:
    directory = Path(job["dir"])
    far = FarEnd(Path(job["far"]))

    async def build(secret: str) -> EngineWork:
        return work_of(steps_of(far, job.get("texts")))

    clock = SystemClock()
    crash = CrashPoints(job.get("at", ""))
    journal, state, repairs = Journal.open(directory, clock)
    recorder = Recorder(journal, state, crash)
    engine = Engine(directory, build, recorder, Board(clock), clock, crash, repairs)
    await engine.desk.take(Command("u", Verb.UNLOCK, 0, params={"secret": "x"}))
    assert engine.work is not None
    params = {"digest": engine.work.plan.digest, "unattended": True}
    reply = await engine.desk.take(Command("s", Verb.START, 0, by="mill", params=params))
    if reply.refused and engine.error is None:
        raise SystemExit(reply.refused)
    await engine.over.wait()
    await engine.close()
    journal.close()
    if engine.error:
        return int(engine.error.exit_code)
    # What the next job's N may be at most, for the one who drives the loop.
    (far.folder / "counts").write_text(json.dumps([crash.records, crash.calls]))
    return int(exit_code(engine.recorder.state))


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            code = 99
            try:
                code = asyncio.run(run(job))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
