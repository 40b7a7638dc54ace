"""What the tests of the runner put into a run: locks, holds, slow writes, a full disk."""

import asyncio

from installer.core.errors import ExitCode, InstallError
from installer.core.step import NoFarEndLock, StepContext, StepOutcome
from tests.unit.engine.world import FileStep

WIDE: dict[str, tuple[str, ...]] = {f"w{n}": () for n in range(9)}
FORK: dict[str, tuple[str, ...]] = {"left": (), "right": (), "after": ("left",)}
BROKEN = InstallError("BROKEN", "It broke", "for a reason", "mend it", retryable=True)


class Lock(NoFarEndLock):
    """Remembers; ``lost`` makes ``keep`` fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.lost = asyncio.Event()
        self.held = True
        self.calls: list[str] = []

    async def acquire(self) -> None:
        self.calls.append("acquire")
        if self.error:
            raise self.error

    def still_held(self) -> bool:
        return self.held

    async def keep(self) -> None:
        self.calls.append("keep")
        await self.lost.wait()
        self.held = False
        raise InstallError("LEASE-LOST", "Lost", "taken over by another", "look", retryable=True)

    async def release(self) -> None:
        self.calls.append("release")


def replace_exit(error: InstallError, code: ExitCode) -> InstallError:
    return InstallError(error.code, error.title, error.cause, error.remedy, exit_code=code)


def held(steps: dict[str, FileStep], *names: str) -> asyncio.Event:
    hold = asyncio.Event()
    for name in names or tuple(steps):
        steps[name].hold = hold
    return hold


class SlowWrite:
    """A step inside a write that ends when the test says so."""

    def __init__(self, step: FileStep) -> None:
        self.entered = asyncio.Event()
        self.answer = asyncio.Event()
        self.finished = False
        self._step = step
        step.apply = self.apply  # type: ignore[method-assign]  # this one write is slow

    async def apply(self, ctx: StepContext) -> StepOutcome:
        async with ctx.gate.mutation("put", self._step.planned.targets[0]):
            self.entered.set()
            await self.answer.wait()
            self.finished = True
        async with ctx.gate.mutation("put", self._step.planned.targets[1]):
            raise AssertionError("written after the stop")


def no_space(file: int) -> None:
    raise OSError(28, "No space left on device")
