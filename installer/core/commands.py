"""What a view may ask of a running engine, and what it is answered.

Every command carries an id (a repeated id is answered, not done twice) and the ``seen`` sequence
number of the view that gives it: one given on an outdated picture is refused with what changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PROTOCOL = 1  # of the socket; a view never commands an engine of another protocol


class Verb(StrEnum):
    UNLOCK = "unlock"  # secret: the passphrase or age identity; never journalled
    START = "start"  # digest, by, consents: approves the plan and lets the run begin
    PAUSE = "pause"  # no further step starts; ends the run when those going on are done
    CONTINUE = "continue"  # takes a pause back while it has not taken effect
    RETRY = "retry"  # step
    SKIP = "skip"  # step
    ACCEPT_DRIFT = "accept-drift"  # step: our desired state may overwrite what others changed
    ABORT = "abort"  # stop at the next safe point, leave the rest undone


@dataclass(frozen=True)
class Command:
    id: str
    verb: Verb
    seen: int
    by: str = ""
    step: str = ""
    params: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "verb": self.verb.value,
            "seen": self.seen,
            "by": self.by,
            "step": self.step,
            "params": dict(self.params or {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Command":
        """Raises KeyError or ValueError on malformed data."""
        return cls(
            id=str(data["id"]),
            verb=Verb(data["verb"]),
            seen=int(data["seen"]),
            by=str(data.get("by", "")),
            step=str(data.get("step", "")),
            params=dict(data.get("params") or {}),
        )

    def __repr__(self) -> str:
        return f"Command({self.verb.value} {self.step} id={self.id} seen={self.seen})"


@dataclass(frozen=True)
class Reply:
    """``refused`` is empty when the command was taken; ``changed`` says what the view missed."""

    id: str
    seq: int
    refused: str = ""
    changed: tuple[str, ...] = ()
