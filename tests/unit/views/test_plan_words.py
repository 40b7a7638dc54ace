"""The plan in words: complete, at most 80 columns, what is lost stands in it."""

from dataclasses import replace

import pytest

from installer.core.plan import RunKind
from installer.core.survey import ObjectChange, Survey
from installer.views.plan_words import plan_lines
from tests.unit.views.plans import CHANGED, plan, report, step

PLAN = plan(
    step("one", "configmap/a/one", summary="1 ConfigMap"),
    step("two", cannot_undo=("server name example.org",), phase="main instance"),
    notes=("redis: your patch of deployment/x",),
)


def text_of(**fields: object) -> str:
    survey = fields.pop("survey", CHANGED)
    assert isinstance(survey, Survey)
    return "\n".join(plan_lines(report(PLAN, survey, **fields)))


@pytest.mark.parametrize(
    "part",
    [
        "Install chat on cluster prod",
        "Directory: /srv/chat",
        "Infrastructure (1 step, 1 object)",
        "Main instance (1 step, no objects)",
        "Title of one",
        "1 ConfigMap",
        "new: 2 config maps, 1 network policy",
        "change: service/a/web",
        "spec.ports: 80 -> 81, set by kubectl",
        "remove: service/a/old",
        "unchanged: 1 object",
        "redis: your patch of deployment/x",
        "lease.coordination.k8s.io/chat-install/matrix-install",
        "server name example.org",
        "Can be undone: everything else",
        "Kubernetes v1.36.2",
    ],
)
def test_nothing_of_the_plan_is_left_out(part: str) -> None:
    assert part in text_of()


def test_no_line_is_wider_than_a_small_terminal() -> None:
    assert max(map(len, text_of().splitlines())) <= 80


def test_shards_of_the_inventory_are_one_line() -> None:
    assert text_of().count("matrix-install-inventory") == 1


def test_a_digest_is_told_as_what_it_means_and_a_cluster_wide_name_without_its_dash() -> None:
    annotation = "spec.template.metadata.annotations[checksum/secret-a]"
    before, after = "0" * 64, "1" * 64
    change = ObjectChange("namespace/-/a", "web", (f'{annotation}: "{before}" -> "{after}"',))
    text = text_of(survey=replace(CHANGED, changed=(change,)))
    assert "pods start anew, because secret-a differs" in text
    assert before not in text
    assert "change: namespace/a\n" in text


def test_a_rehearsal_says_so_first() -> None:
    assert text_of(rehearsal=True).startswith("REHEARSAL")


def test_the_time_is_a_range_or_openly_unknown() -> None:
    assert "Time: 2 to 9 min" in text_of(seconds=(120, 540))
    assert "Time: no figure yet" in text_of()


def test_a_cluster_that_was_not_asked_is_not_guessed() -> None:
    assert "not known" in text_of(survey=Survey())


def test_nothing_to_change_is_said() -> None:
    same = Survey(read=True, unchanged=("secret/a/key",))
    assert "nothing to change (1 objects as desired)" in text_of(survey=same)


def test_unproven_facts_are_shown() -> None:
    assert "the moon is made of rock" in text_of(unproven=("the moon is made of rock",))


def test_an_uninstall_shows_what_goes_what_stays_and_what_is_lost() -> None:
    gone = plan(
        step("remove/3", "service/a/web", destroys=("a",), removal=True), kind=RunKind.UNINSTALL
    )
    survey = Survey(read=True, removed=("service/a/web",), stays=("Namespace a: holds data-0",))
    text = "\n".join(plan_lines(report(gone, survey)))
    for part in ("Uninstall chat", "1 service", "Namespace a: holds data-0", "Lost for ever"):
        assert part in text
    assert "Can be undone" not in text
