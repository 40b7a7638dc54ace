"""The step contract: probe -> plan -> apply -> verify, each idempotent."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from installer.core.clock import Clock


class DriftPolicy(StrEnum):
    """What to do when a finished step's far end no longer is as it was left."""

    REAPPLY = "reapply"  # declarative: our desired state wins, the change is shown
    ASK = "ask"  # destructive: the operator decides
    STOP = "stop"  # identity (CA, cluster uid): never repaired by itself


class Finding(StrEnum):
    """Outcome of a probe."""

    SAME = "same"
    ABSENT = "absent"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Probe:
    """What the far end looks like now. ``details`` name each difference and who made it."""

    finding: Finding
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan, pure data; its ``input_hash`` is over the canonical desired state.

    ``targets`` lists every object that the step may write; the engine refuses all others.
    ``lost_if_skipped`` is empty where a skip is not allowed. ``cannot_undo`` is in words.
    """

    id: str
    title: str
    phase: str
    needs: tuple[str, ...]
    input_hash: str
    targets: tuple[str, ...]
    drift: DriftPolicy = DriftPolicy.REAPPLY
    lost_if_skipped: str = ""
    cannot_undo: tuple[str, ...] = ()
    settings_read: tuple[str, ...] = ()
    summary: str = ""
    consumes: tuple[str, ...] = ()  # "step-id:output" whose values are part of the input
    destroys: tuple[str, ...] = ()  # names that need typed consent
    removal: bool = False  # deletes its targets and writes nothing else


class MutationGate(Protocol):
    """The only door to a far end's state; every write passes it."""

    def mutation(self, verb: str, target: str) -> AbstractAsyncContextManager[None]:
        """Guards one write. ``target`` is an ``ObjectRef.key`` or another planned target.

        Raises InstallError: NOT-IN-PLAN (target outside the approved plan), LEASE-LOST (our
        deadline has passed). The write itself is done inside the context.
        """
        ...


class StepContext(Protocol):
    """What the engine gives a running step."""

    clock: Clock
    gate: MutationGate
    outputs: Mapping[str, Mapping[str, Any]]  # of finished steps, by step id

    def waiting(self, what: str, last_seen: str = "") -> None:
        """Tells what this step waits for and the last thing it saw (never journalled twice)."""
        ...

    def log(self, line: str) -> None:
        """A line for the log tail; travels beside the journal."""
        ...


@dataclass(frozen=True)
class StepOutcome:
    """What apply leaves for dependants and for the record (per object hash and version)."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()  # targets that were written and differ from before


class Step(Protocol):
    """One unit of work. All methods are safe to repeat; ``planned`` never touches a far end."""

    @property
    def planned(self) -> PlannedStep: ...

    async def probe(self, ctx: StepContext) -> Probe: ...

    async def apply(self, ctx: StepContext) -> StepOutcome: ...

    async def verify(self, ctx: StepContext) -> None:
        """Waits until the step's gates hold. Raises InstallError with evidence."""
        ...


class FarEndLock(Protocol):
    """A lock held on a far end (a Lease in the cluster) while a run mutates it."""

    async def acquire(self) -> None:
        """Raises InstallError LOCKED with who holds it and since when."""
        ...

    def still_held(self) -> bool:
        """Looked at before each mutation, without a request: is our deadline in the future?"""
        ...

    async def keep(self) -> None:
        """Renews until cancelled."""
        ...

    async def release(self) -> None: ...


class NoFarEndLock:
    """For runs whose far end has no lock of its own."""

    async def acquire(self) -> None:
        return None

    def still_held(self) -> bool:
        return True

    async def keep(self) -> None:
        return None

    async def release(self) -> None:
        return None
