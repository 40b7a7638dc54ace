"""Components meet by contributions and endpoints, or are refused in words."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from installer.core.errors import ExitCode
from installer.core.settings_problem import Finding
from installer.core.sizing_connections import ConnectionConsumer, connection_budget
from manifests.assembly import Unfit, assemble, choose
from manifests.component import Declaration, Flow, ToEndpoint
from manifests.context import ComponentContext
from manifests.contributions import Contribution, ScrapeTarget
from manifests.registry import check, secret_declarations
from tests.unit.manifests.samples import settings
from tests.unit.manifests.synthetic import component, install, plain_settings, sends


@dataclass(frozen=True)
class Bucket(Contribution):
    """A record that must be taken."""

    name: str


@dataclass(frozen=True)
class Hint(Contribution):
    """A record that may be dropped."""

    optional: ClassVar[bool] = True


def test_a_contribution_reaches_its_target() -> None:
    seen: list[str] = []

    def store(ctx: ComponentContext) -> Declaration:
        seen.extend(bucket.name for bucket in ctx.contributions(Bucket))
        return Declaration()

    parts = [
        component("media", sends(Bucket("store", "media"))),
        component("backups", sends(Bucket("store", "backups"))),
        component("store", store, accepts=(Bucket,)),
    ]
    assemble(choose(parts, install(), plain_settings), install(), plain_settings)
    assert sorted(seen) == ["backups", "media"]


def test_a_needed_contribution_to_nobody_is_an_error_of_the_settings() -> None:
    with pytest.raises(Unfit, match="COMPONENTS-UNFIT") as caught:
        assemble([component("media", sends(Bucket("store", "media")))], install(), plain_settings)
    assert caught.value.exit_code is ExitCode.SETTINGS
    assert caught.value.findings == (
        Finding(("components", "media"), "media needs store, which is not chosen"),
    )


def test_an_optional_contribution_to_nobody_is_dropped() -> None:
    target = ScrapeTarget("monitoring", job="media", pod_set="media", port="metrics")
    assert assemble([component("media", sends(target))], install(), plain_settings)


def test_a_type_that_the_target_does_not_take_is_a_defect() -> None:
    parts = [component("media", sends(Hint("store"))), component("store", accepts=(Bucket,))]
    with pytest.raises(TypeError, match="media sends Hint, store takes none"):
        assemble(parts, install(), plain_settings)


def test_order_follows_needs() -> None:
    parts = [
        component("apple", needs=("middle",)),
        component("middle", needs=("root",)),
        component("root"),
    ]
    ordered = choose(parts, install(), plain_settings)
    assert [c.name for c in ordered] == ["root", "middle", "apple"]


def test_a_need_that_is_not_chosen_is_refused() -> None:
    parts = [component("apple", needs=("root",)), component("root", enabled=lambda _: False)]
    with pytest.raises(Unfit) as caught:
        choose(parts, install(), plain_settings)
    assert caught.value.findings[0].why == "needs root, which is not chosen"


def test_a_circle_is_a_defect() -> None:
    parts = [component("one", needs=("two",)), component("two", needs=("one",))]
    with pytest.raises(ValueError, match="in a circle: one, two"):
        choose(parts, install(), plain_settings)


def test_a_flow_to_an_endpoint_that_is_not_there_is_refused() -> None:
    flows = (Flow("pods", ToEndpoint("store", "s3"), "objects"),)
    with pytest.raises(Unfit) as caught:
        assemble(
            [component("media", lambda _: Declaration(flows=flows))], install(), plain_settings
        )
    assert caught.value.findings[0].why == "needs s3 of store, which is not there"


def test_a_components_own_check_is_heard() -> None:
    finding = Finding(("components", "media"), "that will not do")
    with pytest.raises(Unfit) as caught:
        assemble([component("media", check=lambda _: [finding])], install(), plain_settings)
    assert caught.value.findings == (finding,)


def test_connection_budget_from_declared_consumers() -> None:
    consumers = (ConnectionConsumer("workers", 40, 12),)
    (made,) = assemble(
        [component("media", lambda _: Declaration(connections=consumers))],
        install(),
        plain_settings,
    )
    budget = connection_budget(made.declaration.connections, base=200)
    assert (budget.needed, budget.max_connections) == (480, 600)


def test_findings_of_the_real_components_have_their_place() -> None:
    found = list(check(settings(components={"redis": {"extra": {"maxmemroy-samples": 5}}})))
    assert found == [
        Finding(
            ("components", "redis", "extra", "maxmemroy-samples"),
            "not a directive that can be set here",
            "did you mean maxmemory-samples?",
        )
    ]
    assert list(check(settings())) == []


def test_even_numbers_of_servers_are_refused() -> None:
    overrides = {"redis/synapse": {"replicas": 2}}
    (finding,) = check(settings(scale={"row": "100", "overrides": overrides}))
    assert "majority" in finding.why


@pytest.mark.parametrize("row", ["trial", "100"])
def test_secrets_of_an_install(row: str) -> None:
    names = {s.name for s in secret_declarations(settings(row))}
    sentinels = {"redis-synapse-sentinel-password", "redis-livekit-sentinel-password"}
    assert {"redis-synapse-password", "redis-livekit-password"} <= names
    assert (names >= sentinels) is (row != "trial")
