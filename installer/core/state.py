"""``RunState = fold(events)``: one pure function for every view, for resume and for tests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from installer.core import events as ev
from installer.core.errors import ErrorReport
from installer.core.plan import Plan


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
    attempts: int = 0
    error: ErrorReport | None = None
    waiting_for: str = ""
    since: str = ""  # when the present status began
    seconds: float = 0.0  # of the last completion
    changed: int = 0  # objects written by this step in this run
    in_doubt: bool = False  # an intent is open: the far end may be half way
    drift: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunState:
    """All that the journal says. Made only by :func:`fold`."""

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

    def of(self, step: str) -> StepState:
        return self.steps.get(step, StepState())

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name, s in self.steps.items() if s.status is StepStatus.FAIL)


def fold(records: Iterable[ev.Recorded], start: RunState | None = None) -> RunState:
    """Applies the records in order to ``start`` (or to the empty state)."""
    state = start or RunState()
    for record in records:
        state = apply(state, record)
    return state


def apply(state: RunState, record: ev.Recorded) -> RunState:
    """The state after one more record."""
    event = record.event
    state = replace(state, seq=record.seq, time=record.time)
    match event:
        case ev.RunStarted():
            return _started(state, event, record)
        case ev.PlanApproved():
            return replace(
                state,
                plan=Plan.from_json(event.plan),
                plan_digest=event.digest,
                approved_by=event.by,
                consents=event.consents,
            )
        case ev.RunPaused():
            return replace(state, status=RunStatus.PAUSED, pause_asked=False)
        case ev.RunFinished():
            return replace(state, status=RunStatus.FINISHED, changed=event.changed)
        case ev.RunStopped():
            return replace(state, status=RunStatus.STOPPED, error=event.error)
        case ev.CommandTaken():
            return _commanded(state, event, record)
        case _:
            return _stepped(state, event, record)


def _started(state: RunState, event: ev.RunStarted, record: ev.Recorded) -> RunState:
    """A new run keeps what was proven and forgets what was only going on."""
    kept = {} if event.kind != state.kind and state.kind else dict(state.steps)
    steps = {
        name: replace(
            step,
            status=StepStatus.UNKNOWN if step.in_doubt else StepStatus.NEXT,
            error=None,
            waiting_for="",
            changed=0,
            drift=(),
            since=record.time,
        )
        for name, step in kept.items()
    }
    return replace(
        state,
        status=RunStatus.RUNNING,
        run=event.run,
        kind=event.kind,
        install_id=event.install_id,
        started=record.time,
        steps=steps,
        changed=0,
        pause_asked=False,
        error=None,
        plan=None,
        plan_digest="",
        approved_by="",
        consents=(),
    )


def _commanded(state: RunState, event: ev.CommandTaken, record: ev.Recorded) -> RunState:
    if event.command == "pause":
        return replace(state, pause_asked=True)
    if event.command == "continue":
        return replace(state, pause_asked=False)
    if event.command in ("retry", "accept-drift"):
        step = replace(
            state.of(event.step), status=StepStatus.NEXT, error=None, since=record.time
        )
        return _settle(_with_step(state, event.step, step))
    return state


def _stepped(state: RunState, event: ev.Event, record: ev.Recorded) -> RunState:
    name = getattr(event, "step", "")
    if not name:
        return state
    old = state.of(name)
    new = _next_step(old, event, record.time)
    state = _with_step(state, name, new)
    if isinstance(event, ev.StepDone):
        past = (*state.durations.get(name, ()), event.seconds)[-5:]
        state = replace(
            state,
            changed=state.changed + len(event.changed),
            durations={**state.durations, name: past},
        )
    return _settle(state)


def _next_step(old: StepState, event: ev.Event, time: str) -> StepState:
    match event:
        case ev.StepIntent():
            return replace(
                old,
                status=StepStatus.RUN,
                attempts=event.attempt,
                since=time,
                in_doubt=True,
                error=None,
                waiting_for="",
            )
        case ev.StepDone():
            return replace(
                old,
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
        case ev.StepUnchanged():
            return replace(
                old, status=StepStatus.OK, since=time, seconds=event.seconds, waiting_for=""
            )
        case ev.StepWaiting():
            return replace(old, status=StepStatus.WAIT, waiting_for=event.what, since=time)
        case ev.StepFailed():
            return replace(
                old, status=StepStatus.FAIL, error=event.error, since=time, waiting_for=""
            )
        case ev.StepSkipped():
            return replace(old, status=StepStatus.SKIP, since=time, error=None)
        case ev.DriftFound():
            return replace(old, drift=event.details)
        case _:
            return old


def _with_step(state: RunState, name: str, step: StepState) -> RunState:
    return replace(state, steps={**state.steps, name: step})


def _settle(state: RunState) -> RunState:
    """Running or failed, by whether any step waits for an answer."""
    if state.status not in (RunStatus.RUNNING, RunStatus.FAILED):
        return state
    return replace(state, status=RunStatus.FAILED if state.failed else RunStatus.RUNNING)
