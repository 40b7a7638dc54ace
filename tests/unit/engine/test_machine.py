"""The engine against a model: crash, pause, retry, skip, edit, drift, a second view, in any order.

Each step waits in its verification until the machine lets it succeed or fail, so the model knows at
every moment what the engine must be doing, what the journal must say and what the far end holds.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from installer.core.canonical import digest
from installer.core.commands import Reply, Verb
from installer.core.errors import InstallError
from installer.core.state import RunState, RunStatus, StepStatus
from installer.core.step import StepContext
from installer.engine.journal import Journal, JournalWriteFailed
from tests.unit.engine.clocks import FakeClock
from tests.unit.engine.house import PATIENCE, House
from tests.unit.engine.world import FarEnd, FileStep, steps_of, work_of

SHAPE: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a",), "d": ("b", "c"), "e": ("b",)}
CONSUMES = {"c": "a", "d": "c"}  # each reads the serial, which follows from the text alone
SKIPPABLE = "e"
PARALLEL = 2
NAMES = st.sampled_from(sorted(SHAPE))
T = TypeVar("T")


class Gated(FileStep):
    """Verification ends when the machine says how."""

    answer: "asyncio.Future[None]"

    async def verify(self, ctx: StepContext) -> None:
        self.answer = asyncio.get_running_loop().create_future()
        ctx.waiting("the machine")
        await self.answer


@dataclass
class Model:
    """What must be true. ``now`` is of the run that goes on, the rest outlives it."""

    wanted: dict[str, str] = field(default_factory=lambda: dict.fromkeys(SHAPE, "v1"))
    given: dict[str, str] = field(default_factory=dict)  # wanted, as this run was given it
    done: dict[str, str] = field(default_factory=dict)  # text that was proven last
    doubt: set[str] = field(default_factory=set)
    far: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    now: dict[str, StepStatus] = field(default_factory=dict)
    pausing: bool = False
    over: RunStatus | None = None

    def text(self, step: str) -> str:
        """As the far end should have it, and so what the input hash is over."""
        own = f"{step} {self.given[step]}"
        source = CONSUMES.get(step)
        return f"{own} {source}={digest(f'{source} {self.given[source]}')[:8]}" if source else own

    def begin(self) -> None:
        self.given = dict(self.wanted)
        self.now = dict.fromkeys(SHAPE, StepStatus.NEXT)
        self.pausing, self.over = False, None
        self.launch()

    def launch(self) -> None:
        settled = {n for n, s in self.now.items() if s in (StepStatus.OK, StepStatus.SKIP)}
        for name, needs in SHAPE.items():
            running = sum(status is StepStatus.WAIT for status in self.now.values())
            if self.pausing or running >= PARALLEL:
                break
            if self.now[name] is StepStatus.NEXT and settled.issuperset(needs):
                self.attempt(name)
        if settled == set(SHAPE):
            self.over = RunStatus.FINISHED
        elif self.pausing and StepStatus.WAIT not in self.now.values():
            self.over = RunStatus.PAUSED

    def attempt(self, name: str) -> None:
        self.now[name] = StepStatus.WAIT
        text = self.text(name)
        stands = all(self.far.get(f"{name}-{side}") == text for side in "ab")
        if self.done.get(name) == text and name not in self.doubt and stands:
            return
        self.doubt.add(name)
        for side in "ab":
            if self.far.get(f"{name}-{side}") != text:
                self.far[f"{name}-{side}"] = text
                self.writes += 1

    def succeed(self, name: str) -> None:
        self.now[name] = StepStatus.OK
        self.done[name] = self.text(name)
        self.doubt.discard(name)
        self.launch()


class EngineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="engine-machine-"))
        self.directory = self.root / "dir"
        self.directory.mkdir()
        self.far = FarEnd(self.root / "far")
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.house: House | None = None
        self.steps: dict[str, Gated] = {}
        self.seen_by_other = 0

    def teardown(self) -> None:
        if self.house is not None:
            self._crash()
        self.loop.close()
        shutil.rmtree(self.root)

    def wait(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE))

    def ask(self, verb: Verb, step: str = "", seen: int | None = None) -> Reply:
        assert self.house is not None
        return self.wait(self.house.ask(verb, step, seen=seen))

    def settled(self) -> None:
        """The engine comes to where the model is; if the run is over, it ends."""
        house, model = self.house, self.model
        assert house is not None

        def agrees(state: RunState) -> bool:
            names = {n for n, s in model.now.items() if s is StepStatus.WAIT}
            return model.over is not None or (
                {n: _plain(state.of(n).status) for n in SHAPE} == model.now
                and all(not self.steps[n].answer.done() for n in names if self.gated(n))
            )

        if model.over is None:
            self.wait(house.until(agrees))
            return
        state = self.wait(house.end())
        assert state.status is model.over
        self.house = None

    def gated(self, name: str) -> bool:
        return hasattr(self.steps[name], "answer")

    def answer(self, name: str, error: InstallError | None) -> None:
        """Lets the held step go on, inside the loop that waits for it."""

        async def give() -> None:
            step = self.steps[name]
            if error is None:
                step.answer.set_result(None)
            else:
                step.answer.set_exception(error)

        self.wait(give())

    # -- what can happen --------------------------------------------------------------------

    @precondition(lambda self: self.house is None)
    @rule()
    def start(self) -> None:
        texts = {name: f"{name} {version}" for name, version in self.model.wanted.items()}
        made = steps_of(self.far, texts, shape=SHAPE, lost={SKIPPABLE: "the extra"})
        self.steps = {}
        for name, step in made.items():
            source = CONSUMES.get(name)
            if source:
                object.__setattr__(step.planned, "consumes", (f"{source}:serial",))
            self.steps[name] = Gated(step.far, step.planned, step.text)
        self.house = House(self.directory, work_of(list(self.steps.values())), parallel=PARALLEL)
        self.seen_by_other = self.house.recorder.seq
        self.model.begin()
        self.wait(self.house.start())
        self.settled()

    @precondition(lambda self: self.house is not None)
    @rule(name=NAMES)
    def succeed(self, name: str) -> None:
        if self.model.now[name] is StepStatus.WAIT:
            self.model.succeed(name)
            self.answer(name, None)
            self.settled()

    @precondition(lambda self: self.house is not None)
    @rule(name=NAMES)
    def fail(self, name: str) -> None:
        if self.model.now[name] is StepStatus.WAIT:
            self.model.now[name] = StepStatus.FAIL
            self.model.launch()
            self.answer(name, InstallError("BROKEN", "x", "x", "x", retryable=True))
            self.settled()

    @precondition(lambda self: self.house is not None)
    @rule(name=NAMES)
    def retry(self, name: str) -> None:
        taken = self.model.now[name] is StepStatus.FAIL
        if taken:
            self.model.now[name] = StepStatus.NEXT
            self.model.launch()
        assert (self.ask(Verb.RETRY, name).refused == "") is taken
        self.settled()

    @precondition(lambda self: self.house is not None)
    @rule(name=NAMES)
    def skip(self, name: str) -> None:
        taken = self.model.now[name] is StepStatus.FAIL and name == SKIPPABLE
        if taken:
            self.model.now[name] = StepStatus.SKIP
            self.model.launch()
        assert (self.ask(Verb.SKIP, name).refused == "") is taken
        self.settled()

    @precondition(lambda self: self.house is not None)
    @rule()
    def pause(self) -> None:
        if self.model.pausing:
            self.model.over = RunStatus.PAUSED  # asked twice: waits are left
        self.model.pausing = True
        self.model.launch()
        assert self.ask(Verb.PAUSE).refused == ""
        self.settled()

    @precondition(lambda self: self.house is not None)
    @rule()
    def proceed(self) -> None:
        taken = self.model.pausing
        self.model.pausing = False
        assert (self.ask(Verb.CONTINUE).refused == "") is taken
        self.model.launch()
        self.settled()

    @precondition(lambda self: self.house is not None)
    @rule()
    def abort(self) -> None:
        self.model.over = RunStatus.STOPPED
        assert self.ask(Verb.ABORT).refused == ""
        self.settled()

    @precondition(lambda self: self.house is not None)
    @rule()
    def crash(self) -> None:
        self._crash()

    def _crash(self) -> None:
        """As kill -9 between two records: no further one, no further write."""
        house = self.house
        assert house is not None
        house.recorder.broken = JournalWriteFailed("X", "x", "x", "x")
        house.recorder._ring()
        self.wait(house.end())
        self.house = None

    @rule(name=NAMES, version=st.sampled_from(["v1", "v2"]))
    def edit(self, name: str, version: str) -> None:
        self.model.wanted[name] = version  # for the next run

    @rule(name=NAMES, side=st.sampled_from("ab"))
    def drift(self, name: str, side: str) -> None:
        if self.model.now.get(name) is StepStatus.WAIT and self.house is not None:
            return  # between its write and its gates: the gates' matter
        (self.far.folder / f"{name}-{side}.obj").write_text("by hand")
        self.model.far[f"{name}-{side}"] = "by hand"

    @precondition(lambda self: self.house is not None)
    @rule()
    def other_view_looks(self) -> None:
        assert self.house is not None
        self.seen_by_other = self.house.recorder.seq

    @precondition(lambda self: self.house is not None)
    @rule(name=NAMES)
    def other_view_retries(self, name: str) -> None:
        """It may have an old picture: what bears on the step makes it stale."""
        house = self.house
        assert house is not None
        missed = [r for r in house.recorder.recent if r.seq > self.seen_by_other]
        run = ("run-started", "plan-approved")
        commands = ("pause", "continue", "abort")
        stale = any(
            record.event.type in run
            or getattr(record.event, "step", "") == name
            or getattr(record.event, "command", "") in commands
            for record in missed
        )
        taken = not stale and self.model.now[name] is StepStatus.FAIL
        if taken:
            self.model.now[name] = StepStatus.NEXT
            self.model.launch()
        reply = self.ask(Verb.RETRY, name, seen=self.seen_by_other)
        assert (reply.code == "STALE") is stale
        assert (reply.refused == "") is taken
        assert bool(reply.changed) is stale
        self.settled()

    # -- what must hold ---------------------------------------------------------------------

    @invariant()
    def the_far_end_is_as_the_model_says(self) -> None:
        assert self.far.objects() == self.model.far
        assert len(self.far.calls) == self.model.writes

    @invariant()
    def the_journal_tells_the_same(self) -> None:
        journal, state, repairs = Journal.open(self.directory, FakeClock())
        journal.close()
        assert repairs == ()
        assert {n for n in SHAPE if state.of(n).in_doubt} == self.model.doubt
        done = {n for n in SHAPE if state.of(n).done_hash}
        assert done == set(self.model.done)
        if self.house is not None:
            assert state == self.house.state
            failed = StepStatus.FAIL in self.model.now.values()
            assert (state.status is RunStatus.FAILED) is failed

    @invariant()
    def a_finished_install_is_whole(self) -> None:
        model = self.model
        if model.over is RunStatus.FINISHED and self.house is None:
            for name, status in model.now.items():
                if status is StepStatus.OK:
                    assert model.done[name] == model.text(name)


def _plain(status: StepStatus) -> StepStatus:
    return StepStatus.NEXT if status is StepStatus.UNKNOWN else status


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
