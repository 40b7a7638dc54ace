"""What a view may ask of a running engine, and what it is answered.

Every command carries an id (a repeated id is answered, not done twice) and the ``seen`` sequence
number of the view that gives it: one given on an outdated picture is refused with what changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from installer.core.errors import ErrorReport

PROTOCOL = 1  # of the socket; a view never commands an engine of another protocol


class Verb(StrEnum):
    UNLOCK = "unlock"  # secret: the passphrase or age identity; never journalled
    # digest, plan (optional, for naming what differs), consents, unattended (stop by itself when
    # nothing but failed steps is left): approves the plan and lets the run begin
    START = "start"
    # No further step starts; ends the run when those going on are done. Asked a second time: they
    # are left where no write is under way, and looked at again on resume.
    PAUSE = "pause"
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
    """The answer to one command; ``refused`` is empty when it was taken.

    ``code`` names the refusal (STALE, PLAN-CHANGED, CONSENT-MISSING, ENGINE-VERSION, NOT-NOW, or
    the code of ``error``); ``changed`` says in words what the view missed. ``data`` of a taken
    ``unlock`` and of PLAN-CHANGED holds ``plan`` and ``digest`` as the engine has them.
    """

    id: str
    seq: int
    refused: str = ""
    changed: tuple[str, ...] = ()
    code: str = ""
    error: ErrorReport | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "seq": self.seq,
            "refused": self.refused,
            "changed": list(self.changed),
            "code": self.code,
            "error": self.error.to_json() if self.error else None,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Reply":
        """Raises KeyError or ValueError on malformed data."""
        return cls(
            id=str(data["id"]),
            seq=int(data["seq"]),
            refused=str(data.get("refused", "")),
            changed=tuple(str(line) for line in data.get("changed", ())),
            code=str(data.get("code", "")),
            error=ErrorReport.from_json(data["error"]) if data.get("error") else None,
            data=dict(data.get("data") or {}),
        )
