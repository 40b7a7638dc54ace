"""The engine without its socket: locked, then ready with a plan, then running, then over."""

import asyncio
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from installer.core import events as ev
from installer.core.clock import Clock
from installer.core.commands import Command, Reply, Verb
from installer.core.errors import ErrorReport, ExitCode, InstallError
from installer.core.plan import Plan, differences
from installer.core.state import RunStatus
from installer.core.version import PRODUCT_VERSION
from installer.engine import reports
from installer.engine.board import Board
from installer.engine.crash import CrashPoints
from installer.engine.desk import NOT_NOW, Desk
from installer.engine.gate import PlanGate
from installer.engine.journal import JournalWriteFailed, Repair
from installer.engine.locks import user_name
from installer.engine.recorder import Recorder
from installer.engine.runner import PARALLEL, Runner
from installer.engine.work import Build, EngineWork


class Engine:
    """Built work, its run and the commands about both. ``over`` is set when no run will follow.

    ``error`` is why it ended where the journal cannot say so (a write of the journal failed).
    """

    def __init__(
        self,
        directory: Path,
        build: Build,
        recorder: Recorder,
        board: Board,
        clock: Clock,
        crash: CrashPoints,
        repairs: tuple[Repair, ...] = (),
        parallel: int = PARALLEL,
    ) -> None:
        self._directory = directory
        self._build = build
        self._clock = clock
        self._crash = crash
        self._repairs = repairs
        self._parallel = parallel
        self._building = asyncio.Lock()
        self._runner: Runner | None = None
        self._run: asyncio.Task[None] | None = None
        self.recorder = recorder
        self.board = board
        self.desk = Desk(recorder, self._act)
        self.work: EngineWork | None = None
        self.over = asyncio.Event()
        self.error: ErrorReport | None = None

    @property
    def started(self) -> bool:
        return self._run is not None

    @property
    def repairs(self) -> tuple[str, ...]:
        return tuple(
            f"the last line of {repair.file.name} was torn by a crash: {len(repair.cut)} bytes "
            f"are cut off and kept in {repair.kept.name}"
            for repair in self._repairs
        )

    def terminate(self) -> None:
        """SIGTERM: pause at the next safe point; a second time, where no write is under way."""
        if self._runner is None or self.recorder.broken:
            self.over.set()
            return
        if not self.over.is_set():
            self._journalled(lambda runner: runner.pause("SIGTERM", "", "told to end (SIGTERM)"))

    async def close(self) -> None:
        """Waits for the run that was begun, then lets go of what was built."""
        if self._run is not None:
            await asyncio.gather(self._run, return_exceptions=True)
        if self.work is not None:
            try:
                await self.work.close()
            except Exception as error:  # the run is over; its outcome stands
                self._internal(error, "closing")

    # -- commands ---------------------------------------------------------------------------

    async def _act(self, command: Command) -> Reply:
        try:
            return await self._do(command)
        except Exception as error:  # the view must not wait for an answer for ever
            known = self._internal(error, f"the command {command.verb.value}")
            return self._refused(command, known.code, known.title, known.report())

    async def _do(self, command: Command) -> Reply:
        match command.verb:
            case Verb.UNLOCK:
                return await self._unlock(command)
            case Verb.START:
                return self._start(command)
            case Verb.ABORT if self._runner is None:
                self.over.set()
                return self._taken(command)
        if self._runner is None:
            return self._refused(command, NOT_NOW, "no run was started yet")
        if self.over.is_set():
            return self._refused(command, NOT_NOW, "the run is over")
        return self._steer(command)

    def _steer(self, command: Command) -> Reply:
        given = (command.id, command.by)
        acts: dict[Verb, Callable[[Runner], str]] = {
            Verb.PAUSE: lambda runner: runner.pause(*given),
            Verb.CONTINUE: lambda runner: runner.proceed(*given),
            Verb.RETRY: lambda runner: runner.retry(command.step, *given),
            Verb.SKIP: lambda runner: runner.skip(command.step, *given),
            Verb.ACCEPT_DRIFT: lambda runner: runner.accept_drift(command.step, *given),
            Verb.ABORT: lambda runner: runner.abort(*given),
        }
        refused = self._journalled(acts[command.verb])
        return self._refused(command, NOT_NOW, refused) if refused else self._taken(command)

    def _journalled(self, act: Callable[[Runner], str]) -> str:
        assert self._runner is not None
        try:
            return act(self._runner)
        except JournalWriteFailed as error:
            return str(error)  # the run ends by the same error

    async def _unlock(self, command: Command) -> Reply:
        async with self._building:
            if self.work is None:
                secret = str((command.params or {}).get("secret", ""))
                try:
                    self.work = await self._build(secret)
                except InstallError as error:
                    return self._refused(command, error.code, error.title, error.report())
            return self._taken(command, self._plan())

    def _start(self, command: Command) -> Reply:
        params = command.params or {}
        if self._runner is not None:
            return self._refused(command, NOT_NOW, "the run was started already")
        if self.work is None:
            return self._refused(command, NOT_NOW, "the engine is still locked")
        if refused := self._not_startable(command, self.work, params):
            return refused
        try:
            self._runner = self._begin(self.work, command, params)
        except InstallError as error:
            if isinstance(error, JournalWriteFailed):
                self.error = error.report()
                self.over.set()
            return self._refused(command, error.code, error.title, error.report())
        self._run = asyncio.create_task(self._run_to_end(self._runner))
        return self._taken(command)

    def _not_startable(
        self, command: Command, work: EngineWork, params: Mapping[str, Any]
    ) -> Reply | None:
        plan = work.plan
        if params.get("digest") != plan.digest:
            shown = params.get("plan")
            changed = differences(Plan.from_json(shown), plan) if shown else ()
            return Reply(
                command.id,
                self.recorder.seq,
                "the plan is not the one that was shown",
                changed,
                "PLAN-CHANGED",
                data=self._plan(),
            )
        consents = set(params.get("consents", ()))
        missing = [n for s in plan.steps for n in s.destroys if n not in consents]
        if missing:
            named = ", ".join(dict.fromkeys(missing))
            refused = f"what would be destroyed was not confirmed by name: {named}"
            return self._refused(command, "CONSENT-MISSING", refused)
        return None

    def _begin(self, work: EngineWork, command: Command, params: Mapping[str, Any]) -> Runner:
        """Checks the graph, then journals the run's first records. Raises InstallError."""
        if tuple(step.planned for step in work.steps) != work.plan.steps:
            raise InstallError(
                "PLAN-BROKEN",
                "The plan contradicts itself",
                "Its steps are not those that would be run.",
                "This is a defect of the program, not of the settings: please report it.",
                exit_code=ExitCode.INTERNAL,
            )
        gate = PlanGate(work.plan, work.lock, self._crash)
        runner = Runner(
            work,
            gate,
            self.recorder,
            self.board,
            self._clock,
            self._internal,
            parallel=self._parallel,
            unattended=bool(params.get("unattended")),
        )
        self._introduce(work.plan)
        self.recorder.record(
            ev.PlanApproved(
                work.plan.digest,
                command.by,
                work.plan.to_json(),
                tuple(str(name) for name in params.get("consents", ())),
            )
        )
        return runner

    def _introduce(self, plan: Plan) -> None:
        before = self.recorder.state
        goes_on = before.status not in (RunStatus.NONE, RunStatus.FINISHED)
        self.recorder.record(
            ev.RunStarted(
                run=self.recorder.next_run,
                kind=plan.kind.value,
                install_id=plan.install_id,
                product=PRODUCT_VERSION,
                user=user_name(),
                host=platform.node(),
                pid=os.getpid(),
                boot_id=_boot_id(),
                resumes=before.run if goes_on and before.kind == plan.kind.value else 0,
            )
        )
        for repair in self._repairs:
            self.recorder.record(
                ev.JournalRepaired(len(repair.cut), repair.file.name, repair.kept.name)
            )
        self._repairs = ()

    async def _run_to_end(self, runner: Runner) -> None:
        try:
            await runner.run()
        except JournalWriteFailed as error:
            self.error = error.report()
        except Exception as error:
            known = self._internal(error, "the run")
            self.error = known.report()
            if not self.recorder.broken:
                self.recorder.record(ev.RunStopped(known.report()))
        finally:
            self.over.set()

    def _internal(self, error: BaseException, during: str) -> InstallError:
        return reports.internal(self._directory, error, during, self._clock.now())

    def _plan(self) -> dict[str, Any]:
        assert self.work is not None
        plan = self.work.plan
        return {"digest": plan.digest, "plan": plan.to_json()}

    def _taken(self, command: Command, data: Mapping[str, Any] | None = None) -> Reply:
        return Reply(command.id, self.recorder.seq, data=data or {})

    def _refused(
        self, command: Command, code: str, why: str, error: ErrorReport | None = None
    ) -> Reply:
        return Reply(command.id, self.recorder.seq, why, (), code, error)


def _boot_id() -> str:
    """Changes with each boot of this machine (random(4)); empty where /proc does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
