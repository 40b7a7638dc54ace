"""One attempt at one step: probe, apply, verify, each fact journalled before it is acted on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from installer.core import events as ev
from installer.core.canonical import digest
from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError
from installer.core.state import RunState
from installer.core.step import DriftPolicy, Finding, MutationGate, PlannedStep, Probe, Step
from installer.engine.board import Board
from installer.engine.recorder import Recorder

DRIFT = "DRIFT"
DRIFT_IDENTITY = "DRIFT-IDENTITY"


def consumed(step: PlannedStep, state: RunState) -> dict[str, dict[str, Any]]:
    """The outputs that the step declared to read: by step id, then by name.

    Raises InstallError OUTPUT-MISSING when a step that should have left one was skipped.
    """
    found: dict[str, dict[str, Any]] = {}
    for reference in step.consumes:
        source, _, name = reference.rpartition(":")
        outputs = state.of(source).outputs
        if name not in outputs:
            raise InstallError(
                "OUTPUT-MISSING",
                f"{step.title}: something that an earlier step leaves is missing",
                f"Step {source} left no output {name}; it was skipped, or never ran to its end.",
                f"Resume without skipping {source}.",
                exit_code=ExitCode.FAILED,
            )
        found.setdefault(source, {})[name] = outputs[name]
    return found


def input_hash(step: PlannedStep, outputs: Mapping[str, Mapping[str, Any]]) -> str:
    """Over the desired state and the consumed outputs; the step's own hash without any."""
    if not step.consumes:
        return step.input_hash
    return digest({"input": step.input_hash, "consumed": outputs})


@dataclass
class Context:
    """Implements ``core.step.StepContext``. ``outputs`` holds declared (consumed) ones only."""

    clock: Clock
    gate: MutationGate
    outputs: Mapping[str, Mapping[str, Any]]
    step: str
    recorder: Recorder
    board: Board

    def __post_init__(self) -> None:
        self._told: set[str] = set()

    def waiting(self, what: str, last_seen: str = "") -> None:
        """Journals each ``what`` once an attempt; what was last seen goes to the views only."""
        if what not in self._told:
            self._told.add(what)
            self.recorder.record(ev.StepWaiting(self.step, what))
        self.board.put("waiting", self.step, f"{what}: {last_seen}" if last_seen else what)

    def log(self, line: str) -> None:
        self.board.put("log", self.step, line)


@dataclass
class Attempt:
    """Carries out one step once. ``accepted``: drift may be overwritten without asking."""

    step: Step
    gate: MutationGate
    recorder: Recorder
    board: Board
    clock: Clock
    accepted: bool = False

    async def run(self) -> None:
        """Raises what the step raises, and InstallError for drift that is not to be repaired."""
        planned = self.step.planned
        outputs = consumed(planned, self.recorder.state)
        ctx = Context(self.clock, self.gate, outputs, planned.id, self.recorder, self.board)
        wanted = input_hash(planned, outputs)
        past = self.recorder.state.of(planned.id)
        started = self.clock.monotonic()
        if past.done_hash == wanted and not past.in_doubt:
            if await self._stands(ctx):
                took = self.clock.monotonic() - started
                self.recorder.record(ev.StepUnchanged(planned.id, wanted, _rounded(took)))
                return
        elif past.done_hash or past.in_doubt:
            # Half done, or done with another input: look first, so that an unreachable or odd
            # far end is told before anything more is written.
            _tell(ctx, await self.step.probe(ctx))
        self.recorder.record(ev.StepIntent(planned.id, wanted, past.attempts + 1))
        outcome = await self.step.apply(ctx)
        await self.step.verify(ctx)
        took = self.clock.monotonic() - started
        self.recorder.record(
            ev.StepDone(
                planned.id, wanted, dict(outcome.outputs), tuple(outcome.changed), _rounded(took)
            )
        )

    async def _stands(self, ctx: Context) -> bool:
        """The cheap look at a finished step: True if it is as it was left and its gates hold."""
        self.board.put("checking", ctx.step, "looks whether it still is as it was left")
        probe = await self.step.probe(ctx)
        if probe.finding is Finding.SAME:
            await self.step.verify(ctx)
            return True
        planned = self.step.planned
        details = probe.details or (f"it is {probe.finding.value}",)
        self.recorder.record(ev.DriftFound(planned.id, details, planned.drift.value))
        if planned.drift is DriftPolicy.STOP:
            raise _identity_drift(planned, details)
        if planned.drift is DriftPolicy.ASK and not self.accepted:
            raise _asked_drift(planned, details)
        return False


def _tell(ctx: Context, probe: Probe) -> None:
    ctx.log(f"found: {probe.finding.value}")
    for line in probe.details:
        ctx.log(f"found: {line}")


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _asked_drift(step: PlannedStep, details: tuple[str, ...]) -> InstallError:
    return InstallError(
        DRIFT,
        f"{step.title}: changed by others since it was done",
        "Putting it back may destroy something, so it is not done without being asked for.",
        "Accept the drift to have the planned state written over it, or put it back by hand and "
        "retry.",
        retryable=True,
        evidence=details,
        exit_code=ExitCode.REFUSED,
    )


def _identity_drift(step: PlannedStep, details: tuple[str, ...]) -> InstallError:
    return InstallError(
        DRIFT_IDENTITY,
        f"{step.title}: is not the one that this install made",
        "What identifies the far end differs; it is never repaired by itself.",
        "Find out whether this is the right far end. Put the identity back by hand, then retry.",
        retryable=True,
        evidence=details,
        exit_code=ExitCode.REFUSED,
    )


Reporter = Callable[[BaseException, str], InstallError]
"""Turns an unknown exception, and what went on when it came, into INTERNAL."""
