"""The plan: what a run will do, as data that can be shown, digested and approved."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from installer.core.canonical import digest
from installer.core.step import DriftPolicy, PlannedStep


class RunKind(StrEnum):
    INSTALL = "install"
    UNINSTALL = "uninstall"


@dataclass(frozen=True)
class Plan:
    """Everything an approval covers.

    ``place`` says where ("cluster prod, https://10.1.0.10:6443"); ``standing`` are the writes
    that every run makes besides its steps (lease, inventory); ``notes`` are lines shown to the
    operator that change nothing (sizing sums, found objects) and are part of the digest too.
    """

    kind: RunKind
    install_id: str
    place: str
    steps: tuple[PlannedStep, ...]
    phases: tuple[str, ...]  # titles in order
    standing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "install_id": self.install_id,
            "place": self.place,
            "phases": list(self.phases),
            "standing": list(self.standing),
            "notes": list(self.notes),
            "steps": [_step_to_json(step) for step in self.steps],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        return cls(
            kind=RunKind(data["kind"]),
            install_id=data["install_id"],
            place=data["place"],
            steps=tuple(_step_from_json(step) for step in data["steps"]),
            phases=tuple(data["phases"]),
            standing=tuple(data["standing"]),
            notes=tuple(data["notes"]),
        )

    @property
    def digest(self) -> str:
        """What is approved; the engine builds the plan again and refuses another digest."""
        return digest(self.to_json())


def differences(shown: Plan, now: Plan) -> tuple[str, ...]:
    """What differs between the plan that was shown and the one built now, one line each."""
    lines = []
    for name in ("kind", "install_id", "place", "phases", "standing", "notes"):
        if getattr(shown, name) != getattr(now, name):
            lines.append(f"{name.replace('_', ' ')} changed")
    before = {step.id: step for step in shown.steps}
    after = {step.id: step for step in now.steps}
    lines += [f"step {name} is no longer in the plan" for name in before if name not in after]
    for name, step in after.items():
        old = before.get(name)
        if old is None:
            lines.append(f"step {name} is new")
        elif old != step:
            what = [key for key in vars(step) if getattr(old, key) != getattr(step, key)]
            lines.append(f"step {name} changed: {', '.join(key.replace('_', ' ') for key in what)}")
    if not lines and [step.id for step in shown.steps] != [step.id for step in now.steps]:
        lines.append("the order of the steps changed")
    return tuple(lines)


def not_covered(approved: Plan, now: Plan) -> tuple[str, ...]:
    """What of the plan built now goes beyond one that was approved earlier; empty when nothing
    does, so that an interrupted run may go on without being approved again.

    What an earlier run removed already is no longer in the plan: a removal may only shrink.
    """
    lines = []
    for name in ("kind", "install_id", "place"):
        if getattr(approved, name) != getattr(now, name):
            lines.append(f"{name.replace('_', ' ')} changed")
    before = {step.id: step for step in approved.steps}
    for step in now.steps:
        old = before.get(step.id)
        if old is None:
            lines.append(f"step {step.id} is new")
        elif step.removal and old.removal:
            beyond = {*step.targets, *step.destroys} - {*old.targets, *old.destroys}
            lines += [f"step {step.id} also removes {target}" for target in sorted(beyond)]
        elif old.input_hash != step.input_hash or old.targets != step.targets:
            lines.append(f"step {step.id} changed")
    beyond_notes = [note for note in now.notes if note not in approved.notes]
    return (*lines, *beyond_notes)


_TUPLES = (
    "needs",
    "targets",
    "cannot_undo",
    "settings_read",
    "consumes",
    "destroys",
)


def _step_to_json(step: PlannedStep) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": step.id,
        "title": step.title,
        "phase": step.phase,
        "input_hash": step.input_hash,
        "drift": step.drift.value,
        "lost_if_skipped": step.lost_if_skipped,
        "summary": step.summary,
        "removal": step.removal,
    }
    data.update({name: list(getattr(step, name)) for name in _TUPLES})
    return data


def _step_from_json(data: Mapping[str, Any]) -> PlannedStep:
    fields = {**data, "drift": DriftPolicy(data["drift"])}
    fields.update({name: tuple(data[name]) for name in _TUPLES})
    return PlannedStep(**fields)
