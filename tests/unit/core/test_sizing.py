"""The size table: rows, sums and judgement."""

import pytest

from installer.core.errors import InstallError
from installer.core.sizing import (
    Fit,
    HostFacts,
    Judgement,
    Totals,
    concurrent_from_accounts,
    judge,
    object_store_usable_gb,
    pools_of,
    row_for,
    row_named,
    row_names,
    totals,
)
from installer.core.sizing_rows import REAL_ROWS, TRIAL, Role, SizeRow

ALL = (Role.LI, Role.MONITORING)


def hosts_of(row: SizeRow, optional: tuple[Role, ...] = (), scale: float = 1.0) -> list[HostFacts]:
    return [
        HostFacts(
            f"{pool.role}-{number}",
            (pool.role,),
            pool.cpu * scale,
            pool.memory_gb * scale,
            pool.disk_gb * scale,
        )
        for pool in pools_of(row, optional)
        for number in range(pool.count)
    ]


@pytest.mark.parametrize(
    ("people", "row"),
    [(1, "100"), (100, "100"), (101, "1k"), (1000, "1k"), (5000, "5k"), (5001, "10k"),
     (10_000, "10k"), (10_001, "20k"), (20_000, "20k")],
)  # fmt: skip
def test_the_smallest_row_that_holds_them_is_taken(people: int, row: str) -> None:
    assert row_for(people).name == row


def test_more_than_the_largest_row_is_refused_with_the_number() -> None:
    with pytest.raises(InstallError, match="20,001 people") as caught:
        row_for(20_001)
    assert caught.value.code == "SIZE-ABOVE-LARGEST"


def test_a_trial_is_only_taken_by_name() -> None:
    assert row_for(1).name == "100"
    assert row_named("trial") is TRIAL
    assert row_names() == ("trial", "100", "1k", "5k", "10k", "20k")
    with pytest.raises(KeyError):
        row_named("50k")


@pytest.mark.parametrize(
    ("accounts", "ratio", "people"), [(500, 5, 100), (501, 5, 101), (1, 5, 1), (100, 2.5, 40)]
)
def test_accounts_become_people_rounded_up(accounts: int, ratio: float, people: int) -> None:
    assert concurrent_from_accounts(accounts, ratio) == people


def test_a_ratio_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="more people"):
        concurrent_from_accounts(10, 0.5)


@pytest.mark.parametrize(
    ("name", "standing", "whole"),
    [
        ("100", Totals(15, 72, 168, 6_500), Totals(17, 80, 192, 6_800)),
        ("1k", Totals(19, 180, 408, 14_200), Totals(21, 192, 456, 14_700)),
        ("5k", Totals(24, 360, 1_072, 31_800), Totals(26, 376, 1_136, 32_800)),
        ("10k", Totals(34, 760, 2_480, 70_200), Totals(36, 784, 2_576, 71_700)),
        ("20k", Totals(51, 1_208, 4_080, 112_600), Totals(53, 1_240, 4_208, 114_600)),
    ],
)
def test_the_sums_are_those_of_the_rows(name: str, standing: Totals, whole: Totals) -> None:
    assert totals(row_named(name)) == standing
    assert totals(row_named(name), ALL) == whole


def test_the_trial_s_sum_is_of_its_three_hosts() -> None:
    assert totals(TRIAL) == Totals(3, 12, 36, 300)


def test_figures_grow_from_row_to_row() -> None:
    for smaller, larger in zip((TRIAL, *REAL_ROWS), REAL_ROWS, strict=False):
        assert smaller.concurrent_users < larger.concurrent_users
        assert smaller.synapse.workers < larger.synapse.workers
        assert smaller.postgres.max_connections < larger.postgres.max_connections
        assert smaller.redis.synapse.memory_gb < larger.redis.synapse.memory_gb


def test_workers_are_counted_with_the_stream_writers() -> None:
    assert row_named("1k").synapse.workers == 11
    assert row_named("5k").synapse.workers == 23


