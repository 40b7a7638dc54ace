"""The step contract: when the engine looks, when it writes, what it does about drift."""

from pathlib import Path

import pytest

from installer.core import events as ev
from installer.core.commands import Verb
from installer.core.errors import InstallError
from installer.core.state import RunState, RunStatus, StepStatus
from installer.core.step import DriftPolicy, StepContext, StepOutcome
from tests.unit.engine.house import House
from tests.unit.engine.world import SHAPE, FarEnd, FileStep, steps_of, work_of

ONE = {"one": ()}
TWO = {"one": (), "two": ("one",)}


@pytest.fixture
def far(tmp_path: Path) -> FarEnd:
    return FarEnd(tmp_path / "far")


async def run(directory: Path, steps: dict[str, FileStep], **params: object) -> House:
    house = House(directory, work_of(steps))
    await house.start(**params)
    await house.end()
    return house


async def test_a_first_run_applies_and_verifies_each_step(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far)
    house = await run(tmp_path, steps)
    assert house.state.status is RunStatus.FINISHED
    assert house.state.changed == len(far.objects()) == 2 * len(SHAPE)
    for step in steps.values():
        assert (step.probes, step.applies, step.verifies) == (0, 1, 1)
        assert [e.type for e in house.events(step.planned.id)] == ["step-intent", "step-done"]
    assert house.types[:2] == ["run-started", "plan-approved"]
    assert house.types[-1] == "run-finished"


async def test_needs_are_done_before_a_step_begins(tmp_path: Path, far: FarEnd) -> None:
    house = await run(tmp_path, steps_of(far))
    done: set[str] = set()
    for event in house.events():
        if isinstance(event, ev.StepIntent):
            assert done.issuperset(SHAPE[event.step])
        elif isinstance(event, ev.StepDone):
            done.add(event.step)


async def test_done_with_the_same_input_is_only_looked_at(tmp_path: Path, far: FarEnd) -> None:
    await run(tmp_path, steps_of(far))
    steps = steps_of(far)
    house = await run(tmp_path, steps)
    assert set(house.types[2:-1]) == {"step-unchanged"}
    for step in steps.values():
        assert (step.probes, step.applies, step.verifies) == (1, 0, 1)
    assert house.state.changed == 0


async def test_a_changed_input_is_looked_at_then_applied(tmp_path: Path, far: FarEnd) -> None:
    await run(tmp_path, steps_of(far, shape=ONE))
    steps = steps_of(far, {"one": "one v2"}, shape=ONE)
    house = await run(tmp_path, steps)
    assert (steps["one"].probes, steps["one"].applies) == (1, 1)
    assert [e.type for e in house.events("one")] == ["step-intent", "step-done"]
    assert far.get("one-a") == "one v2"


async def test_an_open_intent_is_looked_at_first(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=ONE)
    steps["one"].fails = [InstallError("X", "x", "x", "x", retryable=True)]
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("one", StepStatus.FAIL)
    assert house.state.of("one").in_doubt
    assert steps["one"].probes == 0
    assert (await house.ask(Verb.RETRY, "one")).refused == ""
    await house.end()
    assert (steps["one"].probes, steps["one"].applies) == (1, 2)
    assert [e.attempt for e in house.events("one") if isinstance(e, ev.StepIntent)] == [1, 2]


async def test_in_doubt_with_the_same_input_is_finished_and_no_drift(
    tmp_path: Path, far: FarEnd
) -> None:
    """Putting drift right was interrupted: what differs now is our own half-done work."""
    ask = {"one": DriftPolicy.ASK}
    house = await drifted(tmp_path, far, DriftPolicy.ASK)
    assert house.engine.work is not None
    one = house.engine.work.steps[0]
    assert isinstance(one, FileStep)
    one.fails = [InstallError("X", "x", "x", "x")]
    await house.ask(Verb.ACCEPT_DRIFT, "one")
    await house.until_status("one", StepStatus.FAIL)
    await house.ask(Verb.ABORT)
    await house.end()
    (far.folder / "one-b.obj").unlink()  # the other half never arrived
    house = await run(tmp_path, steps_of(far, shape=TWO, drift=ask))
    assert house.state.status is RunStatus.FINISHED
    assert [e.type for e in house.events("one")] == ["step-intent", "step-done"]
    assert not house.state.of("one").in_doubt


