"""The steps of an install: pure plans, probes, drift shown, pruning, and the same end."""

import copy

import pytest

from installer.cluster.gates import GateKind
from installer.cluster.handle import ClusterHandle, Consents
from installer.cluster.steps import PRUNE, install_steps, planned_wave
from installer.cluster.survey import survey
from installer.core.errors import InstallError
from installer.core.objects import Gate, Manifest, ObjectRef, ObjectWave
from installer.core.step import Finding
from tests.unit.cluster.api_failures import refusal
from tests.unit.cluster.runs import installed, run, settle, steps_of, surveyed, the_waves
from tests.unit.cluster.waves import config
from tests.unit.cluster.world import ours, world


def test_a_plan_is_pure_and_its_hash_is_over_objects_and_gates() -> None:
    wave = the_waves(config())[1]
    assert planned_wave(wave) == planned_wave(copy.deepcopy(wave))
    assert planned_wave(wave).targets == (ObjectRef.of(config()).key,)
    assert planned_wave(wave).summary == "1 ConfigMap"
    hashes = {
        planned_wave(wave).input_hash,
        planned_wave(the_waves(config(a="2"))[1]).input_hash,
        planned_wave(
            ObjectWave(**{**vars(wave), "gates": (Gate("ready", ObjectRef.of(config()), "it"),)})
        ).input_hash,
    }
    assert len(hashes) == 3
    renamed = ObjectWave(**{**vars(wave), "title": "Other words", "settings_read": ("a.b",)})
    assert planned_wave(renamed).input_hash == planned_wave(wave).input_hash


def test_claims_of_a_stateful_set_are_targets() -> None:
    template = {"metadata": {"name": "data"}, "spec": {}}
    spec = {"replicas": 2, "volumeClaimTemplates": [template]}
    wave = the_waves(ours("apps/v1", "StatefulSet", "db", spec=spec))[1]
    assert planned_wave(wave).targets == (
        "statefulset.apps/mx-app/db",
        "persistentvolumeclaim/mx-app/data-db-0",
        "persistentvolumeclaim/mx-app/data-db-1",
    )


async def test_probe_tells_absent_same_and_differs() -> None:
    at = world()
    steps = steps_of(at.handle, the_waves(config()))
    assert [(await step.probe(at.ctx)).finding for step in steps] == [Finding.ABSENT] * 2
    at = await installed(config())
    steps = steps_of(at.again(), the_waves(config()))
    assert [(await step.probe(at.ctx)).finding for step in steps] == [Finding.SAME] * 2
    at.cluster.edit(ObjectRef.of(config()), ("data", "a"), "9", "kubectl-edit")
    found = await steps_of(at.again(), the_waves(config()))[1].probe(at.ctx)
    assert found.finding is Finding.DIFFERS
    assert found.details == (
        'ConfigMap settings in mx-app: data.a: "9" -> "1" (set by kubectl-edit)',
    )
    assert at.cluster.writes == ()


async def test_a_second_run_changes_nothing() -> None:
    at = await installed(config())
    assert await run(at, steps_of(at.again(), the_waves(config()))) == []
    assert at.cluster.writes == ()


async def test_the_survey_shows_what_a_plan_will_do() -> None:
    at = await installed(config("a"), config("b"))
    at.cluster.edit(ObjectRef.of(config("a")), ("data", "a"), "9", "kubectl-edit")
    found = await surveyed(at, config("a"), config("c"))
    assert [item.ref.name for item in found.new] == ["c"]
    assert [item.ref.name for item in found.changed] == ["a"]
    assert [item.ref.name for item in found.unchanged] == ["mx-app"]
    assert [item.ref.name for item in found.prune] == ["b"]
    assert not found.nothing_to_do
    assert found.lines() == (
        'ConfigMap a in mx-app: data.a: "9" -> "1" (set by kubectl-edit)',
        "ConfigMap b in mx-app is removed: no longer wanted",
    )
    assert at.cluster.writes == ()


async def test_approval_of_shown_drift_lets_it_be_set_back() -> None:
    at = await installed(config())
    ref = ObjectRef.of(config())
    at.cluster.edit(ref, ("data", "a"), "9", "kubectl-edit")
    found = await surveyed(at, config())
    consents = Consents.from_json(found.consents().to_json())
    assert consents.take_back == {ref.key}
    await run(at, steps_of(at.again(consents), the_waves(config())))
    assert at.cluster.objects[ref.key]["data"] == {"a": "1"}


async def test_an_edit_after_the_plan_stops_the_run() -> None:
    at = await installed(config())
    consents = (await surveyed(at, config())).consents()
    at.cluster.edit(ObjectRef.of(config()), ("data", "a"), "9", "kubectl-edit")
    with pytest.raises(InstallError, match="FIELD-CONFLICT"):
        await run(at, steps_of(at.again(consents), the_waves(config())))


async def test_foreign_objects_are_found_for_the_whole_plan_before_any_write() -> None:
    at = await installed()
    for name in ("a", "b"):
        at.cluster.put({**config(name), "metadata": {"name": name, "namespace": "mx-app"}})
    found = (await survey(at.again(), the_waves(config("a"), config("b")))).foreign
    assert [item.ref.name for item in found] == ["a", "b"]
    assert "kubectl-create" in found[0].owner
    assert at.cluster.writes == ()


