"""Driving a run: side by side, failures, answers to them, pauses, ends."""

import asyncio
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from installer.core import events as ev
from installer.core import redaction
from installer.core.commands import Verb
from installer.core.errors import ExitCode, InstallError
from installer.core.state import RunStatus, StepStatus, exit_code
from installer.core.step import NoFarEndLock, StepContext, StepOutcome
from installer.engine.journal import Journal
from tests.unit.engine.house import PATIENCE, House
from tests.unit.engine.world import SHAPE, FarEnd, FileStep, steps_of, work_of

WIDE: dict[str, tuple[str, ...]] = {f"w{n}": () for n in range(9)}
FORK: dict[str, tuple[str, ...]] = {"left": (), "right": (), "after": ("left",)}
BROKEN = InstallError("BROKEN", "It broke", "for a reason", "mend it", retryable=True)


@pytest.fixture
def far(tmp_path: Path) -> FarEnd:
    return FarEnd(tmp_path / "far")


class Lock(NoFarEndLock):
    """Remembers; ``lost`` makes ``keep`` fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.lost = asyncio.Event()
        self.held = True
        self.calls: list[str] = []

    async def acquire(self) -> None:
        self.calls.append("acquire")
        if self.error:
            raise self.error

    def still_held(self) -> bool:
        return self.held

    async def keep(self) -> None:
        self.calls.append("keep")
        await self.lost.wait()
        self.held = False
        raise InstallError("LEASE-LOST", "Lost", "taken over by another", "look", retryable=True)

    async def release(self) -> None:
        self.calls.append("release")


def held(steps: dict[str, FileStep], *names: str) -> asyncio.Event:
    hold = asyncio.Event()
    for name in names or tuple(steps):
        steps[name].hold = hold
    return hold


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


def replace_exit(error: InstallError, code: ExitCode) -> InstallError:
    return InstallError(error.code, error.title, error.cause, error.remedy, exit_code=code)


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


class SlowWrite:
    """A step inside a write that ends when the test says so."""

    def __init__(self, step: FileStep) -> None:
        self.entered = asyncio.Event()
        self.answer = asyncio.Event()
        self.finished = False
        self._step = step
        step.apply = self.apply  # type: ignore[method-assign]  # this one write is slow

    async def apply(self, ctx: StepContext) -> StepOutcome:
        async with ctx.gate.mutation("put", self._step.planned.targets[0]):
            self.entered.set()
            await self.answer.wait()
            self.finished = True
        async with ctx.gate.mutation("put", self._step.planned.targets[1]):
            raise AssertionError("written after the stop")


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


async def test_the_lock_is_taken_before_the_first_write_and_released_last(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far)
    lock = Lock()
    house = House(tmp_path, work_of(steps, lock))
    await house.start()
    await house.end()
    assert lock.calls == ["acquire", "keep", "release"]


async def test_a_lock_held_by_others_stops_the_run_before_any_step(
    tmp_path: Path, far: FarEnd
) -> None:
    error = InstallError(
        "LOCKED", "Somebody", "berta since noon", "wait", exit_code=ExitCode.LOCKED
    )
    house = House(tmp_path, work_of(steps_of(far), Lock(error)))
    await house.start()
    state = await house.end()
    assert house.types == ["run-started", "plan-approved", "run-stopped"]
    assert (state.status, exit_code(state)) == (RunStatus.STOPPED, ExitCode.LOCKED)
    assert far.calls == []


async def test_a_lost_lock_stops_everything_and_is_not_released(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far, shape=FORK)
    slow = SlowWrite(steps["left"])
    held(steps, "right")
    lock = Lock()
    house = House(tmp_path, work_of(steps, lock))
    await house.start()
    await asyncio.wait_for(slow.entered.wait(), PATIENCE)
    await house.until_status("right", StepStatus.WAIT)
    lock.lost.set()  # nobody answers the slow write any more: it is given up at once
    state = await house.end()
    assert state.status is RunStatus.STOPPED
    assert state.error is not None
    assert (state.error.code, state.error.cause) == ("LEASE-LOST", "taken over by another")
    assert not slow.finished
    assert lock.calls == ["acquire", "keep"]


async def test_whatever_ends_the_renewing_the_lock_counts_as_lost(
    tmp_path: Path, far: FarEnd
) -> None:
    class Failing(Lock):
        async def keep(self) -> None:
            await self.lost.wait()
            raise InstallError("UNREACHABLE", "No answer", "since noon", "look")

    steps = steps_of(far, shape=FORK)
    held(steps, "left", "right")
    lock = Failing()
    house = House(tmp_path, work_of(steps, lock))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    lock.lost.set()
    state = await house.end()
    assert state.error is not None
    assert state.error.code == "LEASE-LOST"
    assert state.error.evidence == ("UNREACHABLE: No answer: since noon",)


async def test_a_deadline_passed_while_asleep_is_seen_at_the_next_write(
    tmp_path: Path, far: FarEnd
) -> None:
    """As after SIGSTOP: nobody told us, only the clock has moved."""
    steps = steps_of(far, shape=FORK)
    hold = held(steps, "left", "right")
    lock = Lock()
    house = House(tmp_path, work_of(steps, lock))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    lock.held = False
    before = far.calls
    hold.set()
    state = await house.end()
    assert state.status is RunStatus.STOPPED
    assert state.error is not None
    assert state.error.code == "LEASE-LOST"
    failed = state.of("after").error
    assert failed is not None
    assert failed.code == "LEASE-LOST"
    assert far.calls == before
    assert "release" not in lock.calls


async def test_an_unknown_exception_is_internal_with_a_report_and_no_secret(
    tmp_path: Path, far: FarEnd
) -> None:
    redaction.register(["hunter2-canary"])
    try:
        steps = steps_of(far, shape=FORK)
        steps["left"].fails = [RuntimeError("password hunter2-canary refused")]
        house = House(tmp_path, work_of(steps))
        await house.start(unattended=True)
        state = await house.end()
    finally:
        redaction.forget_all()
    error = state.of("left").error
    assert error is not None
    assert (error.code, error.retryable) == ("INTERNAL", True)
    assert error.cause == "RuntimeError during step left."
    (report,) = (tmp_path / "reports").iterdir()
    assert str(report) in error.remedy
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "RuntimeError: password [secret] refused" in text
    assert "hunter2" not in text
    assert "world.py" in text


async def test_the_known_error_is_taken_out_of_a_group(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)
    steps["left"].fails = [ExceptionGroup("g", [ValueError("x"), ExceptionGroup("h", [BROKEN])])]
    house = House(tmp_path, work_of(steps))
    await house.start(unattended=True)
    state = await house.end()
    assert state.error is not None
    assert state.error.code == "BROKEN"


async def test_a_step_that_cancels_itself_has_failed(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)

    async def apply(ctx: StepContext) -> StepOutcome:
        raise asyncio.CancelledError

    steps["left"].apply = apply  # type: ignore[method-assign]  # a defect made by hand
    house = House(tmp_path, work_of(steps))
    await house.start(unattended=True)
    state = await house.end()
    assert state.error is not None
    assert state.error.code == "INTERNAL"


async def test_a_write_outside_the_plan_fails_the_step(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=FORK)

    async def apply(ctx: StepContext) -> StepOutcome:
        async with ctx.gate.mutation("put", "right-a"):  # another step's
            far.put("right-a", "x")
        return StepOutcome()

    steps["left"].apply = apply  # type: ignore[method-assign]  # a defect made by hand
    house = House(tmp_path, work_of(steps))
    await house.start(unattended=True)
    state = await house.end()
    assert state.error is not None
    assert state.error.code == "NOT-IN-PLAN"


async def test_steps_other_than_the_plans_are_refused_before_any_record(
    tmp_path: Path, far: FarEnd
) -> None:
    work = work_of(steps_of(far, shape=FORK))
    odd = steps_of(far, {"left": "other"}, shape=FORK)
    house = House(tmp_path, replace(work, steps=list(odd.values())))
    await house.ask(Verb.UNLOCK, params={"secret": "x"})
    reply = await house.ask(Verb.START, params={"digest": work.plan.digest})
    assert (reply.code, house.types) == ("PLAN-BROKEN", [])
    assert not (tmp_path / "journal").exists()


async def test_a_cycle_is_refused_before_any_record(tmp_path: Path, far: FarEnd) -> None:
    work = work_of(steps_of(far, shape={"a": ("b",), "b": ("a",)}))
    house = House(tmp_path, work)
    await house.ask(Verb.UNLOCK, params={"secret": "x"})
    reply = await house.ask(Verb.START, params={"digest": work.plan.digest})
    assert reply.error is not None
    assert (reply.code, "a -> b -> a" in reply.error.cause) == ("PLAN-BROKEN", True)
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("at", range(1, 12))
async def test_a_journal_that_cannot_be_written_stops_before_acting(
    tmp_path: Path, far: FarEnd, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Whichever record fails: no write follows it, the engine ends, and a resume completes."""
    steps = steps_of(far)
    house = House(tmp_path, work_of(steps))
    real, count = Journal.append, 0
    calls_then = 0
    refused: list[ev.Event] = []

    def append(self: Journal, event: ev.Event) -> ev.Recorded:
        nonlocal count, calls_then
        count += 1
        if count == at:
            calls_then = len(far.calls)
            refused.append(event)
            monkeypatch.setattr("os.fdatasync", _no_space)
        return real(self, event)

    monkeypatch.setattr(Journal, "append", append)
    unlocked = await house.ask(Verb.UNLOCK, params={"secret": "x"})
    reply = await house.ask(Verb.START, params={"digest": unlocked.data["digest"]})
    await asyncio.wait_for(house.engine.over.wait(), PATIENCE)
    await house.engine.close()
    assert house.engine.error is not None
    assert house.engine.error.code == "JOURNAL-WRITE-FAILED"
    assert (reply.code == "JOURNAL-WRITE-FAILED") == (at <= 2)
    assert house.recorder.seq == at - 1
    # Writes under way beside it may end; none begins.
    assert len(far.calls) - calls_then <= 3
    if isinstance(refused[0], ev.StepIntent):
        assert steps[refused[0].step].applies == 0
    monkeypatch.undo()
    house = House(tmp_path, work_of(steps_of(far)))
    await house.start()
    assert (await house.end()).status is RunStatus.FINISHED
    assert len(far.objects()) == 2 * len(SHAPE)


def _no_space(file: int) -> None:
    raise OSError(28, "No space left on device")
