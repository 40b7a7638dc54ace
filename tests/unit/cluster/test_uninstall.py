"""Uninstall: what stays is listed and stays, what goes goes in order and is really gone."""

import json
from typing import Any

import pytest

from installer.cluster.inventory import Inventory, shard_ref, standing_targets
from installer.cluster.records import Record
from installer.cluster.uninstall import LeaseUntilRemoved, uninstall_steps
from installer.cluster.uninstall_survey import (
    UninstallMode,
    UninstallSurvey,
    survey_uninstall,
)
from installer.core.errors import InstallError
from installer.core.objects import LABEL_INSTALL, Manifest, ObjectRef
from installer.core.step import Finding
from tests.unit.cluster.memory_answers import Kill, Killed
from tests.unit.cluster.runs import installed, run, settle, steps_of, the_waves
from tests.unit.cluster.waves import config, namespace
from tests.unit.cluster.world import INSTALL, World, ours

KEEP, DESTROY = UninstallMode.KEEP_DATA, UninstallMode.DESTROY
CRD = "apiextensions.k8s.io/v1"


def stateful() -> Manifest:
    template = {"metadata": {"name": "data"}, "spec": {}}
    return ours("apps/v1", "StatefulSet", "db", spec={"volumeClaimTemplates": [template]})


def claim(at: World, name: str = "data-db-0", namespace: str = "mx-app") -> Manifest:
    """As a StatefulSet's controller makes it: our label, not our mark."""
    return at.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {LABEL_INSTALL: INSTALL},
            },
            "spec": {"volumeName": f"pv-{name}"},
        }
    )


async def a_database() -> World:
    """One namespace with a volume, one without."""
    at = await installed(
        config(), stateful(), ours("v1", "Namespace", "mx-web", ""), config_in("mx-web")
    )
    at.cluster.status(ObjectRef.of(stateful()), {})
    claim(at)
    return at


def config_in(space: str) -> Manifest:
    return ours("v1", "ConfigMap", "settings", space, data={"a": "1"})


