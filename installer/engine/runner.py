"""Drives the steps of an approved plan to their end, side by side where they allow it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from installer.core import events as ev
from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError
from installer.core.state import RunStatus, StepStatus
from installer.core.step import Step
from installer.engine.attempt import DRIFT, Attempt, Reporter
from installer.engine.board import Board
from installer.engine.dag import ordered
from installer.engine.gate import LEASE_LOST, PlanGate, lease_lost
from installer.engine.journal import JournalWriteFailed
from installer.engine.recorder import Recorder
from installer.engine.work import EngineWork

PARALLEL = 4  # steps at a time
DRAIN = 120.0  # seconds that a write under way gets before its step is left (its own limit is less)
RELEASE = 30.0  # seconds for letting go of the far end's lock


class Runner:
    """One run. :meth:`run` ends with the run's status; commands may come at any time.

    A command method returns why it is refused, or an empty text after it is journalled.
    """

    def __init__(
        self,
        work: EngineWork,
        gate: PlanGate,
        recorder: Recorder,
        board: Board,
        clock: Clock,
        report: Reporter,
        *,
        parallel: int = PARALLEL,
        unattended: bool = False,
    ) -> None:
        """``unattended``: stop by itself when nothing but failed steps is left."""
        steps = {step.planned.id: step for step in work.steps}
        self._steps = {p.id: steps[p.id] for p in ordered([s.planned for s in work.steps])}
        self._lock = work.lock
        self._gate = gate
        self._recorder = recorder
        self._board = board
        self._clock = clock
        self._report = report
        self._parallel = parallel
        self._unattended = unattended
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._accepted: set[str] = set()
        self._settled: set[str] = set()  # done, unchanged or skipped in this run
        self._bell = asyncio.Event()
        self._hurried = False
        self._began = clock.monotonic()
        self._pause_why = ""

    async def run(self) -> RunStatus:
        """Raises JournalWriteFailed after everything is halted and the lock released."""
        try:
            await self._lock.acquire()
        except Exception as error:
            self._recorder.record(ev.RunStopped(self._known(error, "taking the lock").report()))
            return RunStatus.STOPPED
        keeper = asyncio.create_task(self._lock.keep())
        keeper.add_done_callback(lambda _: self._bell.set())
        self._recorder.listen(self._bell)
        try:
            return await self._drive(keeper)
        finally:
            self._recorder.leave(self._bell)
            await self._halt()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._release()

    # -- commands ---------------------------------------------------------------------------

    def pause(self, command_id: str, by: str, why: str = "") -> str:
        """Asked for a second time, steps are left where no write is under way."""
        self._hurried = self._recorder.state.pause_asked
        self._pause_why = why or f"asked for by {by or 'the operator'}"
        self._taken("pause", command_id, by)
        return ""

    def proceed(self, command_id: str, by: str) -> str:
        if not self._recorder.state.pause_asked or self._gate.closed:
            return "no pause is asked for that could be taken back"
        self._taken("continue", command_id, by)
        return ""

    def retry(self, step: str, command_id: str, by: str) -> str:
        if refused := self._not_failed(step):
            return refused
        self._taken("retry", command_id, by, step)
        return ""

    def accept_drift(self, step: str, command_id: str, by: str) -> str:
        error = self._recorder.state.of(step).error
        if refused := self._not_failed(step):
            return refused
        if error is None or error.code != DRIFT:
            return f"{step} did not stop because of drift that may be overwritten"
        self._accepted.add(step)
        self._taken("accept-drift", command_id, by, step)
        return ""

    def skip(self, step: str, command_id: str, by: str) -> str:
        if refused := self._not_failed(step):
            return refused
        lost = self._steps[step].planned.lost_if_skipped
        if not lost:
            return f"{step} cannot be skipped: what follows rests on it"
        self._taken("skip", command_id, by, step)
        self._recorder.record(ev.StepSkipped(step, lost, by))
        self._settled.add(step)
        return ""

    def abort(self, command_id: str, by: str) -> str:
        self._taken("abort", command_id, by)
        self._gate.close(
            InstallError(
                "ABORTED",
                "Stopped on request",
                f"{by or 'The operator'} stopped the run. What is done stays, the rest is undone.",
                "Resume to go on from here.",
                retryable=True,
                exit_code=ExitCode.PAUSED,
            )
        )
        self._bell.set()
        return ""

    def _not_failed(self, step: str) -> str:
        if step not in self._steps:
            return f"{step or 'no step'} is no step of this plan"
        status = self._recorder.state.of(step).status
        if status is not StepStatus.FAIL or step in self._tasks:
            return f"{step} has not failed, it is {status.value}"
        return ""

    def _taken(self, command: str, command_id: str, by: str, step: str = "") -> None:
        self._recorder.record(ev.CommandTaken(command, command_id, by, step))

    # -- the loop ---------------------------------------------------------------------------

    async def _drive(self, keeper: "asyncio.Task[None]") -> RunStatus:
        while True:
            self._bell.clear()
            self._reap()
            if self._recorder.broken:
                raise self._recorder.broken
            if keeper.done() and not keeper.cancelled() and (lost := keeper.exception()):
                self._gate.close(self._lost(lost))
            if self._gate.closed:
                return await self._stop(self._gate.closed)
            if self._recorder.state.pause_asked:
                if self._hurried:
                    self._gate.close(_paused())
                    await self._halt()
                if not self._tasks and not self._complete():
                    self._recorder.record(ev.RunPaused(self._pause_why))
                    return RunStatus.PAUSED
            else:
                self._launch()
            if not self._tasks:
                if self._complete():
                    return self._finish()
                if self._unattended and not self._recorder.state.pause_asked:
                    return self._give_up()
            await self._bell.wait()

    def _launch(self) -> None:
        state = self._recorder.state
        for name, step in self._steps.items():
            if len(self._tasks) >= self._parallel:
                return
            if name in self._tasks or name in self._settled:
                continue
            if state.of(name).status is StepStatus.FAIL:
                continue
            if self._settled.issuperset(step.planned.needs):
                task = asyncio.create_task(self._work_on(step), name=name)
                task.add_done_callback(lambda _: self._bell.set())
                self._tasks[name] = task

    async def _work_on(self, step: Step) -> None:
        name = step.planned.id
        started = self._clock.monotonic()
        try:
            gate = self._gate.of(step.planned)
            accepted = name in self._accepted
            await Attempt(step, gate, self._recorder, self._board, self._clock, accepted).run()
            self._settled.add(name)
            self._accepted.discard(name)
        except JournalWriteFailed:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._failed(step, error, started)  # nobody cancelled it: a defect of the step
        except Exception as error:
            self._failed(step, error, started)
        finally:
            self._board.forget(name)

    def _failed(self, step: Step, raised: BaseException, started: float) -> None:
        planned = step.planned
        error = self._known(raised, f"step {planned.id}")
        if error is self._gate.closed and error.code != LEASE_LOST:
            return  # it did not fail: it was told to stop between two writes
        report = replace(error.report(), skippable=bool(planned.lost_if_skipped))
        took = round(self._clock.monotonic() - started, 3)
        self._recorder.record(ev.StepFailed(planned.id, report, took))

    def _reap(self) -> None:
        for name in [name for name, task in self._tasks.items() if task.done()]:
            task = self._tasks.pop(name)
            if not task.cancelled():
                task.result()  # only a failed write of the journal, or a defect, comes out here

    def _complete(self) -> bool:
        return len(self._settled) == len(self._steps)

    def _finish(self) -> RunStatus:
        took = round(self._clock.monotonic() - self._began, 3)
        self._recorder.record(ev.RunFinished(self._recorder.state.changed, took))
        return RunStatus.FINISHED

    def _give_up(self) -> RunStatus:
        state = self._recorder.state
        first = next(name for name in self._steps if state.of(name).error)
        error = state.of(first).error
        assert error is not None
        self._recorder.record(ev.RunStopped(error))
        return RunStatus.STOPPED

    async def _stop(self, reason: InstallError) -> RunStatus:
        await self._halt()
        self._recorder.record(ev.RunStopped(reason.report()))
        return RunStatus.STOPPED

    async def _halt(self) -> None:
        """Lets writes under way end, then leaves the steps; they are looked at again on resume.

        With a lost lock there is nothing to wait for: the sooner a write is given up, the better.
        """
        if not self._tasks:
            return
        self._gate.close(_paused())
        if self._lock.still_held():
            try:
                await asyncio.wait_for(self._gate.drained(), DRAIN)
            except TimeoutError:
                self._board.put("log", "", "a write under way did not end in time; left")
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _release(self) -> None:
        """A lock that was lost belongs to somebody else by now: it is not touched."""
        if self._gate.closed is not None and self._gate.closed.code == LEASE_LOST:
            return
        try:
            await asyncio.wait_for(self._lock.release(), RELEASE)
        except Exception as error:  # it runs out by itself; the run's outcome does not change
            known = self._known(error, "letting go of the lock")
            self._board.put("log", "", f"the far end's lock was not released: {known}")

    def _lost(self, raised: BaseException) -> InstallError:
        """Whatever ended the renewing, the lock counts as lost."""
        error = self._known(raised, "renewing the lock")
        return error if error.code == LEASE_LOST else lease_lost((str(error),))

    def _known(self, raised: BaseException, during: str) -> InstallError:
        """The error as an operator reads it. Of several raised side by side, the one that says
        why the run ends, else the first known one."""
        known = [error for error in _flat(raised) if isinstance(error, InstallError)]
        for error in known:
            if error is self._gate.closed:
                return error
        return known[0] if known else self._report(raised, during)


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flat(inner)
    else:
        yield error


def _paused() -> InstallError:
    return InstallError(
        "PAUSED",
        "Paused",
        "The run was paused between two writes.",
        "Resume to go on from here.",
        retryable=True,
        exit_code=ExitCode.PAUSED,
    )
