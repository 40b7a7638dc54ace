"""The database connection budget, on synthetic consumers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer.core.errors import InstallError
from installer.core.sizing_connections import (
    CEILING,
    STEP,
    ConnectionConsumer,
    connection_budget,
    usable,
)


def consumers(total: int) -> list[ConnectionConsumer]:
    return [
        ConnectionConsumer("synapse workers", 2, total // 2),
        ConnectionConsumer("rest", 1, total % 2),
    ]


@pytest.mark.parametrize(
    ("needed", "base", "figure"),
    [(0, 200, 200), (170, 200, 200), (171, 200, 250), (255, 300, 300), (256, 300, 350),
     (262, 300, 350), (297, 300, 350), (298, 300, 400), (850, 600, 1000)],
)  # fmt: skip
def test_it_is_raised_in_steps_until_the_sum_holds(needed: int, base: int, figure: int) -> None:
    budget = connection_budget(consumers(needed), base)
    assert (budget.needed, budget.max_connections, budget.raised) == (needed, figure, figure > base)


def test_the_sum_is_told_in_words() -> None:
    budget = connection_budget(
        [ConnectionConsumer("main", 1, 15), ConnectionConsumer("workers", 19, 13)], 300
    )
    assert budget.words == (
        "262 needed (main 1 x 15 = 15 + workers 19 x 13 = 247), 300 set, of which 255 may be "
        "used: raised to 350"
    )


def test_more_than_a_thousand_is_refused_with_the_sum() -> None:
    with pytest.raises(InstallError, match="851 are needed: synapse workers 2 x 425") as caught:
        connection_budget(consumers(851), 600)
    assert caught.value.code == "DATABASE-CONNECTIONS"
    assert "at least 1002" in caught.value.remedy


@pytest.mark.parametrize("whose", ["own_figure", "external"])
def test_a_figure_of_somebody_else_is_never_raised(whose: str) -> None:
    kept = connection_budget(consumers(170), 50, **{whose: 200})
    assert (kept.max_connections, kept.raised) == (200, False)
    with pytest.raises(InstallError, match="max_connections 200, of which 170"):
        connection_budget(consumers(171), 300, **{whose: 200})


def test_an_external_database_counts_before_the_operator_s_figure() -> None:
    with pytest.raises(InstallError, match="external database has max_connections 100"):
        connection_budget(consumers(100), 300, own_figure=400, external=100)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6),
    st.integers(1, 12).map(lambda n: n * STEP),
)
def test_what_is_granted_holds_and_is_the_least_that_does(
    parts: list[tuple[int, int]], base: int
) -> None:
    wanted = [ConnectionConsumer(f"c{n}", *part) for n, part in enumerate(parts)]
    needed = sum(consumer.total for consumer in wanted)
    try:
        budget = connection_budget(wanted, base)
    except InstallError:
        assert needed > usable(CEILING)
        return
    assert needed * 100 <= budget.max_connections * 85
    assert base <= budget.max_connections <= CEILING
    assert (budget.max_connections - base) % STEP == 0
    if budget.raised:
        assert needed * 100 > (budget.max_connections - STEP) * 85
