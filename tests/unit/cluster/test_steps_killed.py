"""Killed before or after any write, an install that is run again ends as if nothing had been."""

import json
from typing import Any

import pytest

from installer.cluster.inventory import shard_ref
from installer.core.objects import Manifest
from tests.unit.cluster.memory_answers import Kill, Killed
from tests.unit.cluster.runs import run, settle, steps_of, surveyed, the_waves
from tests.unit.cluster.waves import config
from tests.unit.cluster.world import INSTALL, World, ours, world

INVENTORY = shard_ref(INSTALL, 0).key
FIRST = (config("a"), config("gone"), ours("v1", "Service", "web", spec={"type": "ClusterIP"}))
SECOND = (config("a", a="2"), config("new"), FIRST[2])


async def install_then_change(at: World, *kills: Kill | None) -> None:
    """An install, and a later one with a changed, a new and an unwanted object."""
    for manifests, kill in zip((FIRST, SECOND), kills, strict=True):
        try:
            at.cluster.kill = kill
            await once(at, *manifests)
        except Killed:
            at.cluster.kill = None
            await once(at, *manifests)
        at.cluster.kill = None  # after the last write there is nothing left to be killed


async def once(at: World, *manifests: Manifest) -> None:
    await settle(at)
    found = await surveyed(at, *manifests)
    await run(at, steps_of(at.again(found.consents()), the_waves(*manifests), found.prune))


def end_of(at: World) -> dict[str, Any]:
    """Objects and inventory without what differs between any two runs."""
    found: dict[str, Any] = {}
    uids = {m["metadata"]["uid"]: key for key, m in at.cluster.objects.items()}
    for key, manifest in at.cluster.objects.items():
        meta = dict(manifest["metadata"])
        meta.pop("uid")
        meta.pop("resourceVersion")
        found[key] = {**manifest, "metadata": meta}
    data = json.loads(found[INVENTORY].pop("data")["inventory"])
    rows = [[uids.get(cell, cell) for cell in row] for row in data["objects"]]
    found["inventory"] = {**data, "objects": rows}
    return found


async def writes_of(run_number: int) -> int:
    at = world()
    kills = [Kill(-1, True), Kill(-1, True)]
    await install_then_change(at, *kills)
    return kills[run_number]._writes


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("run_number", [0, 1])
async def test_the_end_is_the_same(run_number: int, before: bool) -> None:
    whole = world()
    await install_then_change(whole, None, None)
    wanted, count = end_of(whole), await writes_of(run_number)
    assert count >= 6
    for number in range(1, count + 1):
        at = world()
        kills: list[Kill | None] = [None, None]
        kills[run_number] = Kill(number, before)
        await install_then_change(at, *kills)
        assert end_of(at) == wanted, f"killed {'before' if before else 'after'} write {number}"
        at.cluster.calls.clear()
        await once(at, *SECOND)
        assert at.cluster.writes == ()
