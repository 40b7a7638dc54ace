"""Nothing outside the approved plan is written, and nothing after the lock is lost."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from installer.core.errors import InstallError
from installer.core.plan import Plan, RunKind
from installer.core.step import NoFarEndLock, PlannedStep
from installer.engine.crash import CrashPoints
from installer.engine.gate import PlanGate

A = PlannedStep("a", "A", "one", (), "h", ("x/a",))
B = PlannedStep("b", "B", "one", (), "h", ("x/b",))
PLAN = Plan(RunKind.INSTALL, "demo", "here", (A, B), ("one",), ("lease",))


class Lock(NoFarEndLock):
    held = True

    def still_held(self) -> bool:
        return self.held


def code(error: pytest.ExceptionInfo[InstallError]) -> str:
    return error.value.code


async def test_only_targets_of_the_step_and_standing_lines_pass() -> None:
    gate = PlanGate(PLAN, Lock(), CrashPoints()).of(A)
    for target in ("x/a", "lease"):
        async with gate.mutation("apply", target):
            pass
    for target in ("x/b", "x/c", ""):
        with pytest.raises(InstallError) as caught:
            gate.mutation("apply", target)  # already when asked, before anything is prepared
        assert code(caught) == "NOT-IN-PLAN"
        assert target in caught.value.cause


def test_a_step_that_is_not_as_approved_gets_no_door() -> None:
    gate = PlanGate(PLAN, Lock(), CrashPoints())
    for step in (replace(A, targets=("x/a", "x/b")), replace(A, id="c")):
        with pytest.raises(InstallError) as caught:
            gate.of(step)
        assert code(caught) == "NOT-IN-PLAN"


async def test_after_the_lock_is_lost_nothing_passes_again() -> None:
    lock = Lock()
    whole = PlanGate(PLAN, lock, CrashPoints())
    gate = whole.of(A)
    passage = gate.mutation("apply", "x/a")  # asked while it was held
    lock.held = False
    with pytest.raises(InstallError) as caught:
        await passage.__aenter__()
    assert code(caught) == "LEASE-LOST"
    lock.held = True  # somebody else may have been there in between
    with pytest.raises(InstallError) as caught:
        async with whole.of(B).mutation("apply", "x/b"):
            pass
    assert code(caught) == "LEASE-LOST"


async def test_a_closed_gate_says_why_and_the_first_reason_stands() -> None:
    gate = PlanGate(PLAN, Lock(), CrashPoints())
    gate.close(InstallError("FIRST", "", "", ""))
    gate.close(InstallError("SECOND", "", "", ""))
    with pytest.raises(InstallError) as caught:
        async with gate.of(A).mutation("apply", "x/a"):
            pass
    assert code(caught) == "FIRST"


async def test_drained_waits_for_writes_under_way() -> None:
    gate = PlanGate(PLAN, Lock(), CrashPoints())
    await gate.drained()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gate.of(A).mutation("apply", "x/a"))
        async with gate.of(B).mutation("apply", "x/b"):
            pass
        waiting = asyncio.create_task(gate.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
    with pytest.raises(RuntimeError):
        async with gate.of(A).mutation("apply", "x/a"):
            raise RuntimeError("the write failed")
    await asyncio.wait_for(gate.drained(), 1)


@pytest.mark.parametrize(
    ("at", "trace"),
    [
        ("", "1 2 3"),
        ("record:2", "1 2 3"),
        ("call:2:before", "1 die 2 3"),
        ("call:2:after", "1 2 die 3"),
        ("call:4:after", "1 2 3"),
    ],
)
async def test_calls_are_counted_for_the_crash_points(at: str, trace: str) -> None:
    seen: list[str] = []
    gate = PlanGate(PLAN, Lock(), CrashPoints(at, lambda: seen.append("die"))).of(A)
    for number in "123":
        async with gate.mutation("apply", "x/a"):
            seen.append(number)
    assert " ".join(seen) == trace


async def test_a_failed_write_has_no_answer_to_die_after() -> None:
    seen: list[str] = []
    gate = PlanGate(PLAN, Lock(), CrashPoints("call:1:after", lambda: seen.append("die"))).of(A)
    with pytest.raises(OSError, match="refused"):
        async with gate.mutation("apply", "x/a"):
            raise OSError("refused")
    assert seen == []


def test_crash_points_are_read_from_the_environment_and_checked() -> None:
    seen: list[int] = []
    points = CrashPoints("record:3", lambda: seen.append(points.records))
    for _ in range(5):
        points.recorded()
    assert seen == [3]
    assert CrashPoints.from_environment({}).records == 0
    for wrong in ("record:0", "record", "call:1", "call:1:now", "step:2"):
        with pytest.raises(ValueError, match="MATRIX_INSTALL_DIE_AT"):
            CrashPoints.from_environment({"MATRIX_INSTALL_DIE_AT": wrong})