async def test_the_hash_is_the_plans_own_where_nothing_is_consumed(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far)
    house = await run(tmp_path, steps)
    for name, step in steps.items():
        same = house.state.of(name).done_hash == step.planned.input_hash
        assert same is not bool(step.planned.consumes)


async def test_the_gates_of_an_unchanged_step_are_held_too(tmp_path: Path, far: FarEnd) -> None:
    await run(tmp_path, steps_of(far, shape=ONE))
    steps = steps_of(far, shape=ONE)
    steps["one"].unready = [InstallError("NOT-READY", "x", "x", "x")]
    house = await run(tmp_path, steps, unattended=True)
    assert house.state.status is RunStatus.STOPPED
    assert house.state.error is not None
    assert house.state.error.code == "NOT-READY"


async def test_drift_is_told_and_written_over(tmp_path: Path, far: FarEnd) -> None:
    await run(tmp_path, steps_of(far, shape=ONE))
    (far.folder / "one-a.obj").write_text("by hand")
    house = await run(tmp_path, steps_of(far, shape=ONE))
    assert [e.type for e in house.events("one")] == ["drift-found", "step-intent", "step-done"]
    drift = house.events("one")[0]
    assert isinstance(drift, ev.DriftFound)
    assert (drift.details, drift.policy) == (("one-a differs",), "reapply")
    assert far.get("one-a") == "one v1"
    assert house.state.changed == 1


async def test_something_gone_is_drift_too(tmp_path: Path, far: FarEnd) -> None:
    await run(tmp_path, steps_of(far, shape=ONE))
    (far.folder / "one-a.obj").unlink()
    (far.folder / "one-b.obj").unlink()
    house = await run(tmp_path, steps_of(far, shape=ONE))
    assert [e.type for e in house.events("one")] == ["drift-found", "step-intent", "step-done"]


async def drifted(directory: Path, far: FarEnd, policy: DriftPolicy) -> House:
    await run(directory, steps_of(far, shape=TWO, drift={"one": policy}))
    (far.folder / "one-a.obj").write_text("by hand")
    house = House(directory, work_of(steps_of(far, shape=TWO, drift={"one": policy})))
    await house.start()
    await house.until_status("one", StepStatus.FAIL)
    assert far.get("one-a") == "by hand"
    return house


def code(state: RunState, step: str = "one") -> str:
    error = state.of(step).error
    assert error is not None
    return error.code


async def test_drift_that_is_asked_about_waits_for_the_answer(tmp_path: Path, far: FarEnd) -> None:
    house = await drifted(tmp_path, far, DriftPolicy.ASK)
    assert code(house.state) == "DRIFT"
    assert (await house.ask(Verb.RETRY, "one")).refused == ""  # asked again: still drifted
    await house.until_status("one", StepStatus.FAIL)
    assert far.get("one-a") == "by hand"
    assert (await house.ask(Verb.ACCEPT_DRIFT, "one")).refused == ""
    assert (await house.end()).status is RunStatus.FINISHED
    assert far.get("one-a") == "one v1"


async def test_drift_put_back_by_hand_needs_only_a_retry(tmp_path: Path, far: FarEnd) -> None:
    house = await drifted(tmp_path, far, DriftPolicy.ASK)
    (far.folder / "one-a.obj").write_text("one v1")
    assert (await house.ask(Verb.RETRY, "one")).refused == ""
    assert (await house.end()).status is RunStatus.FINISHED
    assert house.state.changed == 0


