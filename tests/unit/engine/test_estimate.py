"""Time left: a range out of what was measured, or nothing."""

from collections.abc import Sequence

from installer.core import events as ev
from installer.core.plan import Plan, RunKind
from installer.core.state import RunState, fold
from installer.core.step import PlannedStep
from installer.engine.estimate import Range, remaining


def plan(*shape: tuple[str, Sequence[str]]) -> Plan:
    steps = tuple(PlannedStep(n, n, "one", tuple(needs), "h", ()) for n, needs in shape)
    return Plan(RunKind.INSTALL, "demo", "here", steps, ("one",))


def state(*events: ev.Event) -> RunState:
    return fold([ev.Recorded(n, "t", 1, event) for n, event in enumerate(events, 1)])


def begun(run: int = 1) -> ev.RunStarted:
    return ev.RunStarted(run, "install", "demo", "0", "u", "h", 1, "b")


CHAIN = plan(("a", ()), ("b", ("a",)))
SIDE = plan(*((name, ()) for name in "abcd"))
TYPICAL = {"one": (10.0, 30.0)}


def test_without_any_figure_there_is_none() -> None:
    assert remaining(CHAIN, RunState(), {}) is None
    assert remaining(CHAIN, state(begun(), ev.StepDone("a", "old", seconds=5)), {}) is None


def test_the_shipped_figures_serve_until_there_are_own_ones() -> None:
    assert remaining(CHAIN, RunState(), TYPICAL) == Range(20, 60)
    done = [ev.StepDone("a", "old", seconds=seconds) for seconds in (4.0, 6.0)]
    assert remaining(CHAIN, state(begun(), *done, begun(2)), TYPICAL) == Range(14, 36)


def test_what_is_done_takes_no_time_and_what_runs_has_taken_some() -> None:
    now = state(begun(), ev.StepDone("a", "h", seconds=5), ev.StepIntent("b", "h"))
    assert remaining(CHAIN, now, TYPICAL, {"b": 4.0}) == Range(6, 26)
    assert remaining(CHAIN, now, TYPICAL, {"b": 40.0}) == Range(0, 0)
    skipped = state(begun(), ev.StepSkipped("a", "lost", "anna"))
    assert remaining(CHAIN, skipped, TYPICAL) == Range(10, 30)


def test_side_by_side_takes_the_longest_and_is_bounded() -> None:
    assert remaining(SIDE, RunState(), TYPICAL, parallel=4) == Range(10, 30)
    assert remaining(SIDE, RunState(), TYPICAL, parallel=2) == Range(20, 60)


def test_a_finished_step_is_only_looked_at_on_resume() -> None:
    done = (begun(), ev.StepDone("a", "h", seconds=500), ev.StepDone("b", "h", seconds=500))
    assert remaining(CHAIN, state(*done, begun(2)), TYPICAL) == Range(0, 10)
    checked = (ev.StepUnchanged("a", "h", 2.0), ev.StepUnchanged("b", "h", 1.0))
    assert remaining(CHAIN, state(*done, begun(2), *checked, begun(3)), TYPICAL) == Range(3, 3)
    doubt = state(*done, begun(2), ev.StepIntent("b", "h"), begun(3))
    assert remaining(CHAIN, doubt, TYPICAL) == Range(500, 505)
