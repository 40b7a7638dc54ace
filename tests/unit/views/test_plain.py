"""``--plain``: every event is a line, a failure explains itself, nothing stays behind."""

import io
import re
from dataclasses import replace

import pytest

from installer.core import events as ev
from installer.core.state import RunState, fold
from installer.views.plain import ERASE_LINE, PlainView, failure_lines, status_line
from tests.unit.views.plans import ERROR, ZONE, approved, plan, recorded, started, step

PLAN = plan(step("one", "service/a/b"), step("two"))


def shown(*happened: ev.Event, terminal: bool = False) -> str:
    out = io.StringIO()
    view = PlainView(out, terminal=terminal, zone=ZONE)
    records = recorded(started(), approved(PLAN), *happened)
    for number, record in enumerate(records, start=1):
        view.record(record, fold(records[:number]))
    return out.getvalue()


def test_each_event_is_told_with_its_time_and_state_word() -> None:
    text = shown(
        ev.StepIntent("one", "h"),
        ev.StepWaiting("one", "two pods"),
        ev.StepDone("one", "h", changed=("service/a/b",), seconds=61),
        ev.StepUnchanged("two", "h"),
        ev.RunFinished(changed=1, seconds=75.2),
    )
    assert text.splitlines() == [
        "14:01:00 START install chat, run 1",
        f"14:02:00 PLAN  approved by op, digest {PLAN.digest[:12]}",
        "14:03:00 RUN   Title of one",
        "14:04:00 WAIT  Title of one: two pods",
        "14:05:00 OK    Title of one: 1 object changed, 1:01",
        "14:06:00 OK    Title of two: unchanged",
        "14:07:00 DONE  1 object changed, 1:15",
    ]


def test_a_run_without_changes_says_so() -> None:
    assert "DONE  nothing to change" in shown(ev.RunFinished(changed=0, seconds=1))


def test_a_failure_tells_code_cause_remedy_and_evidence_in_short_lines() -> None:
    text = shown(ev.StepIntent("one", "h"), ev.StepFailed("one", ERROR))
    for part in ("IMAGE-NOT-FOUND", ERROR.title, "manifest unknown", ERROR.remedy, "14:30:52"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 110


def test_evidence_that_only_repeats_title_and_cause_is_not_told_again() -> None:
    again = replace(ERROR, evidence=(f"{ERROR.title}: {ERROR.cause}", "seen besides"))
    told = [text for _, text in failure_lines(again)]
    assert [line for line in told if line.startswith("Seen:")] == ["Seen:    seen besides"]


def test_the_stop_that_follows_a_failure_does_not_repeat_it() -> None:
    text = shown(ev.StepIntent("one", "h"), ev.StepFailed("one", ERROR), ev.RunStopped(ERROR))
    assert text.count("Load the image") == 1
    assert "--resume" in text


def test_a_stop_without_a_failed_step_explains_itself() -> None:
    assert "Load the image" in shown(ev.RunStopped(ERROR))


def test_skip_drift_pause_and_repair_say_what_is_lost_and_who_did_it() -> None:
    text = shown(
        ev.DriftFound("one", ("spec.replicas: 3 -> 1, set by kubectl",), "reapply"),
        ev.CommandTaken("skip", "id", "ann", "one"),
        ev.StepSkipped("one", "call quality", "ann"),
        ev.JournalRepaired(17, "run-0001.jsonl"),
        ev.RunPaused("asked by ann"),
    )
    assert "DRIFT Title of one: spec.replicas: 3 -> 1, set by kubectl" in text
    assert "ASKED skip Title of one by ann" in text
    assert "SKIP  Title of one: skipped by ann; lost: call quality" in text
    assert "a torn last line (17 bytes) was cut" in text
    assert "PAUSE asked by ann" in text


def test_no_colour_and_no_cursor_movement_outside_a_terminal() -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown(ev.StepIntent("one", "h")))


def test_on_a_terminal_the_status_line_is_wiped_before_the_next_line() -> None:
    text = shown(ev.StepIntent("one", "h"), ev.StepDone("one", "h"), terminal=True)
    assert "RUN 0 of 2 done: Title of one" in text
    _, after = text.split("RUN 0 of 2 done: Title of one", 1)
    assert after.startswith(ERASE_LINE)


def test_progress_is_told_once_for_the_same_sight() -> None:
    out = io.StringIO()
    view = PlainView(out, terminal=False, zone=ZONE)
    state = fold(recorded(started(), approved(PLAN)))
    for text in ("1 of 3", "1 of 3", "2 of 3"):
        view.progress(ev.Progress("waiting", "one", text, "2026-11-23T14:00:00Z"), state)
    view.progress(ev.Progress("log", "one", "chatter", "2026-11-23T14:00:00Z"), state)
    assert out.getvalue().splitlines() == [
        "14:00:00 WAIT  Title of one: 1 of 3",
        "14:00:00 WAIT  Title of one: 2 of 3",
    ]


def test_trying_again_is_told_once_an_attempt() -> None:
    out = io.StringIO()
    view = PlainView(out, terminal=False, zone=ZONE)
    records = recorded(started(), approved(PLAN), ev.StepIntent("one", "h"))
    state = fold(records)

    def wait(*texts: str) -> None:
        for text in texts:
            view.progress(ev.Progress("waiting", "one", text, "2026-11-23T14:00:00Z"), state)

    wait("a refuses; again in 0.3 s", "b refuses; again in 1.2 s", "a refuses; again in 12.9 s")
    assert out.getvalue().count("a refuses\n") == out.getvalue().count("WAIT") - 1 == 1
    view.record(records[-1], state)
    wait("a refuses; again in 0.5 s")
    assert out.getvalue().count("a refuses\n") == 2


def test_the_status_line_gives_the_time_left_as_a_range_and_is_empty_when_idle() -> None:
    records = recorded(started(), approved(PLAN), ev.StepIntent("one", "h"))
    assert status_line(fold(records), (130, 500)).endswith("Left 2 to 8 min")
    assert status_line(fold(records[:2]), None) == ""
    assert status_line(RunState(), None) == ""


def test_on_a_terminal_a_long_line_goes_on_below_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = shown(
        ev.StepWaiting("one", "a volume of ten gigabytes and then some more"), terminal=True
    )
    lines = text.replace(ERASE_LINE, "\n").splitlines()
    first = next(number for number, line in enumerate(lines) if "volume of ten" in line)
    assert max(map(len, lines)) < 60
    assert lines[first + 1].startswith(" " * 15)


def test_a_long_silence_is_broken_in_a_log_and_not_on_a_terminal() -> None:
    state = fold(recorded(started(), approved(PLAN), ev.StepIntent("one", "h")))
    for terminal, told in ((False, True), (True, False)):
        out = io.StringIO()
        PlainView(out, terminal=terminal, zone=ZONE).still_going(state)
        assert ("STILL 0 of 2 done: Title of one" in out.getvalue()) is told
