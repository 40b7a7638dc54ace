"""Small plans, records and reports for the tests of the views."""

from datetime import UTC

from installer.core import events as ev
from installer.core.errors import ErrorReport
from installer.core.plan import Plan, RunKind
from installer.core.step import PlannedStep
from installer.core.survey import ObjectChange, PlanReport, Survey

ZONE = UTC
STANDING = (
    "lease.coordination.k8s.io/chat-install/matrix-install",
    "configmap/chat-install/matrix-install-inventory",
    "configmap/chat-install/matrix-install-inventory-1",
    "configmap/chat-install/matrix-install-inventory-2",
)
ERROR = ErrorReport(
    code="IMAGE-NOT-FOUND",
    title="synchrotron-3 cannot start: image not found",
    cause="The registry answers: manifest unknown. " * 4,
    remedy="Load the image, then try again.",
    retryable=True,
    evidence=("event 14:30:52 Failed to pull image",),
)


def step(name: str, *targets: str, **fields: object) -> PlannedStep:
    planned = {
        "id": name,
        "title": f"Title of {name}",
        "phase": "infrastructure",
        "needs": (),
        "input_hash": "0" * 64,
        "targets": targets,
    }
    return PlannedStep(**{**planned, **fields})  # type: ignore[arg-type]  # fields by name


def plan(*steps: PlannedStep, kind: RunKind = RunKind.INSTALL, notes: tuple[str, ...] = ()) -> Plan:
    return Plan(
        kind=kind,
        install_id="chat",
        place="cluster prod (https://10.1.0.10:6443)",
        steps=steps,
        phases=tuple(dict.fromkeys(one.phase for one in steps)),
        standing=STANDING,
        notes=notes,
    )


def report(of: Plan, survey: Survey | None = None, **fields: object) -> PlanReport:
    base = {"plan": of, "survey": survey or Survey(), "directory": "/srv/chat", "rehearsal": False}
    return PlanReport(**{**base, **fields})  # type: ignore[arg-type]  # fields by name


def recorded(*happened: ev.Event, start: int = 1) -> list[ev.Recorded]:
    return [
        ev.Recorded(seq, f"2026-11-23T14:{seq:02}:00Z", 1, event)
        for seq, event in enumerate(happened, start)
    ]


def started() -> ev.RunStarted:
    return ev.RunStarted(1, "install", "chat", "0.1", "op", "desk", 4711, "boot")


def approved(of: Plan) -> ev.PlanApproved:
    return ev.PlanApproved(of.digest, "op", of.to_json())


CHANGED = Survey(
    read=True,
    new=("configmap/a/one", "configmap/a/two", "networkpolicy.networking.k8s.io/a/deny"),
    changed=(ObjectChange("service/a/web", "web", ("spec.ports: 80 -> 81, set by kubectl",)),),
    unchanged=("secret/a/key",),
    removed=("service/a/old",),
    found=("Kubernetes v1.36.2",),
)
