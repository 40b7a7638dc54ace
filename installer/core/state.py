"""``RunState = fold(events)``: one pure function for every view, for resume and for tests."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from installer.core import events as ev
from installer.core.errors import ErrorReport, ExitCode
from installer.core.plan import Plan

REMEMBERED = 5  # durations kept a step


class StepStatus(StrEnum):
    """State words; a view never shows a state by colour alone."""

    NEXT = "NEXT"  # its turn comes in this run
    RUN = "RUN"
    WAIT = "WAIT"  # applied or blocked, waiting for something it names
    OK = "OK"
    FAIL = "FAIL"
    SKIP = "SKIP"
    UNKNOWN = "UNKNOWN"  # intent without done and no engine: probe first


class RunStatus(StrEnum):
    NONE = "none"  # nothing was ever started
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"  # at least one step waits for an answer
    STOPPED = "stopped"
    FINISHED = "finished"


@dataclass(frozen=True)
class StepState:
    """One step's state. ``done_hash`` is the input of its last success, over all runs."""

    status: StepStatus = StepStatus.NEXT
    done_hash: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0  # in this run
    error: ErrorReport | None = None
    waiting_for: str = ""
    since: str = ""  # when the present status began
    seconds: float = 0.0  # of the last completion
    changed: int = 0  # objects written by this step in this run
    in_doubt: bool = False  # an intent is open: the far end may be half way
    drift: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunState:
    """All that the journal says. Made only by :func:`fold`.

    ``steps`` may name steps of earlier plans; a view walks ``plan.steps`` and asks :meth:`of`.
    ``durations`` are seconds of a step's last completions, ``checks`` of its last looks that
    found nothing to do, newest last.
    """

    status: RunStatus = RunStatus.NONE
    run: int = 0
    kind: str = ""
    install_id: str = ""
    seq: int = 0
    time: str = ""
    started: str = ""
    plan: Plan | None = None
    plan_digest: str = ""
    approved_by: str = ""
    consents: tuple[str, ...] = ()
    steps: Mapping[str, StepState] = field(default_factory=dict)
    changed: int = 0
    pause_asked: bool = False
    error: ErrorReport | None = None
    durations: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    checks: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def of(self, step: str) -> StepState:
        return self.steps.get(step, StepState())

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name, s in self.steps.items() if s.status is StepStatus.FAIL)


def fold(records: Iterable[ev.Recorded], start: RunState | None = None) -> RunState:
    """Applies the records in order to ``start`` (or to the empty state)."""
    folding = Folding(start)
    for record in records:
        folding.add(record)
    return folding.state()


def exit_code(state: RunState) -> ExitCode:
    """What a process that followed this run to its end returns."""
    match state.status:
        case RunStatus.NONE | RunStatus.FINISHED:
            return ExitCode.OK
        case RunStatus.PAUSED:
            return ExitCode.PAUSED
        case _:
            return state.error.exit_code if state.error else ExitCode.FAILED


def apply(state: RunState, record: ev.Recorded) -> RunState:
    """The state after one more record."""
    return fold((record,), state)


