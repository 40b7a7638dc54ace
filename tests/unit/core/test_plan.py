"""A plan as data: what is approved, and what differs between two."""

import json
from dataclasses import replace

from installer.core.plan import Plan, RunKind, differences
from installer.core.step import DriftPolicy, PlannedStep

STEP = PlannedStep(
    id="a",
    title="Step a",
    phase="one",
    needs=(),
    input_hash="h",
    targets=("x/y/z",),
    drift=DriftPolicy.ASK,
    lost_if_skipped="the a",
    cannot_undo=("it",),
    settings_read=("s",),
    summary="s",
    consumes=(),
    destroys=("pvc/a/b",),
)
PLAN = Plan(RunKind.INSTALL, "demo", "here", (STEP, replace(STEP, id="b")), ("one",), ("lease",))


def test_a_plan_survives_its_json_form_with_its_digest() -> None:
    again = Plan.from_json(json.loads(json.dumps(PLAN.to_json())))
    assert again == PLAN
    assert again.digest == PLAN.digest


def test_every_field_is_part_of_the_digest() -> None:
    others = [
        replace(PLAN, kind=RunKind.UNINSTALL),
        replace(PLAN, install_id="x"),
        replace(PLAN, place="x"),
        replace(PLAN, phases=("x",)),
        replace(PLAN, standing=()),
        replace(PLAN, notes=("x",)),
        replace(PLAN, steps=(STEP,)),
        replace(PLAN, steps=(replace(STEP, targets=()), PLAN.steps[1])),
        replace(PLAN, steps=PLAN.steps[::-1]),
    ]
    digests = {plan.digest for plan in (PLAN, *others)}
    assert len(digests) == len(others) + 1
    assert all(differences(PLAN, other) for other in others)


def test_what_differs_is_said_by_step_and_field() -> None:
    now = replace(
        PLAN,
        place="there",
        steps=(replace(STEP, input_hash="i", targets=()), replace(STEP, id="c")),
    )
    assert differences(PLAN, now) == (
        "place changed",
        "step b is no longer in the plan",
        "step a changed: input hash, targets",
        "step c is new",
    )
    assert differences(PLAN, PLAN) == ()