def test_the_object_store_keeps_three_copies() -> None:
    assert object_store_usable_gb(row_named("1k")) == 2_666


@pytest.mark.parametrize("row", REAL_ROWS)
@pytest.mark.parametrize("optional", [(), ALL])
def test_hosts_as_the_row_asks_for_fit(row: SizeRow, optional: tuple[Role, ...]) -> None:
    assert judge(row, hosts_of(row, optional), optional).fit is Fit.FITS


@pytest.mark.parametrize("row", REAL_ROWS)
def test_a_little_less_than_sold_still_fits(row: SizeRow) -> None:
    assert judge(row, hosts_of(row, scale=0.96)).fit is Fit.FITS
    assert judge(row, hosts_of(row, scale=0.94)).fit is Fit.SHORT


def test_what_is_short_is_named_with_what_to_add() -> None:
    hosts = [host for host in hosts_of(row_named("1k")) if host.name != "app-0"]
    judgement = judge(row_named("1k"), hosts)
    assert [str(shortage) for shortage in judgement.shortages] == [
        "app: 1 hosts short (4 of 5)",
        "app: 16 CPU short (64 of 80)",
        "app: 32 GB of memory short (128 of 160)",
        "app: 500 GB of disk short (2,000 of 2,500)",
    ]
    assert "Add 1 app of 16 CPU, 32 GB, 500 GB" in judgement.words


def test_only_what_was_chosen_is_judged() -> None:
    hosts = hosts_of(row_named("100"))
    assert judge(row_named("100"), hosts).fit is Fit.FITS
    assert {s.role for s in judge(row_named("100"), hosts, (Role.LI,)).shortages} == {"li"}


def test_a_host_with_two_roles_counts_half_for_each() -> None:
    both = [HostFacts("x", (Role.APP, Role.CALL), 16, 32, 400)] * 3
    others = [h for h in hosts_of(row_named("100")) if h.roles[0] not in (Role.APP, Role.CALL)]
    assert judge(row_named("100"), [*others, *both]).fit is Fit.FITS
    small = [HostFacts("x", (Role.APP, Role.CALL), 8, 16, 200)] * 3
    short = judge(row_named("100"), [*others, *small]).shortages
    assert ("app", "CPU") in [(s.role, s.unit) for s in short]


@pytest.mark.parametrize(
    "hosts", [None, [HostFacts("x", (Role.APP,), None, 16, 100)], [HostFacts("x", (), 1, 1, None)]]
)
def test_without_facts_there_is_no_judgement(hosts: list[HostFacts] | None) -> None:
    judgement: Judgement = judge(row_named("100"), hosts)
    assert judgement.fit is Fit.UNKNOWN
    assert judgement.words.startswith("cannot judge")


def test_nodes_without_roles_are_judged_by_their_sums() -> None:
    assert judge(row_named("100"), [HostFacts("n", (), 24, 56, 2200)] * 3).fit is Fit.FITS
    short = judge(row_named("100"), [HostFacts("n", (), 8, 56, 2200)] * 3).shortages
    assert [str(s) for s in short] == ["all hosts: 48 CPU short (24 of 72)"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_trial_fits_on_each_of_its_hosts_and_says_that_it_has_no_ha(count: int) -> None:
    judgement = judge(TRIAL, [HostFacts("one", tuple(Role), 4, 12, 100)] * count)
    assert judgement.fit is Fit.FITS
    assert "no HA" in judgement.words
    assert "cannot grow" in judgement.words


def test_a_trial_needs_a_whole_host() -> None:
    judgement = judge(TRIAL, [HostFacts("one", tuple(Role), 4, 8, 100)])
    assert [str(s) for s in judgement.shortages] == ["one: 4 GB of memory short (8 of 12)"]
    assert judge(TRIAL, []).fit is Fit.SHORT
