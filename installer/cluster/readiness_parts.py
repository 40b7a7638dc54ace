"""The outcome of a readiness rule, and what the rules share."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from installer.core.errors import ErrorReport


class State(StrEnum):
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"  # waiting longer cannot help


@dataclass(frozen=True)
class Readiness:
    """``reason`` is what is missing (waiting), or a warning in words (ready)."""

    state: State
    reason: str = ""
    error: ErrorReport | None = None

    @property
    def ready(self) -> bool:
        return self.state is State.READY


def ready(warning: str = "") -> Readiness:
    return Readiness(State.READY, warning)


def waiting(reason: str) -> Readiness:
    return Readiness(State.WAITING, reason)


def failed(code: str, title: str, cause: str, remedy: str, *evidence: str) -> Readiness:
    report = ErrorReport(code, title, cause, remedy, retryable=True, evidence=evidence)
    return Readiness(State.FAILED, cause, report)


def condition(live: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of that type; empty when it is not there."""
    for entry in live.get("status", {}).get("conditions") or ():
        if entry.get("type") == kind:
            return dict(entry)
    return {}


def holds(live: Mapping[str, Any], kind: str) -> bool:
    return condition(live, kind).get("status") == "True"


def observed(live: Mapping[str, Any]) -> bool:
    """Has the controller seen this generation? Absent counts as no."""
    generation = live.get("metadata", {}).get("generation")
    return generation is not None and live.get("status", {}).get("observedGeneration") == generation


def told(entry: Mapping[str, Any]) -> str:
    """A condition in words."""
    text = entry.get("message") or entry.get("reason") or ""
    return f"{entry.get('type', 'condition')}={entry.get('status', '?')} {text}".strip()
