"""Changes of fields that the API does not let change, kind by kind."""

import pytest

from installer.cluster.failures import ApiFailure
from installer.cluster.handle import Consents
from installer.cluster.survey import refused_changes, survey
from installer.core.errors import InstallError
from installer.core.objects import Manifest, ObjectRef
from tests.unit.cluster.api_failures import caused
from tests.unit.cluster.waves import config, deployment, install, namespace, rerun, wave
from tests.unit.cluster.world import World, ours, world


def immutable(ref: ObjectRef, path: str, reason: str = "FieldValueInvalid") -> ApiFailure:
    return caused(422, ref, (reason, path, "may not change"))


class TestImmutableFields:
    async def test_a_job_is_made_anew(self) -> None:
        at = world()
        job = ours("batch/v1", "Job", "init", spec={"template": {"a": 1}})
        await install(at, job)
        ref, uid = ObjectRef.of(job), at.cluster.objects["job.batch/mx-app/init"]["metadata"]["uid"]
        changed = ours("batch/v1", "Job", "init", spec={"template": {"a": 2}})
        at.cluster.fail("dry-run", ref, immutable(ref, "spec.template"))
        at.cluster.fail("apply", ref, immutable(ref, "spec.template"))
        await rerun(at, changed)
        assert f"delete {ref.key}" in at.ctx.passed
        assert at.cluster.objects[ref.key]["metadata"]["uid"] != uid
        assert at.cluster.objects[ref.key]["spec"]["template"] == {"a": 2}

    async def test_a_failed_job_is_made_anew(self) -> None:
        at = world()
        job = ours("batch/v1", "Job", "init", spec={"template": {"a": 1}})
        await install(at, job)
        at.cluster.status(ObjectRef.of(job), {"conditions": [{"type": "Failed", "status": "True"}]})
        assert (await rerun(at, job)).changed == (ObjectRef.of(job).key,)
        assert "status" not in at.cluster.objects[ObjectRef.of(job).key]

    async def test_a_job_that_finished_and_went_is_not_run_again(self) -> None:
        at = world()
        job = ours("batch/v1", "Job", "init", spec={"ttlSecondsAfterFinished": 60})
        await install(at, job)
        at.cluster.drop(ObjectRef.of(job))
        assert (await rerun(at, job)).changed == ()
        assert at.cluster.writes == ()

    async def test_unless_its_namespace_was_made_anew(self) -> None:
        at = world()
        job = ours("batch/v1", "Job", "init", spec={"ttlSecondsAfterFinished": 60})
        await install(at, job)
        at.cluster.drop(ObjectRef.of(job))
        at.cluster.drop(ObjectRef.of(namespace()))
        at.again()
        await install(at, job)
        assert ObjectRef.of(job).key in at.cluster.objects

    async def test_a_selector_changes_only_with_consent(self) -> None:
        at = world()
        await install(at, deployment(selector={"a": "1"}))
        changed = deployment(selector={"a": "2"})
        ref = ObjectRef.of(changed)
        for verb in ("dry-run", "apply"):
            at.cluster.fail(verb, ref, immutable(ref, "spec.selector"))
        with pytest.raises(InstallError, match="RECREATE-NEEDS-CONSENT"):
            await rerun(at, changed)
        assert f"delete {ref.key}" not in at.ctx.passed
        for verb in ("dry-run", "apply"):
            at.cluster.fail(verb, ref, immutable(ref, "spec.selector"))
        await rerun(at, changed, consents=Consents(recreate=frozenset({ref.key})))
        assert at.cluster.objects[ref.key]["spec"]["selector"] == {"a": "2"}

    async def test_an_immutable_secret_needs_another_name(self) -> None:
        at = world()
        await install(at, config())
        changed = config(a="2")
        ref = ObjectRef.of(changed)
        for verb in ("dry-run", "apply"):
            at.cluster.fail(verb, ref, immutable(ref, "data", "FieldValueForbidden"))
        with pytest.raises(InstallError, match="IMMUTABLE-NEEDS-NEW-NAME"):
            await rerun(at, changed)

    async def test_a_claim_is_never_replaced(self) -> None:
        at = world()
        await install(at)
        claim = ours("v1", "PersistentVolumeClaim", "data", spec={"storageClassName": "a"})
        await rerun(at, claim)
        changed = ours("v1", "PersistentVolumeClaim", "data", spec={"storageClassName": "b"})
        ref = ObjectRef.of(changed)
        for verb in ("dry-run", "apply"):
            at.cluster.fail(verb, ref, immutable(ref, "spec", "FieldValueForbidden"))
        with pytest.raises(InstallError, match="IMMUTABLE-HOLDS-DATA"):
            await rerun(at, changed)
        assert not at.cluster.verbs("delete")


