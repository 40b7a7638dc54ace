"""The fold: what views, resume and tests believe follows from the records alone."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installer.core import events as ev
from installer.core.errors import ErrorReport, ExitCode
from installer.core.plan import Plan, RunKind
from installer.core.state import (
    Folding,
    RunState,
    RunStatus,
    StepStatus,
    apply,
    exit_code,
    fold,
)

ERROR = ErrorReport("X", "title", "cause", "remedy", exit_code=ExitCode.UNREACHABLE)
PLAN = Plan(RunKind.INSTALL, "demo", "here", (), ("one",))


def begun(kind: str = "install", run: int = 1) -> ev.RunStarted:
    return ev.RunStarted(run, kind, "demo", "0.1.0", "anna", "desk", 7, "boot")


def recorded(events: Sequence[ev.Event], first: int = 1) -> list[ev.Recorded]:
    return [ev.Recorded(n, f"t{n}", 1, event) for n, event in enumerate(events, first)]


def folded(*events: ev.Event) -> RunState:
    return fold(recorded(events))


def test_nothing_is_known_of_nothing() -> None:
    assert fold([]) == RunState()
    assert fold([]).of("a").status is StepStatus.NEXT


def test_an_intent_without_done_is_unknown_to_the_next_run() -> None:
    state = folded(begun(), ev.StepIntent("a", "h", 3))
    assert (state.of("a").status, state.of("a").in_doubt) == (StepStatus.RUN, True)
    state = fold(recorded([begun(run=2)], 3), state)
    step = state.of("a")
    assert (step.status, step.in_doubt, step.attempts) == (StepStatus.UNKNOWN, True, 0)


def test_done_is_kept_over_runs_with_its_outputs() -> None:
    state = folded(begun(), ev.StepIntent("a", "h"), ev.StepDone("a", "h", {"x": 1}, ("o",), 2.0))
    assert state.changed == 1
    state = fold(recorded([begun(run=2)], 4), state)
    step = state.of("a")
    assert (step.status, step.done_hash, step.outputs, step.changed) == (
        StepStatus.NEXT,
        "h",
        {"x": 1},
        0,
    )
    assert (state.changed, state.durations) == (0, {"a": (2.0,)})


def test_a_run_of_another_kind_begins_with_nothing_proven() -> None:
    state = folded(begun(), ev.StepDone("a", "h"), begun("uninstall", 2))
    assert dict(state.steps) == {}


def test_a_failed_step_makes_the_run_failed_until_it_is_answered() -> None:
    events: list[ev.Event] = [begun(), ev.StepIntent("a", "h"), ev.StepFailed("a", ERROR)]
    assert folded(*events).status is RunStatus.FAILED
    assert folded(*events).failed == ("a",)
    retried = folded(*events, ev.CommandTaken("retry", "c", "anna", "a"))
    assert (retried.status, retried.of("a").status) == (RunStatus.RUNNING, StepStatus.NEXT)
    assert retried.of("a").in_doubt
    skipped = folded(*events, ev.StepSkipped("a", "the a", "anna"))
    assert (skipped.status, skipped.of("a").status) == (RunStatus.RUNNING, StepStatus.SKIP)
    accepted = folded(*events, ev.CommandTaken("accept-drift", "c", "anna", "a"))
    assert accepted.of("a").status is StepStatus.NEXT


def test_one_of_two_failures_answered_is_still_failed() -> None:
    state = folded(
        begun(),
        ev.StepFailed("a", ERROR),
        ev.StepFailed("b", ERROR),
        ev.StepSkipped("a", "the a", "anna"),
    )
    assert (state.status, state.failed) == (RunStatus.FAILED, ("b",))


def test_waiting_names_what_for_and_ends() -> None:
    waits: list[ev.Event] = [begun(), ev.StepIntent("a", "h"), ev.StepWaiting("a", "the pods")]
    step = folded(*waits).of("a")
    assert (step.status, step.waiting_for, step.since) == (StepStatus.WAIT, "the pods", "t3")
    assert folded(*waits, ev.StepWaiting("a", "")).of("a").status is StepStatus.RUN
    done = folded(*waits, ev.StepDone("a", "h")).of("a")
    assert (done.status, done.waiting_for) == (StepStatus.OK, "")


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (ev.RunPaused("why"), RunStatus.PAUSED, ExitCode.PAUSED),
        (ev.RunStopped(ERROR), RunStatus.STOPPED, ExitCode.UNREACHABLE),
        (ev.RunFinished(3, 1.0), RunStatus.FINISHED, ExitCode.OK),
    ],
)
def test_ends(end: ev.Event, status: RunStatus, code: ExitCode) -> None:
    pause = ev.CommandTaken("pause", "c", "anna")
    state = folded(begun(), ev.StepIntent("a", "h"), pause, end)
    assert (state.status, state.pause_asked, exit_code(state)) == (status, False, code)
    if status is not RunStatus.FINISHED:
        assert state.of("a").status is StepStatus.UNKNOWN


def test_a_pause_is_asked_for_and_taken_back() -> None:
    asked: list[ev.Event] = [begun(), ev.CommandTaken("pause", "c", "anna")]
    assert folded(*asked).pause_asked
    assert not folded(*asked, ev.CommandTaken("continue", "d", "anna")).pause_asked


def test_the_plan_is_of_this_run() -> None:
    approved = ev.PlanApproved(PLAN.digest, "anna", PLAN.to_json(), ("pvc/a/b",))
    state = folded(begun(), approved)
    assert (state.plan, state.plan_digest, state.approved_by) == (PLAN, PLAN.digest, "anna")
    assert state.consents == ("pvc/a/b",)
    state = fold(recorded([begun(run=2)], 3), state)
    assert (state.plan, state.plan_digest, state.consents) == (None, "", ())


def test_only_the_last_durations_are_kept() -> None:
    dones = [ev.StepDone("a", "h", seconds=float(n)) for n in range(8)]
    assert folded(begun(), *dones).durations == {"a": (3.0, 4.0, 5.0, 6.0, 7.0)}
    assert folded(begun(), ev.StepUnchanged("a", "h", 0.5)).checks == {"a": (0.5,)}


_steps = st.sampled_from(["a", "b", "c"])
_events: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(begun, st.sampled_from(["install", "uninstall"]), st.integers(1, 9)),
    st.builds(lambda: ev.PlanApproved(PLAN.digest, "anna", PLAN.to_json())),
    st.builds(ev.StepIntent, _steps, st.sampled_from(["h", "i"])),
    st.builds(ev.StepDone, _steps, st.sampled_from(["h", "i"]), st.just({"x": 1})),
    st.builds(ev.StepUnchanged, _steps, st.just("h")),
    st.builds(ev.StepWaiting, _steps, st.sampled_from(["", "w"])),
    st.builds(ev.StepFailed, _steps, st.just(ERROR)),
    st.builds(ev.StepSkipped, _steps, st.just("lost"), st.just("anna")),
    st.builds(ev.DriftFound, _steps, st.just(("d",)), st.just("ask")),
    st.builds(
        ev.CommandTaken,
        st.sampled_from(["pause", "continue", "retry", "accept-drift", "abort"]),
        st.just("id"),
        st.just("anna"),
        _steps,
    ),
    st.builds(ev.RunPaused, st.just("why")),
    st.builds(ev.RunFinished, st.just(1), st.just(1.0)),
    st.builds(ev.RunStopped, st.just(ERROR)),
    st.builds(ev.JournalRepaired, st.just(3), st.just("f")),
)


@settings(deadline=None)
@given(st.lists(_events, max_size=30), st.integers(0, 30))
def test_a_fold_may_be_cut_anywhere(events: list[ev.Event], cut: int) -> None:
    """In one go, in two, record by record, or looked at in between: the same state."""
    records = recorded(events)
    whole = fold(records)
    assert fold(records[cut:], fold(records[:cut])) == whole
    one_by_one = RunState()
    folding = Folding()
    for record in records:
        before: dict[str, Any] = dict(one_by_one.steps)
        earlier = one_by_one
        one_by_one = apply(one_by_one, record)
        assert dict(earlier.steps) == before  # what was given out never changes
        folding.add(record)
        assert folding.state() == one_by_one
    assert one_by_one == whole
    assert whole.failed == tuple(
        name for name, step in whole.steps.items() if step.status is StepStatus.FAIL
    )
