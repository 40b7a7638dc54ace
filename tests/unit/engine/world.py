"""A far end made of files, and twelve steps that write to it.

The far end is a folder: one file an object, plus ``calls.log`` in which each write is noted when
it arrived. Everything is checked against that folder, never against what the engine believes.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from installer.core.canonical import digest
from installer.core.errors import InstallError
from installer.core.plan import Plan, RunKind
from installer.core.step import (
    DriftPolicy,
    FarEndLock,
    Finding,
    NoFarEndLock,
    PlannedStep,
    Probe,
    StepContext,
    StepOutcome,
)
from installer.engine.work import EngineWork

# id -> needs; two independent branches that meet, a chain, and consumers of outputs.
SHAPE: Mapping[str, tuple[str, ...]] = {
    "names": (),
    "keys": (),
    "storage": ("names",),
    "network": ("names",),
    "database": ("storage", "keys"),
    "cache": ("network", "keys"),
    "proxy": ("cache",),
    "main": ("database", "cache"),
    "workers": ("main",),
    "edge": ("proxy", "main"),
    "watch": ("network",),
    "proof": ("workers", "edge", "watch"),
}
CONSUMES: Mapping[str, tuple[str, ...]] = {
    "database": ("keys:serial",),
    "main": ("database:address", "cache:address"),
}


class FarEnd:
    """Objects in files. ``writes`` are made whole by a rename, as an API server would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def get(self, name: str) -> str | None:
        try:
            return (self.folder / f"{name}.obj").read_text()
        except FileNotFoundError:
            return None

    def put(self, name: str, text: str) -> None:
        with (self.folder / "calls.log").open("a") as log:
            log.write(f"put {name}\n")
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text)
        os.rename(fresh, self.folder / f"{name}.obj")

    @property
    def calls(self) -> list[str]:
        try:
            return (self.folder / "calls.log").read_text().splitlines()
        except FileNotFoundError:
            return []

    def objects(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in sorted(self.folder.glob("*.obj"))}


@dataclass
class FileStep:
    """Writes two objects, leaves their address and a serial as outputs."""

    far: FarEnd
    planned: PlannedStep
    text: str
    fails: list[InstallError | Exception] = field(default_factory=list)  # one an attempt
    unready: list[InstallError] = field(default_factory=list)  # one a verify
    hold: asyncio.Event | None = None  # verify waits for it
    began: asyncio.Event = field(default_factory=asyncio.Event)
    probes: int = 0
    applies: int = 0
    verifies: int = 0

    def wanted(self, ctx: StepContext) -> dict[str, str]:
        read = "".join(
            f" {source}={value}"
            for source, outputs in sorted(ctx.outputs.items())
            for value in outputs.values()
        )
        return {target: f"{self.text}{read}" for target in self.planned.targets}

    async def probe(self, ctx: StepContext) -> Probe:
        self.probes += 1
        found = {name: self.far.get(name) for name in self.planned.targets}
        if all(value is None for value in found.values()):
            return Probe(Finding.ABSENT, ("nothing is there",))
        wanted = self.wanted(ctx)
        odd = tuple(f"{name} differs" for name in wanted if found[name] != wanted[name])
        return Probe(Finding.DIFFERS, odd) if odd else Probe(Finding.SAME)

    async def apply(self, ctx: StepContext) -> StepOutcome:
        self.applies += 1
        self.began.set()
        changed = []
        for name, text in self.wanted(ctx).items():
            if self.far.get(name) != text:
                async with ctx.gate.mutation("put", name):
                    await asyncio.sleep(0)  # on the way there: others go on
                    self.far.put(name, text)
                    await asyncio.sleep(0)  # on the way back
                changed.append(name)
        if self.fails:
            raise self.fails.pop(0)
        outputs = {"address": f"addr-{self.planned.id}", "serial": digest(self.text)[:8]}
        return StepOutcome(outputs, tuple(changed))

    async def verify(self, ctx: StepContext) -> None:
        self.verifies += 1
        self.began.set()
        if self.hold is not None and not self.hold.is_set():
            ctx.waiting("the hold", "not yet")
            await self.hold.wait()
        if self.unready:
            raise self.unready.pop(0)


def steps_of(
    far: FarEnd,
    texts: Mapping[str, str] | None = None,
    *,
    shape: Mapping[str, tuple[str, ...]] = SHAPE,
    drift: Mapping[str, DriftPolicy] | None = None,
    lost: Mapping[str, str] | None = None,
) -> dict[str, FileStep]:
    """``texts`` overrides what single steps write: an edit of the input."""
    steps = {}
    for name, needs in shape.items():
        text = (texts or {}).get(name, f"{name} v1")
        planned = PlannedStep(
            id=name,
            title=f"Step {name}",
            phase="all",
            needs=needs,
            input_hash=digest({"step": name, "text": text}),
            targets=(f"{name}-a", f"{name}-b"),
            drift=(drift or {}).get(name, DriftPolicy.REAPPLY),
            lost_if_skipped=(lost or {}).get(name, ""),
            consumes=CONSUMES.get(name, ()) if shape is SHAPE else (),
        )
        steps[name] = FileStep(far, planned, text)
    return steps


def work_of(
    steps: Mapping[str, FileStep] | Sequence[FileStep], lock: FarEndLock | None = None
) -> EngineWork:
    made = list(steps.values()) if isinstance(steps, Mapping) else list(steps)
    plan = Plan(
        kind=RunKind.INSTALL,
        install_id="demo",
        place="a folder",
        steps=tuple(step.planned for step in made),
        phases=("all",),
        standing=("lease",),
    )
    return EngineWork(plan, made, lock or NoFarEndLock())
