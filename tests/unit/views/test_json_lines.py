"""``--json``: the manual describes every line and every event, field by field."""

import io
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from installer.core.events import ALL_EVENTS, Event, Progress
from installer.core.survey import Survey
from installer.views.json_lines import JsonView
from tests.unit.views.plans import plan, recorded, started, step

MANUAL = Path(__file__).parents[3] / "docs" / "json.md"


def rows() -> dict[str, str]:
    """First cell to the rest; the heads of the tables have no backquoted rest to take for one."""
    text = MANUAL.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for name, rest in re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", text, re.MULTILINE):
        found.setdefault(name, rest)
    return found


@pytest.mark.parametrize("event", ALL_EVENTS)
def test_the_manual_lists_each_event_with_its_fields(event: type[Event]) -> None:
    documented = re.findall(r"`([a-z_]+)`", rows()[event.type])
    assert set(documented) == {field.name for field in fields(event)}


def test_each_line_is_one_object_with_the_documented_keys() -> None:
    out = io.StringIO()
    view = JsonView(out)
    view.hello("0.1", "chat", "/srv/chat", True)
    view.plan(plan(step("one")), Survey().to_json())
    view.record(recorded(started())[0])
    view.progress(Progress("waiting", "one", "2 of 3", "2026-11-23T14:00:00Z"))
    view.problem({"code": "X"})
    view.end(0)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["type"] for line in lines] == [
        "hello",
        "plan",
        "event",
        "progress",
        "problem",
        "end",
    ]
    for line in lines:
        documented = set(re.findall(r"`([a-z_]+)`", rows()[line["type"]]))
        assert set(line) - {"type"} <= documented


def test_the_manual_names_the_keys_of_plan_step_and_survey() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    made = plan(step("one")).to_json()
    for key in (*made, *made["steps"][0], *Survey().to_json()):
        assert f"`{key}`" in text, key
