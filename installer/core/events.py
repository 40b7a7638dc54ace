"""What happened, as frozen data: the vocabulary of the journal.

Each event is journalled before anything acts on it. Texts are redacted when an event is made.
``VERSION`` grows when a field's meaning changes; readers of every released version stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from installer.core.errors import ErrorReport
from installer.core.redaction import redact_data

VERSION = 1  # of the vocabulary as a whole; a journal of a newer version is refused


@dataclass(frozen=True)
class Event:
    """Base of all events; ``type`` is the name in the journal."""

    type: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, ErrorReport):
                value = ErrorReport.from_json(redact_data(value.to_json()))
            elif isinstance(value, Mapping):
                value = redact_data(dict(value))
            elif isinstance(value, str | list | tuple):
                value = redact_data(value)
            else:
                continue
            object.__setattr__(self, item.name, value)

    def payload(self) -> dict[str, Any]:
        """The event's fields as JSON data, without its type."""
        data: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, ErrorReport):
                value = value.to_json()
            data[item.name] = list(value) if isinstance(value, tuple) else value
        return data


@dataclass(frozen=True)
class RunStarted(Event):
    """A run was started on an approved plan. ``kind`` is ``install`` or ``uninstall``."""

    type: ClassVar[str] = "run-started"
    run: int
    kind: str
    install_id: str
    product: str  # product version
    user: str
    host: str
    pid: int
    boot_id: str
    resumes: int = 0  # the run this one goes on with; 0 for none


@dataclass(frozen=True)
class PlanApproved(Event):
    """Who accepted which plan. ``plan`` is ``Plan.to_json()``, kept for views and resume."""

    type: ClassVar[str] = "plan-approved"
    digest: str
    by: str
    plan: Mapping[str, Any]
    consents: tuple[str, ...] = ()  # destructive names typed by the operator


@dataclass(frozen=True)
class StepIntent(Event):
    """Written before a step's first mutation: from here to ``step-done`` its state is unknown."""

    type: ClassVar[str] = "step-intent"
    step: str
    input_hash: str
    attempt: int = 1


@dataclass(frozen=True)
class StepDone(Event):
    """Applied and verified. ``changed`` is empty when the far end already was as desired."""

    type: ClassVar[str] = "step-done"
    step: str
    input_hash: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class StepUnchanged(Event):
    """Done in an earlier run with the same input; the probe and the gates agreed."""

    type: ClassVar[str] = "step-unchanged"
    step: str
    input_hash: str
    seconds: float = 0.0


@dataclass(frozen=True)
class StepWaiting(Event):
    """A step began to wait; what it last saw travels beside the journal.

    An empty ``what`` says that it goes on.
    """

    type: ClassVar[str] = "step-waiting"
    step: str
    what: str


@dataclass(frozen=True)
class StepFailed(Event):
    """A step stopped; it stays failed until retried, skipped or the run is aborted."""

    type: ClassVar[str] = "step-failed"
    step: str
    error: ErrorReport
    seconds: float = 0.0


@dataclass(frozen=True)
class StepSkipped(Event):
    """The operator went on without it; ``lost`` says what is missing now."""

    type: ClassVar[str] = "step-skipped"
    step: str
    lost: str
    by: str


@dataclass(frozen=True)
class DriftFound(Event):
    """A finished step's far end was changed by others; ``details`` name what and who."""

    type: ClassVar[str] = "drift-found"
    step: str
    details: tuple[str, ...]
    policy: str


@dataclass(frozen=True)
class CommandTaken(Event):
    """A view's command was accepted (pause, resume, retry, skip, abort, accept drift)."""

    type: ClassVar[str] = "command-taken"
    command: str
    id: str
    by: str
    step: str = ""


@dataclass(frozen=True)
class JournalRepaired(Event):
    """The last line was torn by a crash and cut off; ``kept`` is the file that holds its bytes."""

    type: ClassVar[str] = "journal-repaired"
    cut_bytes: int
    file: str
    kept: str = ""


@dataclass(frozen=True)
class RunPaused(Event):
    """Stopped at a safe point on request; nothing is half done."""

    type: ClassVar[str] = "run-paused"
    why: str


@dataclass(frozen=True)
class RunFinished(Event):
    """Every step is done, unchanged or skipped."""

    type: ClassVar[str] = "run-finished"
    changed: int  # objects written in this run
    seconds: float


@dataclass(frozen=True)
class RunStopped(Event):
    """Given up by the operator or by an error outside the steps; resume goes on from here."""

    type: ClassVar[str] = "run-stopped"
    error: ErrorReport


ALL_EVENTS: tuple[type[Event], ...] = (
    RunStarted,
    PlanApproved,
    StepIntent,
    StepDone,
    StepUnchanged,
    StepWaiting,
    StepFailed,
    StepSkipped,
    DriftFound,
    CommandTaken,
    JournalRepaired,
    RunPaused,
    RunFinished,
    RunStopped,
)
_BY_TYPE = {
    event.type: (event, frozenset(item.name for item in fields(event))) for event in ALL_EVENTS
}


def event_from_json(kind: str, payload: Mapping[str, Any]) -> Event:
    """Rebuilds an event. Raises KeyError for an unknown type, TypeError for wrong fields.

    A payload of an older version lacks later fields; those take their defaults.
    """
    made, names = _BY_TYPE[kind]
    values: dict[str, Any] = {}
    for name, value in redact_data(payload).items():
        if name == "error":
            values[name] = ErrorReport.from_json(value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    if values.keys() != names:
        return made(**values)
    # All fields are there and redacted: a replay of 10,000 lines does without __init__.
    event = object.__new__(made)
    event.__dict__.update(values)
    return event


@dataclass(frozen=True)
class Recorded:
    """An event as it stands in the journal. ``seq`` counts over all runs of the directory."""

    seq: int
    time: str  # RFC 3339, UTC
    run: int
    event: Event

    def to_json(self) -> dict[str, Any]:
        """The documented line of ``--json``."""
        return {
            "seq": self.seq,
            "time": self.time,
            "run": self.run,
            "type": self.event.type,
            "data": self.event.payload(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Recorded":
        """Raises KeyError, TypeError or ValueError on malformed data."""
        event = event_from_json(data["type"], data["data"])
        return cls(data["seq"], data["time"], data["run"], event)


@dataclass(frozen=True)
class Progress:
    """News that needs no proof and is never journalled: the last thing a wait saw, a log line.

    ``kind`` is ``waiting``, ``checking`` (a finished step is looked at again), ``log`` or
    ``bytes``.
    """

    kind: str
    step: str
    text: str
    time: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", redact_data(self.text))

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "step": self.step, "text": self.text, "time": self.time}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Progress":
        return cls(data["kind"], data["step"], data["text"], data["time"])
