"""The only door to a far end's state: nothing outside the approved plan passes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from installer.core.errors import ExitCode, InstallError
from installer.core.plan import Plan
from installer.core.step import FarEndLock, PlannedStep
from installer.engine.crash import CrashPoints

LEASE_LOST = "LEASE-LOST"


class PlanGate:
    """Made once a run for the approved plan; :meth:`of` gives each step its own door."""

    def __init__(self, plan: Plan, lock: FarEndLock, crash: CrashPoints) -> None:
        self._steps = {step.id: step for step in plan.steps}
        self._standing = frozenset(plan.standing)
        self._lock = lock
        self._crash = crash
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed: InstallError | None = None

    def of(self, step: PlannedStep) -> "StepGate":
        """Raises InstallError NOT-IN-PLAN for a step that is not as approved."""
        if self._steps.get(step.id) != step:
            raise not_in_plan(step.id, "the step", "itself")
        return StepGate(self, step.id, self._standing.union(step.targets))

    def close(self, reason: InstallError) -> None:
        """From now on every mutation raises ``reason``; the first reason stands."""
        if self.closed is None:
            self.closed = reason

    async def drained(self) -> None:
        """Returns when no mutation is under way."""
        await self._idle.wait()

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """One mutation of a target that was found in the plan."""
        if self.closed is None and not self._lock.still_held():
            self.close(lease_lost())
        if self.closed is not None:
            raise self.closed
        number = self._crash.calling()
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
            self._crash.called(number)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()


class StepGate:
    """Implements ``core.step.MutationGate`` for one step."""

    def __init__(self, gate: PlanGate, step: str, targets: frozenset[str]) -> None:
        self._gate = gate
        self._step = step
        self._targets = targets

    def mutation(self, verb: str, target: str) -> AbstractAsyncContextManager[None]:
        """See MutationGate. NOT-IN-PLAN is raised here, the rest on entering."""
        if target not in self._targets:
            raise not_in_plan(self._step, verb, target)
        return self._gate.passage()


def not_in_plan(step: str, verb: str, target: str) -> InstallError:
    return InstallError(
        "NOT-IN-PLAN",
        "Something outside the approved plan was about to be written",
        f"Step {step} wanted to {verb} {target}, which the approved plan does not name for it.",
        "Nothing was written. This is a defect of the program: please report it.",
        exit_code=ExitCode.INTERNAL,
    )


def lease_lost(evidence: tuple[str, ...] = ()) -> InstallError:
    return InstallError(
        LEASE_LOST,
        "The lock on the far end ran out",
        "It could not be renewed in time (this machine slept, or the far end did not answer), so "
        "somebody else may be at work there. Nothing was written after that.",
        "Find out whether another engine is at work, then resume.",
        retryable=True,
        evidence=evidence,
        exit_code=ExitCode.LOCKED,
    )