async def test_secrets_are_judged_without_their_values() -> None:
    secret = ours("v1", "Secret", "key", stringData={"k": "hmac:1"})
    at = world()
    await settle(at)
    waves = the_waves(secret)
    real = {wave.id: wave.objects for wave in waves}
    real["app/1"] = ({**secret, "stringData": {"k": "value"}},)
    await run(at, install_steps(waves, lambda wave: real[wave], at.handle))
    assert (await survey(at.again(), waves)).nothing_to_do
    at.cluster.edit(ObjectRef.of(secret), ("data", "k"), "b3RoZXI=", "kubectl-edit")
    found = await survey(at.again(), waves)
    assert found.changed[0].lines == ("its values differ (set by kubectl-edit)",)


class TestPruning:
    async def test_removes_by_uid_what_is_no_longer_wanted(self) -> None:
        at = await installed(config("a"), config("b"))
        found = await surveyed(at, config("a"))
        steps = steps_of(at.again(), the_waves(config("a")), found.prune)
        key = ObjectRef.of(config("b")).key
        assert steps[-1].planned.id == PRUNE
        assert steps[-1].planned.targets == (key,)
        assert steps[-1].planned.cannot_undo == ("ConfigMap b in mx-app is deleted",)
        uid = at.cluster.objects[key]["metadata"]["uid"]
        assert await run(at, steps) == [key]
        assert next(c for c in at.cluster.calls if c.verb == "delete").options["uid"] == uid
        assert key not in at.cluster.objects
        assert at.handle.inventory.get(ObjectRef.of(config("b"))) is None
        assert (await surveyed(at, config("a"))).nothing_to_do

    @pytest.mark.parametrize(
        "manifest",
        [
            ours("v1", "PersistentVolumeClaim", "data", spec={}),
            ours("v1", "Namespace", "mx-other", ""),
            ours("postgresql.cnpg.io/v1", "Cluster", "pg", spec={}),
            ours("apiextensions.k8s.io/v1", "CustomResourceDefinition", "c.d", "", spec={}),
        ],
    )
    async def test_never_takes_data_without_consent(self, manifest: Manifest) -> None:
        at = world()
        await settle(at)
        await at.handle.inventory.load()
        waves = the_waves(manifest)
        for step in steps_of(at.handle, waves):
            await step.apply(at.ctx)
        found = await surveyed(at)
        assert found.prune == ()
        assert [item.ref.kind for item in found.kept] == [manifest["kind"]]
        key = ObjectRef.of(manifest).key
        allowed = await surveyed(at, consents=Consents(destroy=frozenset({key})))
        assert [item.ref.key for item in allowed.prune] == [key]
        assert steps_of(at.handle, the_waves(), allowed.prune)[-1].planned.destroys == (key,)

    async def test_goes_in_the_reverse_order_of_kinds(self) -> None:
        service = ours("v1", "Service", "web", spec={"type": "ClusterIP"})
        hook = ours("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "hook", "")
        certificate = ours("cert-manager.io/v1", "Issuer", "ca", spec={})
        at = await installed()
        for step in steps_of(at.again(), the_waves(service, hook, certificate)):
            await step.apply(at.ctx)
        found = await surveyed(at)
        await run(at, steps_of(at.again(), the_waves(), found.prune))
        gone = [w.split()[1].split(".")[0].split("/")[0] for w in at.cluster.verbs("delete")]
        assert gone == ["issuer", "validatingwebhookconfiguration", "service"]

    async def test_leaves_what_somebody_else_made_anew_under_that_name(self) -> None:
        at = await installed(config("a"), config("b"))
        ref = ObjectRef.of(config("b"))
        at.cluster.drop(ref)
        at.cluster.put({**config("b"), "metadata": {"name": "b", "namespace": "mx-app"}})
        found = await surveyed(at, config("a"))
        await run(at, steps_of(at.again(), the_waves(config("a")), found.prune))
        assert ref.key in at.cluster.objects
        assert at.handle.inventory.get(ref) is None


async def test_webhook_gate_waits_for_a_dry_run_to_pass() -> None:
    guarded = ours("cert-manager.io/v1", "Certificate", "probe", spec={})
    ref = ObjectRef.of(guarded)
    at = await installed()
    down = refusal(500, ref, message='failed calling webhook "w.example.org": refused')
    at.cluster.fail("dry-run", ref, down, times=3)
    gate = Gate("webhook", ref, "the webhook to answer", 60, {"manifest": guarded})
    wave = ObjectWave("w", "c", "t", "Main", (), (), (gate,))
    await steps_of(at.again(), (wave,))[0].verify(at.ctx)
    assert at.clock.sleeps[-3:] == [2.0, 2.0, 2.0]
    assert ref.key not in at.cluster.objects
    at.cluster.fail("dry-run", ref, down, times=1000)
    with pytest.raises(InstallError, match="WEBHOOK-NOT-READY") as caught:
        await steps_of(at.again(), (wave,))[0].verify(at.ctx)
    assert "w.example.org" in caught.value.title


async def test_gates_of_other_rooms_are_handed_in() -> None:
    at = await installed()
    seen: list[str] = []

    async def probe(handle: ClusterHandle, ctx: object, gate: Gate) -> None:
        seen.append(gate.ref.name)

    kind: GateKind = probe
    gate = Gate("https", ObjectRef("v1", "Service", "mx-app", "web"), "an answer")
    wave = ObjectWave("w", "c", "t", "Main", (), (), (gate,))
    (step,) = install_steps((wave,), lambda _: (), at.again(), gate_kinds={"https": kind})
    await step.verify(at.ctx)
    assert seen == ["web"]
    with pytest.raises(InstallError, match="GATE-UNKNOWN"):
        await steps_of(at.handle, (wave,))[0].verify(at.ctx)
