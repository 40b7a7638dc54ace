"""The inventory: versions, shards, lost answers, other writers and other installs."""

import json

import pytest

from installer.cluster import inventory as module
from installer.cluster.inventory import Inventory, listed_by_others, shard_ref, standing_targets
from installer.cluster.records import Record, RecordState
from installer.core.errors import InstallError
from installer.core.objects import ObjectRef
from tests.unit.cluster.api_failures import refusal
from tests.unit.cluster.world import INSTALL, UID, World, world

MAIN = shard_ref(INSTALL, 0)


def record(name: str, **change: object) -> Record:
    ref = ObjectRef("v1", "ConfigMap", "mx-app", name)
    fields = {"uid": "u", "generation": 0, "content_hash": "h", "component": "c", "wave": "w"}
    return Record(ref=ref, **{**fields, **change})  # type: ignore[arg-type]  # a table of fields


def fresh(at: World) -> Inventory:
    return Inventory(at.cluster, INSTALL, UID, at.handle.retry)


async def test_what_was_put_is_read_back() -> None:
    at = world()
    kept = (record("a"), record("b", state=RecordState.INTENDED, uid="", generation=7))
    await at.handle.inventory.put(at.ctx, kept)
    again = fresh(at)
    await again.load()
    assert tuple(again.records.values()) == kept
    assert at.ctx.passed == [f"create {MAIN.key}"]


async def test_nothing_is_written_when_nothing_changes() -> None:
    at = world()
    assert await at.handle.inventory.put(at.ctx, [record("a")])
    assert not await at.handle.inventory.put(at.ctx, [record("a")])
    assert not await at.handle.inventory.remove(at.ctx, ["configmap/x/unknown"])
    assert at.cluster.writes == (f"create {MAIN.key}",)


async def test_equal_records_give_equal_bytes_in_any_order() -> None:
    texts = []
    for names in (["a", "b"], ["b", "a"]):
        at = world()
        for name in names:
            await at.handle.inventory.put(at.ctx, [record(name)])
        texts.append(at.cluster.objects[MAIN.key]["data"]["inventory"])
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["format"] == 1


async def test_another_writer_is_noticed() -> None:
    at = world()
    await at.handle.inventory.put(at.ctx, [record("a")])
    other = fresh(at)
    await other.load()
    await other.put(at.ctx, [record("b")])
    with pytest.raises(InstallError, match="INVENTORY-CHANGED"):
        await at.handle.inventory.put(at.ctx, [record("c")])


async def test_a_write_whose_answer_was_lost_is_found_to_be_there() -> None:
    at = world()
    await at.handle.inventory.put(at.ctx, [record("a")])
    sent = at.cluster.replace

    async def losing(manifest: object) -> object:
        await sent(manifest)  # type: ignore[arg-type]  # passed on as it came
        raise refusal(500, MAIN, "update", message="etcdserver: request timed out")

    at.cluster.replace = losing  # type: ignore[method-assign,assignment]  # loses one answer
    await at.handle.inventory.put(at.ctx, [record("b")])
    at.cluster.replace = sent  # type: ignore[method-assign]  # and no other
    await at.handle.inventory.put(at.ctx, [record("c")])
    assert len(at.handle.inventory.records) == 3


@pytest.mark.parametrize("verb", ["create", "delete"])
async def test_a_write_that_is_refused_for_a_moment_is_told_and_sent_again(verb: str) -> None:
    at = world()
    inventory = at.handle.inventory
    at.cluster.fail(verb, MAIN, refusal(503, MAIN, verb, message="etcd is away"), times=2)
    await inventory.put(at.ctx, [record("a")])
    await inventory.delete(at.ctx)
    assert MAIN.key not in at.cluster.objects
    assert [what for what, _ in at.ctx.waits] == ["the API to answer"] * 2
    assert all(str(MAIN) in seen and "again in" in seen for _, seen in at.ctx.waits)
    assert at.ctx.passed.count(f"{verb} {MAIN.key}") == 3


async def test_large_sets_are_spread_and_records_stay_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 2000)
    at = world()
    await at.handle.inventory.put(at.ctx, [record(f"c{n:03}") for n in range(25)])
    shards = [key for key in at.cluster.objects if "matrix-install-inventory" in key]
    assert len(shards) >= 3
    assert all(len(at.cluster.objects[k]["data"]["inventory"]) < 2100 for k in shards)
    assert {key for key in shards} <= set(standing_targets(INSTALL))
    again = fresh(at)
    await again.load()
    assert len(again.records) == 25
    at.cluster.calls.clear()
    await again.put(at.ctx, [record("c000", generation=2)])
    assert at.cluster.writes == (f"replace {MAIN.key}",)


async def test_a_newer_format_is_refused() -> None:
    at = world()
    await at.handle.inventory.put(at.ctx, [record("a")])
    data = json.loads(at.cluster.objects[MAIN.key]["data"]["inventory"])
    at.cluster.objects[MAIN.key]["data"]["inventory"] = json.dumps({**data, "format": 99})
    with pytest.raises(InstallError, match="INVENTORY-NEWER"):
        await fresh(at).load()


@pytest.mark.parametrize("text", ["{", '{"format": 1, "uid": "uid-of-install", "objects": [[1]]}'])
async def test_a_damaged_one_is_told(text: str) -> None:
    at = world()
    await at.handle.inventory.put(at.ctx, [record("a")])
    at.cluster.objects[MAIN.key]["data"]["inventory"] = text
    with pytest.raises(InstallError, match="INVENTORY-DAMAGED"):
        await fresh(at).load()


async def test_that_of_another_install_with_our_id_is_refused() -> None:
    at = world()
    await at.handle.inventory.put(at.ctx, [record("a")])
    with pytest.raises(InstallError, match="FOREIGN-OWNER"):
        await Inventory(at.cluster, INSTALL, "another", at.handle.retry).load()


async def test_what_other_installs_list_is_known() -> None:
    at = world()
    await Inventory(at.cluster, "zz", "uid-zz", at.handle.retry).put(at.ctx, [record("theirs")])
    await at.handle.inventory.put(at.ctx, [record("ours")])
    assert await listed_by_others(at.cluster, INSTALL) == {record("theirs").ref.key}
