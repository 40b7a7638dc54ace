"""One wave: what is written, what is left alone, and what is done about each objection."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from installer.cluster.apply import apply_wave
from installer.cluster.failures import ApiFailure
from installer.cluster.handle import Consents
from installer.cluster.inventory import shard_ref
from installer.cluster.records import RecordState
from installer.cluster.waiting import wait_ready
from installer.core.errors import InstallError
from installer.core.objects import ANNOTATION_OWNER, ObjectRef
from tests.unit.cluster.api_failures import caused, no_such_api, refusal
from tests.unit.cluster.memory_answers import Rule
from tests.unit.cluster.waves import config, deployment, install, namespace, rerun, wave
from tests.unit.cluster.world import INSTALL, World, ours, world

INVENTORY = shard_ref(INSTALL, 0).key


async def test_each_object_is_written_once_and_recorded_before_and_after() -> None:
    at = world()
    await install(at, config(), deployment())
    cm, dep = ObjectRef.of(config()), ObjectRef.of(deployment())
    assert [w for w in at.cluster.writes if "namespace/" not in w] == [
        f"create {INVENTORY}",
        f"replace {INVENTORY}",
        f"replace {INVENTORY}",
        f"apply {cm.key}",
        f"apply {dep.key}",
        f"replace {INVENTORY}",
    ]
    record = at.handle.inventory.get(dep)
    assert record is not None
    assert (record.generation, record.state) == (1, RecordState.APPLIED)
    assert record.uid == at.cluster.objects[dep.key]["metadata"]["uid"]


async def test_every_write_passes_the_gate() -> None:
    at = world()
    await install(at, config(), deployment())
    sent = [w.replace("replace", "update") for w in at.cluster.writes]
    assert at.ctx.passed == sent


async def test_a_second_run_writes_nothing_and_asks_once_a_kind() -> None:
    at = world()
    many = [config(f"c{n}") for n in range(5)] + [deployment(f"d{n}") for n in range(5)]
    await install(at, *many)
    result = await rerun(at, *many)
    assert result.changed == ()
    assert len(result.unchanged) == 10
    assert at.cluster.writes == ()
    assert at.cluster.verbs("dry-run", "get") == ()
    kinds = [call.key for call in at.cluster.calls if call.verb == "list"]
    assert sorted(kinds) == ["apps/v1/Deployment", "v1/ConfigMap", "v1/ConfigMap"]  # + inventory


async def test_defaults_of_the_server_are_no_difference() -> None:
    at = world()
    at.cluster.defaults = lambda m: m.setdefault("immutable", False)
    await install(at, config(), deployment())
    assert (await rerun(at, config(), deployment())).changed == ()


async def test_only_what_differs_is_written() -> None:
    at = world()
    await install(at, config(), deployment())
    changed = config(a="2")
    result = await rerun(at, changed, deployment())
    assert result.changed == (ObjectRef.of(changed).key,)
    assert at.cluster.verbs("apply") == (f"apply {ObjectRef.of(changed).key}",)
    assert 'ConfigMap settings in mx-app: data.a: "1" -> "2"' in at.ctx.lines


async def test_an_edited_object_without_generation_is_noticed_by_its_fields() -> None:
    at = world()
    await install(at, config())
    at.cluster.edit(ObjectRef.of(config()), ("data", "a"), "9", "kubectl-edit")
    with pytest.raises(InstallError, match="FIELD-CONFLICT") as caught:
        await rerun(at, config())
    assert ".data.a is set by kubectl-edit" in caught.value.cause
    assert at.cluster.objects[ObjectRef.of(config()).key]["data"]["a"] == "9"


async def test_an_edit_that_the_plan_showed_is_set_back() -> None:
    at = world()
    await install(at, config())
    ref = ObjectRef.of(config())
    at.cluster.edit(ref, ("data", "a"), "9", "kubectl-edit")
    shown = Consents(take_back=frozenset({ref.key}))
    result = await rerun(at, config(), consents=shown)
    assert result.changed == (ref.key,)
    assert result.details == (
        'ConfigMap settings in mx-app: data.a: "9" -> "1" (set by kubectl-edit)',
    )
    assert at.cluster.objects[ref.key]["data"]["a"] == "1"


async def test_a_raised_generation_is_asked_about_by_a_dry_run() -> None:
    at = world()
    await install(at, deployment())
    ref = ObjectRef.of(deployment())
    at.cluster.edit(ref, ("spec", "paused"), True, "kubectl-edit")
    result = await rerun(at, deployment())
    # Another manager's own field is not ours to remove: the dry run shows nothing to do.
    assert result.changed == ()
    assert at.cluster.verbs("dry-run") == (f"dry-run {ref.key}",)
    assert at.cluster.writes == ()


async def test_a_removed_label_is_put_back_although_the_generation_is_equal() -> None:
    at = world()
    manifest = deployment()
    manifest["metadata"]["labels"]["team"] = "chat"
    await install(at, manifest)
    live = at.cluster.objects[ObjectRef.of(manifest).key]
    del live["metadata"]["labels"]["team"]
    result = await rerun(at, manifest)
    assert result.changed == (ObjectRef.of(manifest).key,)


async def test_an_object_made_again_by_somebody_is_asked_about() -> None:
    at = world()
    await install(at, deployment())
    ref = ObjectRef.of(deployment())
    at.cluster.drop(ref)
    at.cluster.put(deployment(), "kubectl-create")
    assert (await rerun(at, deployment())).changed == ()
    assert at.cluster.verbs("dry-run") == (f"dry-run {ref.key}",)
    record = at.handle.inventory.get(ref)
    assert record is not None
    assert record.uid == at.cluster.objects[ref.key]["metadata"]["uid"]


async def test_an_intended_write_is_never_assumed_to_be_done() -> None:
    at = world()
    await install(at, deployment())
    ref = ObjectRef.of(deployment())
    record = at.handle.inventory.get(ref)
    assert record is not None
    await at.handle.inventory.put(at.ctx, [replace(record, state=RecordState.INTENDED)])
    await rerun(at, deployment())
    assert at.cluster.verbs("dry-run") == (f"dry-run {ref.key}",)
    assert at.handle.inventory.get(ref) == record


async def test_values_of_a_secret_are_masked_in_differences() -> None:
    at = world()
    planned = ours("v1", "Secret", "key", stringData={"k": "hmac:1"})
    await install(at, planned)
    changed = ours("v1", "Secret", "key", stringData={"k": "hmac:2"})
    real = {**changed, "stringData": {"k": "s3cret-value"}}
    handle = at.again()
    await apply_wave(handle, at.ctx, wave(changed), [real])
    assert at.ctx.lines == ["Secret key in mx-app: data.k: [secret] differs"]
    assert at.cluster.objects["secret/mx-app/key"]["data"] == {"k": "czNjcmV0LXZhbHVl"}


async def test_at_most_eight_are_in_flight() -> None:
    at = world()
    await install(at, *(config(f"c{n}") for n in range(40)))
    # The limit starts at eight and may grow by successes, never beyond its ceiling.
    assert 4 <= at.cluster.most_in_flight <= 16


async def test_kinds_are_written_in_order() -> None:
    at = world()
    objects = (
        ours("cert-manager.io/v1", "Certificate", "tls", spec={}),
        deployment(),
        ours("rbac.authorization.k8s.io/v1", "RoleBinding", "b", roleRef={}),
        ours("rbac.authorization.k8s.io/v1", "Role", "r", rules=[]),
    )
    await install(at, *objects)
    kinds = [w.split(" ")[1].split("/")[0] for w in at.cluster.verbs("apply")[1:]]
    assert [k.split(".")[0] for k in kinds] == ["role", "rolebinding", "deployment", "certificate"]


async def test_rights_in_our_namespaces_alone_are_enough() -> None:
    at = world()
    await install(at, config(), deployment())
    at.cluster.narrow = True
    assert (await rerun(at, config(), deployment())).changed == ()
    assert at.cluster.writes == ()
    assert len((await rerun(at, config(a="2"), config("new"))).changed) == 2
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    at.cluster.status(ObjectRef.of(deployment()), {**status, "availableReplicas": 2})
    await rerun(at, deployment())
    await wait_ready(at.handle, at.ctx, [deployment()])
    claim = ours("v1", "PersistentVolumeClaim", "data", spec={})
    await rerun(at, claim)
    at.cluster.status(ObjectRef.of(claim), {"phase": "Pending"})
    await wait_ready(at.handle, at.ctx, [claim])


async def test_reads_that_fail_for_a_passing_reason_are_repeated() -> None:
    at = world()
    await install(at, config())
    at.again()
    for key in ("v1/ConfigMap", "v1/Namespace"):
        failure = refusal(503, key, "list", message="shutting down")
        at.cluster.rules.append(Rule("list", key, partial(_give, failure), times=2))
    result = await apply_wave(
        at.handle, at.ctx, wave(config(), config("b")), [config(), config("b")]
    )
    assert len(result.changed) == 1


def _give(failure: ApiFailure) -> ApiFailure:
    return failure


async def test_a_list_that_was_under_way_during_a_write_is_not_kept() -> None:
    at = world()
    await install(at)
    at.again()
    ref = ObjectRef.of(config())
    written = Rule("list", "v1/ConfigMap", lambda: at.handle.snapshot.forget([ref]))
    at.cluster.rules.append(written)
    for asked in (1, 2, 2):
        await at.handle.snapshot.find([ref])
        assert at.cluster.verbs("list").count("list v1/ConfigMap") == asked


class TestForeignObjects:
    async def test_one_that_exists_without_our_uid_is_refused_with_its_owner(self) -> None:
        at = world()
        await install(at)
        theirs = ours("v1", "ConfigMap", "settings", data={"a": "x"})
        theirs["metadata"]["annotations"] = {
            "meta.helm.sh/release-name": "matrix",
            "meta.helm.sh/release-namespace": "old",
        }
        del theirs["metadata"]["labels"]
        at.cluster.put(theirs)
        with pytest.raises(InstallError, match="FOREIGN-OWNER") as caught:
            await rerun(at, config(), deployment())
        assert "the Helm release 'matrix' in namespace 'old'" in caught.value.cause
        assert at.cluster.writes == ()  # not even the other object of the wave

    async def test_another_install_of_the_same_id_is_foreign(self) -> None:
        at = world()
        await install(at, config())
        key = ObjectRef.of(config()).key
        at.cluster.objects[key]["metadata"]["annotations"][ANNOTATION_OWNER] = "other"
        with pytest.raises(InstallError, match="FOREIGN-OWNER"):
            await rerun(at, config())

    async def test_consent_adopts_it(self) -> None:
        at = world()
        await install(at)
        at.cluster.put({**config(a="x"), "metadata": {"name": "settings", "namespace": "mx-app"}})
        key = ObjectRef.of(config()).key
        await rerun(at, config(), consents=Consents(adopt=frozenset({key})))
        assert at.cluster.objects[key]["data"] == {"a": "1"}
        assert at.handle.inventory.get(ObjectRef.of(config())) is not None


class TestObjections:
    async def test_overload_is_retried_each_time_through_the_gate(self) -> None:
        at = world()
        ref = ObjectRef.of(config())
        at.cluster.fail("apply", ref, refusal(429, ref, message="too many"), times=3)
        await install(at, config())
        assert at.ctx.passed.count(f"apply {ref.key}") == 4
        assert any("the API to answer" in what for what, _ in at.ctx.waits)

    async def test_a_webhook_that_is_down_is_retried_within_bounds_and_named(self) -> None:
        at = world()
        ref = ObjectRef.of(config())
        down = refusal(500, ref, message='failed calling webhook "policy.example.org": refused')
        at.cluster.fail("apply", ref, down, times=10_000)
        with pytest.raises(InstallError, match="API-WEBHOOK-DOWN") as caught:
            await install(at, config())
        assert "policy.example.org" in caught.value.cause
        assert at.clock.passed < 1000

    async def test_an_unknown_field_is_never_retried(self) -> None:
        at = world()
        ref = ObjectRef.of(config())
        text = "failed to create typed patch object: .spec.x: field not declared in schema"
        at.cluster.fail("apply", ref, refusal(500, ref, message=text), times=9)
        with pytest.raises(InstallError, match="API-UNKNOWN-FIELD"):
            await install(at, config())
        assert at.ctx.passed.count(f"apply {ref.key}") == 1

    async def test_a_missing_kind_is_waited_for(self) -> None:
        at = world()
        certificate = ours("cert-manager.io/v1", "Certificate", "tls", spec={})
        ref = ObjectRef.of(certificate)
        at.cluster.fail("apply", ref, no_such_api(ref))
        await install(at, certificate)
        assert ref.key in at.cluster.objects

    async def test_a_kind_that_stays_missing_is_told(self) -> None:
        at = world()
        at.cluster.absent_kinds = {"Certificate"}
        with pytest.raises(InstallError, match="CRD-MISSING"):
            await install(at, ours("cert-manager.io/v1", "Certificate", "tls", spec={}))
        assert 60 <= at.clock.passed < 80

    async def test_replicas_of_an_autoscaler_are_no_longer_sent(self) -> None:
        at = world()
        await install(at, deployment())
        ref = ObjectRef.of(deployment())
        at.cluster.edit(ref, ("spec", "replicas"), 5, "kube-controller-manager")
        result = await rerun(at, deployment())
        assert at.cluster.objects[ref.key]["spec"]["replicas"] == 5
        assert result.changed == ()

    async def test_replicas_of_a_person_stop_the_run(self) -> None:
        at = world()
        await install(at, deployment())
        at.cluster.edit(ObjectRef.of(deployment()), ("spec", "replicas"), 5, "kubectl")
        with pytest.raises(InstallError, match="FIELD-CONFLICT"):
            await rerun(at, deployment())

    async def test_fields_of_an_older_manager_of_ours_are_taken_over(self) -> None:
        at = world()
        await install(at, deployment())
        ref = ObjectRef.of(deployment())
        at.cluster.edit(ref, ("spec", "replicas"), 5, "matrix-install-0.1")
        await rerun(at, deployment())
        assert at.cluster.objects[ref.key]["spec"]["replicas"] == 2

    async def test_an_object_on_its_way_out_is_waited_for_and_made_anew(self) -> None:
        at = world()
        await install(at, config())
        ref = ObjectRef.of(config())
        live = at.cluster.objects[ref.key]
        live["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
        live["metadata"]["finalizers"] = ["example.org/hold"]
        at.cluster.rules.append(_dropping(at, ref, after=3))
        await rerun(at, config())
        assert at.cluster.objects[ref.key]["metadata"]["uid"] != live["metadata"]["uid"]
        assert any("finalizer example.org/hold" in seen for _, seen in at.ctx.waits)

    async def test_a_stuck_object_names_who_holds_it(self) -> None:
        at = world()
        await install(at, config())
        live = at.cluster.objects[ObjectRef.of(config()).key]
        live["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
        live["metadata"]["finalizers"] = ["example.org/hold"]
        with pytest.raises(InstallError, match="OBJECT-STUCK") as caught:
            await rerun(at, config())
        assert "the controller of example.org must remove it" in caught.value.cause
        assert 120 <= at.clock.passed < 130

    async def test_a_stuck_namespace_tells_what_remains_in_it(self) -> None:
        at = world()
        await install(at)
        live = at.cluster.objects["namespace/-/mx-app"]
        live["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
        live["status"] = {
            "phase": "Terminating",
            "conditions": [
                {
                    "type": "NamespaceFinalizersRemaining",
                    "status": "True",
                    "message": "example.org/hold in 1 resource instances",
                }
            ],
        }
        with pytest.raises(InstallError, match="NAMESPACE-STUCK") as caught:
            await rerun(at, namespace())
        assert "example.org/hold in 1 resource instances" in caught.value.cause
        assert 300 <= at.clock.passed < 310

    async def test_a_namespace_deleted_in_between_is_told_and_waited_for(self) -> None:
        at = world()
        await install(at)
        ref = ObjectRef.of(config())
        gone = caused(403, ref, ("NamespaceTerminating", "metadata.namespace", "terminating"))
        at.cluster.fail("apply", ref, gone)
        with pytest.raises(InstallError, match="NAMESPACE-DELETED"):
            await rerun(at, config())


def _dropping(at: World, ref: ObjectRef, after: int) -> Any:
    left = [after]

    def act() -> None:
        left[0] -= 1
        if left[0] == 0:
            at.cluster.drop(ref)

    return Rule("get", ref.key, act, times=100)
