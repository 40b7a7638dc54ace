"""Driving a run: side by side, failures, answers to them, pauses, ends."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from installer.core import events as ev
from installer.core.commands import Verb
from installer.core.errors import ExitCode
from installer.core.plan import RunKind
from installer.core.state import RunStatus, StepStatus, exit_code
from tests.unit.engine.house import PATIENCE, House
from tests.unit.engine.props import (
    BROKEN,
    FORK,
    WIDE,
    Lock,
    SlowWrite,
    held,
    replace_exit,
)
from tests.unit.engine.world import FarEnd, steps_of, work_of


@pytest.fixture
def far(tmp_path: Path) -> FarEnd:
    return FarEnd(tmp_path / "far")


async def test_independent_steps_run_side_by_side_up_to_the_bound(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far, shape=WIDE)
    hold = held(steps)
    house = House(tmp_path, work_of(steps), parallel=3)
    await house.start()
    await house.until(lambda s: sum(s.of(name).status is StepStatus.WAIT for name in steps) == 3)
    assert sum(step.began.is_set() for step in steps.values()) == 3
    hold.set()
    assert (await house.end()).status is RunStatus.FINISHED


async def test_other_branches_go_on_after_a_failure(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    steps["left"].fails = [BROKEN]
    house = House(tmp_path, work_of(steps))
    await house.start()
    state = await house.until(
        lambda s: s.of("right").status is StepStatus.OK and s.of("left").status is StepStatus.FAIL
    )
    assert state.status is RunStatus.FAILED
    error = state.of("left").error
    assert error is not None
    assert (error.code, error.retryable, error.skippable) == ("BROKEN", True, False)
    assert state.of("after").status is StepStatus.NEXT
    assert (await house.ask(Verb.RETRY, "left")).refused == ""
    state = await house.end()
    assert state.status is RunStatus.FINISHED
    assert exit_code(state) is ExitCode.OK


async def test_an_unattended_run_stops_itself_when_only_failures_are_left(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far, shape=FORK)
    steps["left"].fails = [replace_exit(BROKEN, ExitCode.UNREACHABLE)]
    house = House(tmp_path, work_of(steps))
    await house.start(unattended=True)
    state = await house.end()
    assert (state.status, state.of("right").status) == (RunStatus.STOPPED, StepStatus.OK)
    assert state.error is not None
    assert (state.error.code, exit_code(state)) == ("BROKEN", ExitCode.UNREACHABLE)


async def test_a_skip_needs_a_step_that_may_be_lost(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK, lost={"left": "nobody can go left"})
    steps["left"].fails = [BROKEN]
    steps["right"].fails = [BROKEN]
    house = House(tmp_path, work_of(steps))
    await house.start()
    state = await house.until(lambda s: len(s.failed) == 2)
    assert [state.of(n).error.skippable for n in ("left", "right")] == [True, False]  # type: ignore[union-attr]  # both failed
    refused = await house.ask(Verb.SKIP, "right")
    assert (refused.code, "right" in refused.refused) == ("NOT-NOW", True)
    assert (await house.ask(Verb.SKIP, "left", by="berta")).refused == ""
    await house.until_status("after", StepStatus.OK)
    skipped = next(e for e in house.events() if isinstance(e, ev.StepSkipped))
    assert (skipped.lost, skipped.by) == ("nobody can go left", "berta")
    assert (await house.ask(Verb.RETRY, "right")).refused == ""
    assert (await house.end()).status is RunStatus.FINISHED


async def test_answers_are_only_taken_for_failed_steps(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK, lost={"left": "x"})
    hold = held(steps)
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    before = house.recorder.seq
    for verb in (Verb.RETRY, Verb.SKIP, Verb.ACCEPT_DRIFT):
        for name in ("left", "after", "ghost", ""):
            assert (await house.ask(verb, name, seen=10**6)).code == "NOT-NOW"
    assert house.recorder.seq == before
    hold.set()
    await house.end()


async def test_a_pause_lets_running_steps_end_and_starts_no_other(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far, shape=FORK)
    hold = held(steps)
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    assert (await house.ask(Verb.PAUSE)).refused == ""
    hold.set()
    state = await house.end()
    assert state.status is RunStatus.PAUSED
    assert (state.of("left").status, state.of("after").status) == (StepStatus.OK, StepStatus.NEXT)
    assert not steps["after"].began.is_set()
    assert exit_code(state) is ExitCode.PAUSED
    house = House(tmp_path, work_of(steps_of(far, shape=FORK)))
    await house.start()
    assert (await house.end()).status is RunStatus.FINISHED
    started = house.events()[0]
    assert isinstance(started, ev.RunStarted)
    assert (started.run, started.resumes) == (2, 1)


async def test_an_uninstall_does_not_go_on_with_an_install(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    hold = held(steps)
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    await house.ask(Verb.PAUSE)
    hold.set()
    assert (await house.end()).status is RunStatus.PAUSED
    work = work_of(steps_of(far, shape=FORK))
    other = replace(work, plan=replace(work.plan, kind=RunKind.UNINSTALL))
    house = House(tmp_path, other)
    await house.start()
    assert (await house.end()).status is RunStatus.FINISHED
    started = house.events()[0]
    assert isinstance(started, ev.RunStarted)
    assert (started.kind, started.resumes) == ("uninstall", 0)


async def test_a_pause_can_be_taken_back(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    hold = held(steps)
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    assert (await house.ask(Verb.CONTINUE)).code == "NOT-NOW"
    await house.ask(Verb.PAUSE)
    assert (await house.ask(Verb.CONTINUE)).refused == ""
    hold.set()
    assert (await house.end()).status is RunStatus.FINISHED


async def test_a_pause_with_a_failed_step_ends_the_run(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    steps["left"].fails = [BROKEN]
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.FAIL)
    await house.until_status("right", StepStatus.OK)
    await house.ask(Verb.PAUSE)
    assert (await house.end()).status is RunStatus.PAUSED


async def test_paused_twice_leaves_waiting_steps_in_doubt(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    held(steps)
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    await house.ask(Verb.PAUSE)
    await house.ask(Verb.PAUSE)
    state = await house.end()
    assert state.status is RunStatus.PAUSED
    assert (state.of("left").status, state.of("left").in_doubt) == (StepStatus.UNKNOWN, True)
    again = steps_of(far, shape=FORK)
    house = House(tmp_path, work_of(again))
    await house.start()
    assert (await house.end()).status is RunStatus.FINISHED
    assert again["left"].probes == 1
    assert house.state.changed == 2  # of "after"; the others had been written already


async def test_abort_lets_a_write_end_and_makes_no_other(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    slow = SlowWrite(steps["left"])
    lock = Lock()
    house = House(tmp_path, work_of(steps, lock))
    await house.start()
    await asyncio.wait_for(slow.entered.wait(), PATIENCE)
    assert (await house.ask(Verb.ABORT)).refused == ""
    slow.answer.set()
    state = await house.end()
    assert slow.finished
    assert state.status is RunStatus.STOPPED
    assert state.error is not None
    assert state.error.code == "ABORTED"
    assert not house.events("after")
    assert [e.type for e in house.events("left")] == ["step-intent"]  # it did not fail
    assert lock.calls == ["acquire", "keep", "release"]
