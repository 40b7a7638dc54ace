"""What a plan would meet: the far end as it is now, beside what is desired."""

from dataclasses import dataclass, field
from typing import Any

from installer.core.plan import Plan


@dataclass(frozen=True)
class ObjectChange:
    """One object that would be written. ``details`` name each field and who set it last."""

    target: str  # ObjectRef.key
    component: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """Read-only look at the far end, by ``ObjectRef.key``.

    ``read`` is False when there was no far end to ask; then all other fields are empty.
    """

    read: bool = False
    new: tuple[str, ...] = ()
    changed: tuple[ObjectChange, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()  # no longer desired, would be deleted
    stays: tuple[str, ...] = ()  # of an uninstall: what is left on purpose
    found: tuple[str, ...] = ()  # lines: version, nodes, storage classes

    def to_json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "new": list(self.new),
            "changed": [
                {"target": c.target, "component": c.component, "details": list(c.details)}
                for c in self.changed
            ],
            "unchanged": list(self.unchanged),
            "removed": list(self.removed),
            "stays": list(self.stays),
            "found": list(self.found),
        }


@dataclass(frozen=True)
class PlanReport:
    """A plan with everything that a view shows beside it."""

    plan: Plan
    survey: Survey
    directory: str
    rehearsal: bool
    seconds: tuple[float, float] | None = None  # how long, from past runs or shipped figures
    unproven: tuple[str, ...] = ()  # third-party facts that no test of ours has run
    sizing: tuple[str, ...] = ()  # lines: row, totals, verdict, connections
    phase_seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
