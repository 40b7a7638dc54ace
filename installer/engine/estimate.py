"""How long it still takes: a range, or nothing rather than a guess."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from installer.core.plan import Plan
from installer.core.state import RunState, StepState, StepStatus
from installer.core.step import PlannedStep
from installer.engine.dag import ordered
from installer.engine.runner import PARALLEL

CHECK = (0.0, 5.0)  # seconds for a look at a finished step of which no figure is known


@dataclass(frozen=True)
class Range:
    """Seconds, at least and at most as far as past runs tell."""

    low: float
    high: float


def remaining(
    plan: Plan,
    state: RunState,
    typical: Mapping[str, tuple[float, float]],
    now: Mapping[str, float] | None = None,
    parallel: int = PARALLEL,
) -> Range | None:
    """Time from here to the end of the plan; None while a step has no figure at all.

    ``typical`` gives (low, high) seconds of one step by the title of its phase, for steps that this
    journal has not timed yet. ``now`` gives the seconds that running steps have taken so far.
    """
    spans: dict[str, tuple[float, float]] = {}
    for step in plan.steps:
        span = _span(step, state, typical)
        if span is None:
            return None
        spent = (now or {}).get(step.id, 0.0)
        spans[step.id] = (max(0.0, span[0] - spent), max(0.0, span[1] - spent))
    order = ordered(plan.steps)
    low = _simulate(order, {name: span[0] for name, span in spans.items()}, parallel)
    high = _simulate(order, {name: span[1] for name, span in spans.items()}, parallel)
    return Range(low, max(low, high))


def _span(
    step: PlannedStep, state: RunState, typical: Mapping[str, tuple[float, float]]
) -> tuple[float, float] | None:
    past = state.of(step.id)
    if past.status in (StepStatus.OK, StepStatus.SKIP):
        return (0.0, 0.0)
    if _stands(step, past):
        seen = state.checks.get(step.id)
        return (min(seen), max(seen)) if seen else CHECK
    seen = state.durations.get(step.id)
    return (min(seen), max(seen)) if seen else typical.get(step.phase)


def _stands(step: PlannedStep, past: StepState) -> bool:
    """Whether only a look is to be expected. Consumed outputs are not known beforehand."""
    if past.in_doubt or not past.done_hash or past.status is StepStatus.WAIT:
        return False
    return bool(step.consumes) or past.done_hash == step.input_hash


def _simulate(order: tuple[PlannedStep, ...], seconds: Mapping[str, float], parallel: int) -> float:
    """When the last step ends if ``parallel`` workers take free steps in order."""
    ends: dict[str, float] = {}
    workers = [0.0] * parallel
    for step in order:
        free = heapq.heappop(workers)
        start = max([free, *(ends[need] for need in step.needs)])
        ends[step.id] = start + seconds[step.id]
        heapq.heappush(workers, ends[step.id])
    return max(ends.values(), default=0.0)
