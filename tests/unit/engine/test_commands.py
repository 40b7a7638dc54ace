"""Commands: each once, none on an outdated picture, none that the plan does not cover."""

import asyncio
from pathlib import Path

import pytest

from installer.core import events as ev
from installer.core.commands import Verb
from installer.core.errors import InstallError
from installer.core.state import StepStatus
from installer.engine.client import EngineClient
from tests.unit.engine.house import PATIENCE, House
from tests.unit.engine.views import FORK, all_news, ask, begin, read_until, served
from tests.unit.engine.world import FarEnd, FileStep, steps_of, work_of


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, FileStep]:
    return steps_of(FarEnd(tmp_path / "far"), shape=FORK)


async def test_a_wrong_passphrase_is_refused_and_may_be_tried_again(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    wrong = InstallError("SECRETS-WRONG-PASSPHRASE", "Wrong", "It does not open", "Try again")
    house = House(tmp_path, wrong)
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        reply = await ask(client, Verb.UNLOCK, params={"secret": "no"})
        assert reply.error == wrong.report()
        assert reply.code == "SECRETS-WRONG-PASSPHRASE"
        start = await ask(client, Verb.START, params={"digest": "x"})
        assert start.code == "NOT-NOW"
        house.work = work_of(steps)
        assert (await ask(client, Verb.UNLOCK, params={"secret": "yes"})).refused == ""
        # A second view needs none: the plan is there.
        assert (await ask(client, Verb.UNLOCK)).data["digest"] == house.work.plan.digest
        await client.close()
    assert house.secrets == ["no", "yes"]
    assert not (tmp_path / "journal").exists()


async def test_a_plan_other_than_the_one_shown_is_refused_with_what_differs(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    house = House(tmp_path, work_of(steps))
    shown = work_of(steps_of(FarEnd(tmp_path / "far"), {"left": "old"}, shape=FORK)).plan
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        await ask(client, Verb.UNLOCK)
        params = {"digest": shown.digest, "plan": shown.to_json()}
        reply = await ask(client, Verb.START, params=params)
        assert (reply.code, reply.changed) == (
            "PLAN-CHANGED",
            ("step left changed: input hash",),
        )
        assert reply.data["digest"] == work_of(steps).plan.digest
        assert house.types == []
        await client.close()


async def test_what_is_destroyed_must_be_confirmed_by_name(tmp_path: Path) -> None:
    steps = steps_of(FarEnd(tmp_path / "far"), shape={"one": ()})
    object.__setattr__(steps["one"].planned, "destroys", ("pvc/a", "pvc/b"))
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        digest = (await ask(client, Verb.UNLOCK)).data["digest"]
        some = {"digest": digest, "consents": ["pvc/a"]}
        reply = await ask(client, Verb.START, params=some)
        assert (reply.code, "pvc/b" in reply.refused) == ("CONSENT-MISSING", True)
        every = {"digest": digest, "consents": ["pvc/a", "pvc/b"]}
        assert (await ask(client, Verb.START, params=every)).refused == ""
        await all_news(client)
        await client.close()
    assert house.state.consents == ("pvc/a", "pvc/b")


async def test_a_stale_command_is_refused_with_what_was_missed(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    broken = InstallError("BROKEN", "x", "x", "x")
    steps["left"].fails = [broken, broken]
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        await begin(client)
        failed = await read_until(client, ev.StepFailed)
        # Another step's records do not make it stale; its own do.
        assert (await ask(client, Verb.RETRY, step="left", seen=failed.seq)).refused == ""
        await read_until(client, ev.StepFailed)
        before = house.recorder.seq
        reply = await ask(client, Verb.RETRY, step="left", seen=failed.seq, by="berta")
        assert reply.code == "STALE"
        assert len(reply.changed) == 3  # the retry, the intent, the failure
        assert "command taken retry left" in reply.changed[0]
        assert "step failed left" in reply.changed[2]
        assert house.recorder.seq == before
        # A pause asked for by another view bears on every command about the run.
        seen = house.recorder.seq
        steps["left"].hold = asyncio.Event()
        assert (await ask(client, Verb.RETRY, step="left")).refused == ""
        assert (await ask(client, Verb.PAUSE, seen=seen)).refused == ""
        assert (await ask(client, Verb.ABORT, seen=seen)).code == "STALE"
        assert (await ask(client, Verb.ABORT, seen=house.recorder.seq)).refused == ""
        await client.close()


async def test_a_second_start_on_an_old_picture_is_stale(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    steps["left"].hold = asyncio.Event()
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        await begin(client)
        params = {"digest": house.state.plan_digest}
        reply = await ask(client, Verb.START, params=params, seen=0)
        assert reply.code == "STALE"
        assert "run started" in reply.changed[0]
        assert "plan approved anna" in reply.changed[1]
        reply = await ask(client, Verb.START, params=params, seen=2)
        assert (reply.code, "started already" in reply.refused) == ("NOT-NOW", True)
        await ask(client, Verb.ABORT, seen=10**6)
        await client.close()


async def test_a_view_that_read_the_journal_itself_has_seen_that(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    steps["left"].fails = [InstallError("BROKEN", "x", "x", "x")]
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        client = await EngineClient.connect(tmp_path)
        await begin(client)
        await read_until(client, ev.StepFailed)
        await house.until(lambda state: state.of("right").status is StepStatus.OK)
        other = await EngineClient.connect(tmp_path, after=house.recorder.seq)
        assert (await ask(other, Verb.RETRY, step="left")).refused == ""
        await all_news(other)
        await client.close()
        await other.close()


async def test_the_same_id_is_answered_the_same_and_done_once(
    tmp_path: Path, steps: dict[str, FileStep]
) -> None:
    steps["left"].fails = [InstallError("BROKEN", "x", "x", "x")]
    house = House(tmp_path, work_of(steps))
    async with served(tmp_path, house):
        first = await EngineClient.connect(tmp_path)
        second = await EngineClient.connect(tmp_path)
        await begin(first)
        await read_until(first, ev.StepFailed)
        both = await asyncio.gather(
            ask(first, Verb.RETRY, step="left", id="same"),
            ask(second, Verb.RETRY, step="left", id="same", seen=10**6),
        )
        replies = [*both, await ask(first, Verb.RETRY, step="left", id="same")]
        assert len(set(map(str, replies))) == 1
        assert replies[0].refused == ""
        await asyncio.gather(all_news(first), all_news(second))
        await first.close()
        await second.close()
    taken = [e for e in house.events() if isinstance(e, ev.CommandTaken)]
    assert [e.command for e in taken] == ["retry"]


async def test_a_view_that_leaves_does_not_take_its_command_along(tmp_path: Path) -> None:
    steps = steps_of(FarEnd(tmp_path / "far"), shape=FORK)
    house = House(tmp_path, work_of(steps))
    go, came = asyncio.Event(), asyncio.Event()
    build = house._build
    builds = 0

    async def slow(secret: str) -> object:
        nonlocal builds
        builds += 1
        came.set()
        await go.wait()
        return await build(secret)

    house.engine._build = slow  # type: ignore[assignment]  # a build that takes its time
    async with served(tmp_path, house) as server:
        client = await EngineClient.connect(tmp_path)
        asking = asyncio.create_task(client.command(Verb.UNLOCK))
        await asyncio.wait_for(came.wait(), PATIENCE)
        await client.close()
        with pytest.raises(InstallError, match="ENGINE-GONE"):
            await asyncio.wait_for(asking, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while server.views:
                server.changed.clear()
                await server.changed.wait()
        go.set()
        other = await EngineClient.connect(tmp_path)
        assert (await ask(other, Verb.UNLOCK)).refused == ""
        await other.close()
    assert builds == 1
