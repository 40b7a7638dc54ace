"""How often again, and how many at once."""

import asyncio
import random
from dataclasses import replace

import pytest

from installer.cluster.classifier import classify_answer
from installer.cluster.concurrency import AdaptiveLimit, RetryBudget
from installer.cluster.failures import ApiFailure, CallContext
from tests.unit.cluster import recorded
from tests.unit.cluster.quick_clock import QuickClock
from tests.unit.cluster.recorded import Recorded


def failure(answer: Recorded) -> ApiFailure:
    status, headers, body = answer
    context = CallContext("patch", "ConfigMap a", "ConfigMap")
    return ApiFailure.of(classify_answer(status, headers, body, context))


OVERLOAD = failure(recorded.OVERLOAD)
DOWN = failure(recorded.SHUTTING_DOWN)
SLOW = failure(recorded.ETCD_SLOW)
FORBIDDEN = failure(recorded.FORBIDDEN)


class Operation:
    """Fails with each of ``failures`` in turn, then succeeds."""

    def __init__(self, *failures: ApiFailure) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise replace(self.failures.pop(0))
        return "done"


async def test_what_passes_is_repeated_and_told() -> None:
    clock = QuickClock()
    told: list[tuple[str, float]] = []
    operation = Operation(SLOW, OVERLOAD)
    budget = RetryBudget(clock)
    done = await budget.run(
        operation, on_wait=lambda failed, wait: told.append((failed.code, wait))
    )
    assert done == "done"
    assert [code for code, _ in told] == ["API-SERVER-ERROR", "API-OVERLOAD"]
    assert [wait for _, wait in told] == clock.sleeps


async def test_what_is_for_good_is_not_repeated() -> None:
    operation = Operation(FORBIDDEN)
    with pytest.raises(ApiFailure):
        await RetryBudget(QuickClock()).run(operation)
    assert operation.calls == 1


async def test_no_wait_is_shorter_than_the_server_asked() -> None:
    clock = QuickClock()
    await RetryBudget(clock, rng=random.Random(1)).run(Operation(*[DOWN] * 20))
    assert min(clock.sleeps) >= 5


async def test_waits_spread_and_grow_up_to_a_cap() -> None:
    budget = RetryBudget(QuickClock(), base=0.5, cap=8, rng=random.Random(7))
    first = [budget.delay(0, None) for _ in range(500)]
    late = [budget.delay(30, None) for _ in range(500)]
    assert 0 <= min(first) < 0.05
    assert 0.45 < max(first) <= 0.5
    assert min(late) < 0.5
    assert 7.5 < max(late) <= 8


async def test_a_call_gives_up_after_its_time() -> None:
    clock = QuickClock()
    with pytest.raises(ApiFailure):
        await RetryBudget(clock, seconds=60).run(Operation(*[SLOW] * 1000))
    assert 30 < clock.passed <= 60


async def test_a_call_inside_another_does_not_double_the_time() -> None:
    clock = QuickClock()
    reading = Operation(*[SLOW] * 1000)
    inner, outer = RetryBudget(clock, seconds=60), RetryBudget(clock, seconds=60)
    with pytest.raises(ApiFailure):
        await outer.run(lambda: inner.run(reading))
    assert clock.passed <= 60


async def test_a_phase_gives_up_after_so_many_repeats_in_all() -> None:
    budget = RetryBudget(QuickClock(), attempts=5, seconds=10_000)
    await budget.run(Operation(SLOW, SLOW, SLOW))
    assert budget.left == 2
    operation = Operation(*[SLOW] * 10)
    with pytest.raises(ApiFailure):
        await budget.run(operation)
    assert operation.calls == 3


async def use(limit: AdaptiveLimit, failed: ApiFailure | None = None) -> None:
    try:
        async with limit.slot():
            if failed is not None:
                raise failed
    except ApiFailure:
        pass


async def test_it_starts_at_eight_and_never_lets_more_in() -> None:
    limit, inside, most = AdaptiveLimit(), 0, 0
    release, full = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        nonlocal inside, most
        async with limit.slot():
            inside += 1
            most = max(most, inside)
            if inside == 8:
                full.set()
            await release.wait()
            inside -= 1

    calls = [asyncio.create_task(call()) for _ in range(30)]
    await asyncio.wait_for(full.wait(), 10)
    assert limit.running == 8
    release.set()
    await asyncio.gather(*calls)
    assert 8 <= most <= limit.limit <= 16


async def test_it_grows_by_one_for_a_round_of_successes_up_to_the_ceiling() -> None:
    limit = AdaptiveLimit(8, ceiling=10)
    for _ in range(7):
        await use(limit)
    assert limit.limit == 8
    await use(limit)
    assert limit.limit == 9
    for _ in range(100):
        await use(limit)
    assert limit.limit == 10


async def test_it_halves_on_an_overload_and_not_below_one() -> None:
    limit = AdaptiveLimit(8)
    seen = []
    for _ in range(5):
        await use(limit, OVERLOAD)
        seen.append(limit.limit)
    assert seen == [4, 2, 1, 1, 1]


async def test_other_failures_leave_it_as_it_is() -> None:
    limit = AdaptiveLimit(8)
    await use(limit, SLOW)
    await use(limit, FORBIDDEN)
    assert limit.limit == 8
    assert limit.running == 0


async def test_overloads_of_one_burst_count_once() -> None:
    limit = AdaptiveLimit(8)
    together = asyncio.Barrier(8)

    async def call() -> None:
        async with limit.slot():
            await together.wait()
            raise OVERLOAD

    await asyncio.gather(*(call() for _ in range(8)), return_exceptions=True)
    assert limit.limit == 4


async def test_a_cancelled_call_gives_its_place_back() -> None:
    limit = AdaptiveLimit(1)
    entered = asyncio.Event()

    async def call() -> None:
        async with limit.slot():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await entered.wait()
    waiting = asyncio.create_task(use(limit))
    task.cancel()
    await asyncio.wait_for(waiting, 10)
    assert limit.running == 0