class TestVolumesOfStatefulSets:
    def stateful(self, size: str, storage_class: str = "fast") -> Manifest:
        template = {
            "metadata": {"name": "data"},
            "spec": {
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": size}},
            },
        }
        spec = {"replicas": 2, "volumeClaimTemplates": [template]}
        return ours("apps/v1", "StatefulSet", "db", spec=spec)

    async def changed(self, at: World, manifest: Manifest, *, expandable: bool = True) -> None:
        await install(at, self.stateful("1Gi"))
        at.cluster.put(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "fast"},
                "allowVolumeExpansion": expandable,
            }
        )
        for number in (0, 1):
            at.cluster.put(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": f"data-db-{number}", "namespace": "mx-app"},
                    "spec": {
                        "storageClassName": "fast",
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            )
        ref = ObjectRef.of(manifest)
        for verb in ("dry-run", "apply"):
            at.cluster.fail(verb, ref, immutable(ref, "spec", "FieldValueForbidden"))
        await rerun(at, manifest)

    async def test_grow_in_place_under_a_set_that_is_made_anew_without_its_pods(self) -> None:
        at = world()
        await self.changed(at, self.stateful("2Gi"))
        key = "persistentvolumeclaim/mx-app/data-db-"
        assert [w for w in at.ctx.passed if "inventory" not in w] == [
            "apply statefulset.apps/mx-app/db",
            f"patch {key}0",
            f"patch {key}1",
            "delete statefulset.apps/mx-app/db",
            "apply statefulset.apps/mx-app/db",
        ]
        deletion = next(c for c in at.cluster.calls if c.verb == "delete")
        assert deletion.options["propagation"] == "Orphan"
        size = at.cluster.objects[f"{key}1"]["spec"]["resources"]["requests"]["storage"]
        assert size == "2Gi"

    @pytest.mark.parametrize(
        ("manifest", "expandable", "words"),
        [
            ("512Mi", True, "volumes never shrink"),
            ("2Gi", False, "does not allow volumes to grow"),
        ],
    )
    async def test_are_refused_before_anything_is_deleted(
        self, manifest: str, expandable: bool, words: str
    ) -> None:
        at = world()
        with pytest.raises(InstallError, match="VOLUME-CANNOT-CHANGE") as caught:
            await self.changed(at, self.stateful(manifest), expandable=expandable)
        assert words in caught.value.cause
        assert not at.cluster.verbs("delete", "patch")

    async def test_are_refused_in_the_plan_already(self) -> None:
        at = world()
        with pytest.raises(InstallError, match="VOLUME-CANNOT-CHANGE"):
            await self.changed(at, self.stateful("512Mi"))
        ref = ObjectRef.of(self.stateful("512Mi"))
        at.cluster.fail("dry-run", ref, immutable(ref, "spec", "FieldValueForbidden"))
        found = await survey(at.again(), (wave(self.stateful("512Mi")),))
        refused = refused_changes(found)
        assert refused is not None
        assert refused.code == "CHANGE-REFUSED"
        assert "StatefulSet db in mx-app: it has 1Gi and volumes never shrink" in refused.cause
        assert at.cluster.writes == ()
        assert refused_changes(await survey(at.again(), (wave(self.stateful("1Gi")),))) is None

    async def test_do_not_change_their_class(self) -> None:
        at = world()
        with pytest.raises(InstallError, match="VOLUME-CANNOT-CHANGE"):
            await self.changed(at, self.stateful("1Gi", "slow"))