class Folding:
    """A fold under way. Mutable inside, so that replaying 10,000 records takes milliseconds.

    States that it gave out never change afterwards.
    """

    def __init__(self, start: RunState | None = None) -> None:
        start = start or RunState()
        self._fields: dict[str, Any] = dict(vars(start))
        self._frozen: dict[str, StepState] = dict(start.steps)
        self._steps: dict[str, dict[str, Any]] = {}  # those that changed since they were frozen
        self._failed = set(start.failed)
        self._durations = dict(start.durations)
        self._checks = dict(start.checks)
        self._plan: Mapping[str, Any] | None = None  # read only when a state is asked for

    def add(self, record: ev.Recorded) -> None:
        self._fields["seq"] = record.seq
        self._fields["time"] = record.time
        handler = _HANDLERS.get(type(record.event))
        if handler is not None:
            handler(self, record.event, record.time)

    def state(self) -> RunState:
        """What the records so far say."""
        for name, values in self._steps.items():
            self._frozen[name] = StepState(**values)
        self._steps.clear()
        if self._plan is not None:
            self._fields["plan"] = Plan.from_json(self._plan)
            self._plan = None
        self._fields["steps"] = dict(self._frozen)
        self._fields["durations"] = dict(self._durations)
        self._fields["checks"] = dict(self._checks)
        return RunState(**self._fields)

    def _step(self, name: str) -> dict[str, Any]:
        values = self._steps.get(name)
        if values is None:
            frozen = self._frozen.get(name)
            values = self._steps[name] = dict(vars(frozen or _FRESH))
            self._frozen.setdefault(name, _FRESH)  # keeps the order in which steps came up
        return values

    def _settle(self) -> None:
        """Running or failed, by whether any step waits for an answer."""
        if self._fields["status"] in (RunStatus.RUNNING, RunStatus.FAILED):
            failed = bool(self._failed)
            self._fields["status"] = RunStatus.FAILED if failed else RunStatus.RUNNING

    def _started(self, event: ev.RunStarted, time: str) -> None:
        """A new run keeps what was proven and forgets what was only going on."""
        if self._fields["kind"] not in ("", event.kind):
            self._steps.clear()
            self._frozen.clear()
        for name in self._frozen:
            step = self._step(name)
            status = StepStatus.UNKNOWN if step["in_doubt"] else StepStatus.NEXT
            step.update(status=status, attempts=0, error=None, waiting_for="", changed=0)
            step.update(drift=(), since=time)
        self._failed.clear()
        self._plan = None
        self._fields.update(
            status=RunStatus.RUNNING,
            run=event.run,
            kind=event.kind,
            install_id=event.install_id,
            started=time,
            changed=0,
            pause_asked=False,
            error=None,
            plan=None,
            plan_digest="",
            approved_by="",
            consents=(),
        )

    def _approved(self, event: ev.PlanApproved, time: str) -> None:
        self._plan = event.plan
        self._fields.update(plan_digest=event.digest, approved_by=event.by, consents=event.consents)

    def _intent(self, event: ev.StepIntent, time: str) -> None:
        self._step(event.step).update(
            status=StepStatus.RUN,
            attempts=event.attempt,
            since=time,
            in_doubt=True,
            error=None,
            waiting_for="",
        )
        self._mended(event.step)

    def _done(self, event: ev.StepDone, time: str) -> None:
        self._step(event.step).update(
            status=StepStatus.OK,
            done_hash=event.input_hash,
            outputs=event.outputs,
            since=time,
            seconds=event.seconds,
            changed=len(event.changed),
            in_doubt=False,
            waiting_for="",
            error=None,
        )
        self._fields["changed"] += len(event.changed)
        _remember(self._durations, event.step, event.seconds)
        self._mended(event.step)

    def _unchanged(self, event: ev.StepUnchanged, time: str) -> None:
        self._step(event.step).update(
            status=StepStatus.OK, since=time, seconds=event.seconds, waiting_for="", error=None
        )
        _remember(self._checks, event.step, event.seconds)
        self._mended(event.step)

    def _waiting(self, event: ev.StepWaiting, time: str) -> None:
        status = StepStatus.WAIT if event.what else StepStatus.RUN
        self._step(event.step).update(status=status, waiting_for=event.what, since=time)

    def _step_failed(self, event: ev.StepFailed, time: str) -> None:
        self._step(event.step).update(
            status=StepStatus.FAIL, error=event.error, since=time, waiting_for=""
        )
        self._failed.add(event.step)
        self._settle()

    def _skipped(self, event: ev.StepSkipped, time: str) -> None:
        self._step(event.step).update(
            status=StepStatus.SKIP, since=time, error=None, waiting_for=""
        )
        self._mended(event.step)

    def _drifted(self, event: ev.DriftFound, time: str) -> None:
        self._step(event.step)["drift"] = event.details

    def _commanded(self, event: ev.CommandTaken, time: str) -> None:
        if event.command in ("pause", "continue"):
            self._fields["pause_asked"] = event.command == "pause"
        elif event.command in ("retry", "accept-drift"):
            self._step(event.step).update(status=StepStatus.NEXT, error=None, since=time)
            self._mended(event.step)

    def _paused(self, event: ev.RunPaused, time: str) -> None:
        self._fields.update(status=RunStatus.PAUSED, pause_asked=False)
        self._halted(time)

    def _finished(self, event: ev.RunFinished, time: str) -> None:
        self._fields.update(status=RunStatus.FINISHED, changed=event.changed, pause_asked=False)

    def _stopped(self, event: ev.RunStopped, time: str) -> None:
        self._fields.update(status=RunStatus.STOPPED, error=event.error, pause_asked=False)
        self._halted(time)

    def _mended(self, step: str) -> None:
        self._failed.discard(step)
        self._settle()

    def _halted(self, time: str) -> None:
        """No engine works on any more: what was going on is in doubt or has its turn again."""
        for name in self._frozen:
            step = self._step(name)
            if step["status"] in (StepStatus.RUN, StepStatus.WAIT):
                status = StepStatus.UNKNOWN if step["in_doubt"] else StepStatus.NEXT
                step.update(status=status, waiting_for="", since=time)


_FRESH = StepState()
_HANDLERS: dict[type[ev.Event], Callable[[Folding, Any, str], None]] = {
    ev.RunStarted: Folding._started,
    ev.PlanApproved: Folding._approved,
    ev.StepIntent: Folding._intent,
    ev.StepDone: Folding._done,
    ev.StepUnchanged: Folding._unchanged,
    ev.StepWaiting: Folding._waiting,
    ev.StepFailed: Folding._step_failed,
    ev.StepSkipped: Folding._skipped,
    ev.DriftFound: Folding._drifted,
    ev.CommandTaken: Folding._commanded,
    ev.RunPaused: Folding._paused,
    ev.RunFinished: Folding._finished,
    ev.RunStopped: Folding._stopped,
}


def _remember(past: dict[str, tuple[float, ...]], step: str, seconds: float) -> None:
    past[step] = (*past.get(step, ()), seconds)[-REMEMBERED:]