@pytest.fixture(autouse=True)
def _all_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about readiness."""

    async def ready(*_: Any, **__: Any) -> tuple[str, ...]:
        return ()

    monkeypatch.setattr("installer.cluster.steps.wait_ready", ready)


async def uninstall(
    at: World, mode: UninstallMode, *accepted: str
) -> tuple[UninstallSurvey, list[str]]:
    found = await survey_uninstall(at.again(), mode)
    again = UninstallSurvey.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    changed = await run(at, uninstall_steps(at.again(), found, frozenset(accepted)))
    return found, changed


async def test_keep_data_leaves_volumes_and_their_namespaces_and_says_so() -> None:
    at = await a_database()
    found, _ = await uninstall(at, KEEP)
    assert found.stays == (
        "PersistentVolumeClaim data-db-0 in mx-app: a volume with data",
        "Namespace mx-app: holds data-db-0",
        "Namespace mx-install: the inventory, with which a later install goes on",
    )
    assert set(at.cluster.objects) == {
        "namespace/-/mx-app",
        "persistentvolumeclaim/mx-app/data-db-0",
        "namespace/-/mx-install",
        shard_ref(INSTALL, 0).key,
    }
    assert list(at.handle.inventory.records) == ["namespace/-/mx-app"]


async def test_things_go_in_reverse_order() -> None:
    at = await a_database()
    await uninstall(at, KEEP)
    deletions = [call for call in at.cluster.calls if call.verb == "delete"]
    kinds = [call.key.split("/")[0] for call in deletions]
    assert kinds == ["statefulset.apps", "configmap", "configmap", "namespace"]
    # Its pods are gone before what they use goes.
    assert deletions[0].options["propagation"] == "Foreground"


async def test_an_install_after_it_adopts_what_stayed() -> None:
    at = await a_database()
    await uninstall(at, KEEP)
    uid = at.cluster.objects["namespace/-/mx-app"]["metadata"]["uid"]
    await settle(at)
    await run(at, steps_of(at.again(), the_waves(config(), stateful())))
    assert at.cluster.objects["namespace/-/mx-app"]["metadata"]["uid"] == uid
    assert ObjectRef.of(stateful()).key in at.cluster.objects


async def test_destroy_wants_each_name_that_holds_data() -> None:
    at = await a_database()
    found = await survey_uninstall(at.again(), DESTROY)
    assert found.confirm == ("mx-app",)
    with pytest.raises(InstallError, match="CONSENT-MISSING") as caught:
        uninstall_steps(at.again(), found)
    assert "mx-app" in caught.value.cause
    steps = uninstall_steps(at.handle, found, frozenset({"mx-app"}))
    assert {name for step in steps for name in step.planned.destroys} == {"mx-app"}


async def test_destroy_leaves_nothing_that_we_made() -> None:
    at = await a_database()
    at.cluster.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "somebody-elses"}}
    )
    _, changed = await uninstall(at, DESTROY, "mx-app")
    assert set(at.cluster.objects) == {"namespace/-/somebody-elses"}
    assert changed[-1] == "namespace/-/mx-install"
    order = [w.split()[1] for w in at.cluster.verbs("delete")]
    claim_at = order.index("persistentvolumeclaim/mx-app/data-db-0")
    assert order.index("statefulset.apps/mx-app/db") < claim_at
    assert claim_at < order.index("namespace/-/mx-app")


async def test_volumes_that_are_retained_are_named() -> None:
    at = await a_database()
    at.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "pv-1"},
            "spec": {
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": "mx-app", "name": "data-db-0"},
            },
        }
    )
    found = await survey_uninstall(at.again(), DESTROY)
    assert found.stays == (
        "PersistentVolume pv-1: its reclaim policy is Retain; it still holds the data of "
        "mx-app/data-db-0",
    )


async def test_a_finalizer_that_nobody_removes_is_named_with_its_owner() -> None:
    at = await a_database()
    at.cluster.objects[ObjectRef.of(config()).key]["metadata"]["finalizers"] = ["a.example.org/x"]
    with pytest.raises(InstallError, match="OBJECT-STUCK") as caught:
        await uninstall(at, KEEP)
    assert "the controller of a.example.org must remove it" in caught.value.cause
    assert at.handle.inventory.get(ObjectRef.of(config())) is not None


async def test_a_shared_object_goes_only_with_its_last_install() -> None:
    at = await installed(config())
    record = at.handle.inventory.get(ObjectRef.of(config()))
    assert isinstance(record, Record)
    at.again()
    other = Inventory(at.cluster, "zz", "uid-zz", at.handle.retry)
    await other.put(at.ctx, [record])
    found, _ = await uninstall(at, KEEP)
    assert found.stays[0] == (
        "ConfigMap settings in mx-app: another install in this cluster uses it too"
    )
    assert record.ref.key not in [item.ref.key for item in found.removes]
    assert at.handle.inventory.get(record.ref) is None


async def test_pods_of_others_keep_a_namespace_or_need_its_name_typed() -> None:
    at = await installed(config())
    at.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "theirs", "namespace": "mx-app"},
        }
    )
    found = await survey_uninstall(at.again(), KEEP)
    assert found.stays[0] == "Namespace mx-app: holds somebody else's pod theirs"
    assert (await survey_uninstall(at.again(), DESTROY)).confirm == ("mx-app",)


async def test_a_definition_with_objects_of_others_stays_or_is_confirmed() -> None:
    spec = {"group": "example.org", "names": {"kind": "Thing"}, "versions": [{"name": "v1"}]}
    definition = ours(CRD, "CustomResourceDefinition", "things.example.org", "", spec=spec)
    at = await installed(definition)
    at.cluster.put(
        {
            "apiVersion": "example.org/v1",
            "kind": "Thing",
            "metadata": {"name": "theirs", "namespace": "other"},
        }
    )
    found = await survey_uninstall(at.again(), KEEP)
    assert (
        "CustomResourceDefinition things.example.org: defines Thing theirs in other" in found.stays
    )
    assert (await survey_uninstall(at.again(), DESTROY)).confirm == ("things.example.org",)


async def test_a_database_resource_stays_with_its_namespace_and_definition() -> None:
    spec = {
        "group": "postgresql.cnpg.io",
        "names": {"kind": "Cluster"},
        "versions": [{"name": "v1"}],
    }
    name = "clusters.postgresql.cnpg.io"
    definition = ours(CRD, "CustomResourceDefinition", name, "", spec=spec)
    database = ours("postgresql.cnpg.io/v1", "Cluster", "pg", spec={})
    at = await installed(definition, database)
    found = await survey_uninstall(at.again(), KEEP)
    assert [item.ref.kind for item in found.removes] == []
    assert (await survey_uninstall(at.again(), DESTROY)).confirm == ("pg",)


@pytest.mark.parametrize("before", [True, False])
async def test_killed_anywhere_it_ends_the_same(before: bool) -> None:
    number = 0
    while True:
        number += 1
        at = await a_database()
        found = await survey_uninstall(at.again(), DESTROY)
        accepted = frozenset({"mx-app"})
        at.cluster.kill = Kill(number, before)
        try:
            await run(at, uninstall_steps(at.again(), found, accepted))
        except Killed:
            at.cluster.kill = None
            await run(at, uninstall_steps(at.again(), found, accepted))
            assert at.cluster.objects == {}
        else:
            break
    assert number > 8


async def test_probes_of_a_finished_uninstall_find_nothing() -> None:
    at = await a_database()
    found, _ = await uninstall(at, KEEP)
    steps = uninstall_steps(at.again(), found)
    assert [(await step.probe(at.ctx)).finding for step in steps] == [Finding.SAME] * len(steps)


async def test_every_write_is_planned_or_standing() -> None:
    at = await a_database()
    found = await survey_uninstall(at.again(), DESTROY)
    steps = uninstall_steps(at.handle, found, frozenset({"mx-app"}))
    allowed = {key for step in steps for key in step.planned.targets}
    await run(at, steps)
    assert {w.split()[1] for w in at.cluster.writes} <= allowed | set(standing_targets(INSTALL))
    assert ObjectRef.of(namespace()).key in allowed


class TestLease:
    class Lost:
        released = False

        async def acquire(self) -> None: ...

        def still_held(self) -> bool:
            return False

        async def keep(self) -> None:
            raise InstallError("LEASE-LOST", "lost", "deleted", "resume")

        async def release(self) -> None:
            self.released = True

    async def test_its_end_is_a_loss_until_we_removed_it_ourselves(self) -> None:
        at = await installed()
        inner = self.Lost()
        lease = LeaseUntilRemoved(inner, at.handle)
        with pytest.raises(InstallError, match="LEASE-LOST"):
            await lease.keep()
        assert not lease.still_held()
        at.handle.control_removed = True
        await lease.keep()
        await lease.release()
        assert lease.still_held()
        assert not inner.released
