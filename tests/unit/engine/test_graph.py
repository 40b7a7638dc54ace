"""The graph of steps is sound before anything is written."""

import pytest

from installer.core.errors import InstallError
from installer.core.step import PlannedStep
from installer.engine.dag import ordered


def step(name: str, *needs: str, consumes: tuple[str, ...] = ()) -> PlannedStep:
    return PlannedStep(name, name, "one", needs, "h", (), consumes=consumes)


def cause(*steps: PlannedStep) -> str:
    with pytest.raises(InstallError) as caught:
        ordered(steps)
    assert caught.value.code == "PLAN-BROKEN"
    return caught.value.cause


def names(*steps: PlannedStep) -> list[str]:
    return [found.id for found in ordered(steps)]


def test_needs_come_first_and_the_given_order_otherwise() -> None:
    assert names(step("d", "b"), step("c"), step("b", "a"), step("a")) == ["c", "a", "b", "d"]
    assert names(step("z"), step("y"), step("x")) == ["z", "y", "x"]
    assert names() == []


def test_a_cycle_is_named() -> None:
    found = cause(step("x"), step("a", "c"), step("b", "a"), step("c", "b"), step("d", "a"))
    assert "a -> c -> b -> a" in found


def test_a_step_that_waits_for_itself() -> None:
    assert "a -> a" in cause(step("a", "a"))


def test_a_cycle_that_only_blocks_is_named_without_what_it_blocks() -> None:
    assert cause(step("d", "b"), step("b", "c"), step("c", "b")).endswith("b -> c -> b")


def test_an_unknown_need_and_an_id_twice() -> None:
    assert "a needs ghost" in cause(step("a", "ghost"))
    assert "two steps have the id a" in cause(step("a"), step("a"))


@pytest.mark.parametrize("reference", ["b:x", "ghost:x", "a", "a:", "c:x"])
def test_an_output_is_consumed_only_from_what_is_waited_for(reference: str) -> None:
    assert f"c consumes {reference}" in cause(
        step("a"), step("b"), step("c", "a", consumes=(reference,))
    )


def test_an_output_may_come_from_further_up() -> None:
    found = names(step("a"), step("b", "a"), step("c", "b", consumes=("a:x", "b:y")))
    assert found == ["a", "b", "c"]


def test_a_long_chain_is_no_problem() -> None:
    chain = [step("0"), *(step(str(n), str(n - 1)) for n in range(1, 1000))]
    assert len(names(*chain)) == 1000
