"""How long a run still takes, from its state at this moment."""

from datetime import datetime

from installer.core.clock import Clock, SystemClock
from installer.core.state import RunState, StepStatus
from installer.engine.estimate import remaining


def time_left(state: RunState, clock: Clock | None = None) -> tuple[float, float] | None:
    """Seconds to the end of the run, at least and at most; None while nothing like it has run."""
    if state.plan is None:
        return None
    now = (clock or SystemClock()).now()
    spent = {
        name: (now - datetime.fromisoformat(step.since)).total_seconds()
        for name, step in state.steps.items()
        if step.status in (StepStatus.RUN, StepStatus.WAIT) and step.since
    }
    left = remaining(state.plan, state, {}, spent)
    return (left.low, left.high) if left else None
