"""Every event survives the journal, and none lets a secret through."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from installer.core import events as ev
from installer.core import redaction
from installer.core.errors import ErrorReport, ExitCode

CANARY = "canary-7Qm2x9Zk"


def sample(event: type[ev.Event], text: str) -> ev.Event:
    """An event with ``text`` in every field that can hold a text, at every depth."""
    made: dict[str, Any] = {}
    for item in fields(event):
        kind = str(item.type)
        if "ErrorReport" in kind:
            made[item.name] = ErrorReport(
                text, text, text, text, True, True, (text,), ExitCode.LOCKED
            )
        elif "Mapping" in kind:
            made[item.name] = {text: [text, {"deep": {text: f"x{text}x"}}, 3, None], "n": 1.5}
        elif "tuple" in kind:
            made[item.name] = (text, f"before {text} after")
        elif "str" in kind:
            made[item.name] = f"<{text}>"
        else:
            made[item.name] = 7
    return event(**made)


@pytest.fixture
def secret() -> Iterator[str]:
    redaction.register([CANARY])
    yield CANARY
    redaction.forget_all()


@pytest.mark.parametrize("event", ev.ALL_EVENTS)
def test_an_event_survives_its_json_form(event: type[ev.Event]) -> None:
    record = ev.Recorded(3, "t", 2, sample(event, "plain"))
    assert ev.Recorded.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("event", ev.ALL_EVENTS)
def test_no_event_holds_a_registered_secret(event: type[ev.Event], secret: str) -> None:
    made = sample(event, secret)
    assert secret not in repr(made)
    assert secret not in json.dumps(made.payload())
    if event is not ev.RunFinished:  # the only one without a text
        assert redaction.MASK in repr(made)


@pytest.mark.parametrize("event", ev.ALL_EVENTS)
def test_what_was_written_before_a_value_was_known_is_masked_when_read(
    event: type[ev.Event],
) -> None:
    payload = sample(event, CANARY).payload()
    redaction.register([CANARY])
    try:
        assert CANARY not in repr(ev.event_from_json(event.type, payload))
    finally:
        redaction.forget_all()


def test_progress_is_masked(secret: str) -> None:
    news = ev.Progress("log", "step", f"got {secret}", "t")
    assert secret not in news.text
    assert ev.Progress.from_json(news.to_json()) == news


def test_every_event_has_its_own_name() -> None:
    names = [event.type for event in ev.ALL_EVENTS]
    assert len(set(names)) == len(names)
    assert all(names)


def test_an_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ev.event_from_json("run-vanished", {})


def test_wrong_fields_are_a_type_error() -> None:
    with pytest.raises(TypeError):
        ev.event_from_json("run-paused", {"why": "x", "more": 1})
