"""How a run ends before its time: lost locks, defects, a journal that cannot be written."""

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
from installer.core.step import StepContext, StepOutcome
from installer.engine.journal import Journal
from tests.unit.engine.house import PATIENCE, House
from tests.unit.engine.props import (
    BROKEN,
    FORK,
    Lock,
    SlowWrite,
    held,
    no_space,
)
from tests.unit.engine.world import SHAPE, FarEnd, steps_of, work_of


@pytest.fixture
def far(tmp_path: Path) -> FarEnd:
    return FarEnd(tmp_path / "far")


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
            monkeypatch.setattr("os.fdatasync", no_space)
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


async def test_a_command_that_cannot_be_recorded_ends_the_engine_in_order(
    tmp_path: Path, far: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write under way ends, waits are left, the lock is released last."""
    steps = steps_of(far, shape=FORK)
    slow = SlowWrite(steps["left"])
    held(steps, "right")
    lock = Lock()
    house = House(tmp_path, work_of(steps, lock))
    await house.start()
    await asyncio.wait_for(slow.entered.wait(), PATIENCE)
    await house.until_status("right", StepStatus.WAIT)
    monkeypatch.setattr("os.fdatasync", no_space)
    reply = await house.ask(Verb.PAUSE)
    assert reply.refused.startswith("JOURNAL-WRITE-FAILED")
    for _ in range(10):
        await asyncio.sleep(0)
    assert "release" not in lock.calls
    slow.answer.set()
    await asyncio.wait_for(house.engine.over.wait(), PATIENCE)
    assert slow.finished
    assert lock.calls == ["acquire", "keep", "release"]
    assert house.engine.error is not None
    assert house.engine.error.code == "JOURNAL-WRITE-FAILED"
    with pytest.raises(InstallError, match="JOURNAL-WRITE-FAILED"):  # now and for ever
        house.recorder.record(ev.RunPaused("x"))
    await house.engine.close()


async def test_a_broken_journal_does_not_wait_for_waits(
    tmp_path: Path, far: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_of(far, shape=FORK)
    held(steps, "left", "right")
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("left", StepStatus.WAIT)
    await house.until_status("right", StepStatus.WAIT)
    monkeypatch.setattr("os.fdatasync", no_space)
    await house.ask(Verb.PAUSE)
    await asyncio.wait_for(house.engine.over.wait(), PATIENCE)
    assert house.engine.error is not None
    await house.engine.close()


async def test_of_several_errors_the_one_that_ends_the_run_counts(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far, shape=FORK)
    entered, go = asyncio.Event(), asyncio.Event()

    async def apply(ctx: StepContext) -> StepOutcome:
        async with ctx.gate.mutation("put", "left-a"):
            entered.set()
            await go.wait()
            try:
                async with ctx.gate.mutation("put", "left-b"):
                    raise AssertionError("written after the stop")
            except InstallError as error:
                raise ExceptionGroup("side by side", [BROKEN, error]) from None

    steps["left"].apply = apply  # type: ignore[method-assign]  # a wave of two writes
    house = House(tmp_path, work_of(steps))
    await house.start()
    await asyncio.wait_for(entered.wait(), PATIENCE)
    await house.ask(Verb.ABORT)
    go.set()
    state = await house.end()
    assert state.error is not None
    assert state.error.code == "ABORTED"
    assert [e.type for e in house.events("left")] == ["step-intent"]