async def test_a_drifted_identity_is_never_written_over(tmp_path: Path, far: FarEnd) -> None:
    house = await drifted(tmp_path, far, DriftPolicy.STOP)
    assert code(house.state) == "DRIFT-IDENTITY"
    refused = await house.ask(Verb.ACCEPT_DRIFT, "one")
    assert refused.code == "NOT-NOW"
    assert far.get("one-a") == "by hand"
    await house.ask(Verb.ABORT)
    assert (await house.end()).status is RunStatus.STOPPED
    assert far.get("one-a") == "by hand"


async def test_dependants_run_again_only_if_what_they_consume_changed(
    tmp_path: Path, far: FarEnd
) -> None:
    await run(tmp_path, steps_of(far))
    edited = {"keys": "keys v2", "watch": "watch v2", "network": "network v2"}
    house = await run(tmp_path, steps_of(far, edited))
    applied = {e.step for e in house.events() if isinstance(e, ev.StepIntent)}
    assert applied == {"keys", "watch", "network", "database"}
    assert far.get("database-a") == "database v1 keys=" + str(
        house.state.of("keys").outputs["serial"]
    )


async def test_a_step_sees_only_the_outputs_that_it_declared(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far)
    seen: dict[str, dict[str, list[str]]] = {}
    for name, step in steps.items():
        apply = step.apply

        async def spy(ctx: StepContext, name: str = name, apply: object = apply) -> StepOutcome:
            seen[name] = {source: sorted(values) for source, values in ctx.outputs.items()}
            outcome: StepOutcome = await apply(ctx)  # type: ignore[operator]  # bound above
            return outcome

        step.apply = spy  # type: ignore[method-assign]  # a spy on this one step
    await run(tmp_path, steps)
    assert seen["main"] == {"database": ["address"], "cache": ["address"]}
    assert seen["proof"] == {}


async def test_an_output_of_a_skipped_step_is_missed_in_words(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, lost={"keys": "the keys"})
    steps["keys"].fails = [InstallError("X", "x", "x", "x")]
    house = House(tmp_path, work_of(steps))
    await house.start()
    await house.until_status("keys", StepStatus.FAIL)
    await house.ask(Verb.SKIP, "keys")
    await house.until_status("database", StepStatus.FAIL)
    assert code(house.state, "database") == "OUTPUT-MISSING"
    await house.ask(Verb.ABORT)
    await house.end()


async def test_outputs_that_are_not_json_are_a_defect_of_the_step(
    tmp_path: Path, far: FarEnd
) -> None:
    steps = steps_of(far, shape=ONE)

    async def apply(ctx: StepContext) -> StepOutcome:
        return StepOutcome({"path": tmp_path})

    steps["one"].apply = apply  # type: ignore[method-assign]  # a defect made by hand
    house = await run(tmp_path, steps, unattended=True)
    assert code(house.state) == "INTERNAL"


async def test_a_wait_is_journalled_once_and_its_news_are_not(tmp_path: Path, far: FarEnd) -> None:
    steps = steps_of(far, shape=ONE)
    house = House(tmp_path, work_of(steps))

    async def verify(ctx: StepContext) -> None:
        for what, seen in [("pods", "0 of 3"), ("disk", ""), ("pods", "1 of 3"), ("pods", "2")]:
            ctx.waiting(what, seen)
        assert house.state.of("one").status is StepStatus.WAIT
        news = house.board.news(0)[1]
        assert [(item.kind, item.text) for item in news] == [("waiting", "pods: 2")]

    steps["one"].verify = verify  # type: ignore[method-assign]  # a wait made by hand
    await house.start()
    await house.end()
    assert [e.what for e in house.events() if isinstance(e, ev.StepWaiting)] == ["pods", "disk"]
    assert house.state.status is RunStatus.FINISHED
    assert house.board.news(0)[1] == []  # what it waited for is no longer news
