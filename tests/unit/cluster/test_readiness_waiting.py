"""Waiting on live objects: stale pictures, reasons told, and failing as soon as pods say why."""

from functools import partial
from typing import Any

import pytest

from installer.cluster.waiting import wait_ready
from installer.core.errors import InstallError
from installer.core.objects import LABEL_INSTALL, Manifest, ObjectRef
from tests.unit.cluster.waves import config, deployment, install
from tests.unit.cluster.world import INSTALL, World, ours, world

UP = {
    "observedGeneration": 1,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}
REVISION = "deployment.kubernetes.io/revision"


def replica_set(at: World, name: str, revision: str) -> str:
    owner = at.cluster.objects["deployment.apps/mx-app/web"]["metadata"]["uid"]
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": "mx-app",
            "labels": {LABEL_INSTALL: INSTALL},
            "annotations": {REVISION: revision},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
    }
    return str(at.cluster.put(manifest)["metadata"]["uid"])


def failing_pod(at: World, owner: str, reason: str, **container: Any) -> Manifest:
    waiting = {"reason": reason, "message": container.pop("message", "")}
    status = {"name": "main", "image": "reg/app:1", "state": {"waiting": waiting}, **container}
    return at.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "web-1",
                "namespace": "mx-app",
                "labels": {LABEL_INSTALL: INSTALL},
                "ownerReferences": [{"uid": owner, "controller": True}],
            },
            "spec": {"nodeName": "app-4"},
            "status": {"containerStatuses": [status]},
        }
    )


async def deployed() -> World:
    at = world()
    manifest = deployment()
    await install(at, manifest)
    at.cluster.objects[ObjectRef.of(manifest).key]["metadata"]["annotations"][REVISION] = "2"
    return at


async def test_returns_when_the_status_says_so_and_tells_what_is_missing_before() -> None:
    at = await deployed()
    ref = ObjectRef.of(deployment())
    at.clock.at(5, lambda: at.cluster.status(ref, {**UP, "availableReplicas": 1}))
    at.clock.at(9, lambda: at.cluster.status(ref, UP))
    await wait_ready(at.handle, at.ctx, [config(), deployment()])
    assert 9 <= at.clock.passed <= 11
    told = [seen for _, seen in at.ctx.waits if "Deployment web" in seen]
    assert told[0].endswith("Deployment web in mx-app not yet seen by its controller")
    assert told[-1].endswith("Deployment web in mx-app 1 of 2 available")


async def test_a_picture_from_before_the_write_does_not_count() -> None:
    at = await deployed()
    ref = ObjectRef.of(deployment())
    at.cluster.status(ref, UP)
    record = at.handle.inventory.get(ref)
    assert record is not None
    await at.handle.inventory.put(at.ctx, [type(record)(**{**vars(record), "generation": 2})])
    with pytest.raises(InstallError, match="NOT-READY") as caught:
        await wait_ready(at.handle, at.ctx, [deployment()], 30)
    assert "not yet seen as it was written" in caught.value.cause


async def test_time_out_names_the_object_and_what_it_lacks() -> None:
    at = await deployed()
    at.cluster.status(ObjectRef.of(deployment()), {**UP, "readyReplicas": 0})
    with pytest.raises(InstallError, match="NOT-READY") as caught:
        await wait_ready(at.handle, at.ctx, [deployment()], 30)
    assert caught.value.cause == "Deployment web in mx-app 0 of 2 ready"


async def test_an_image_that_is_not_there_fails_within_seconds_with_evidence() -> None:
    at = await deployed()
    at.cluster.status(ObjectRef.of(deployment()), {"observedGeneration": 1})
    pod = failing_pod(at, replica_set(at, "web-new", "2"), "ErrImagePull", message="not found")
    at.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e1", "namespace": "mx-app"},
            "involvedObject": {"uid": pod["metadata"]["uid"]},
            "type": "Warning",
            "reason": "Failed",
            "message": "Failed to pull image",
            "count": 6,
            "lastTimestamp": "2026-11-24T06:00:52Z",
        }
    )
    with pytest.raises(InstallError, match="IMAGE-NOT-FOUND") as caught:
        await wait_ready(at.handle, at.ctx, [deployment()])
    assert at.clock.passed < 10
    assert caught.value.evidence == (
        "pod web-1 on node app-4, owner Deployment web",
        "container main: ErrImagePull not found",
        "event 2026-11-24T06:00:52Z Failed: Failed to pull image (6 times)",
    )


async def test_pods_of_the_revision_being_replaced_do_not_fail_the_new_one() -> None:
    at = await deployed()
    failing_pod(at, replica_set(at, "web-old", "1"), "InvalidImageName")
    replica_set(at, "web-new", "2")
    at.clock.at(40, lambda: at.cluster.status(ObjectRef.of(deployment()), UP))
    await wait_ready(at.handle, at.ctx, [deployment()])


async def test_a_crash_loop_shows_the_last_words_of_the_container() -> None:
    at = await deployed()
    at.cluster.logs["/api/v1/namespaces/mx-app/pods/web-1/log"] = b"starting\nno such table\n"
    owner = replica_set(at, "web-new", "2")
    last = {"terminated": {"exitCode": 3, "reason": "Error"}}
    failing_pod(at, owner, "CrashLoopBackOff", restartCount=4, lastState=last)
    with pytest.raises(InstallError, match="CRASH-LOOP") as caught:
        await wait_ready(at.handle, at.ctx, [deployment()])
    assert caught.value.evidence[-1] == "log main: no such table"
    asked = next(call for call in at.cluster.calls if call.key.endswith("/log"))
    assert asked.options["previous"] == "true"


async def test_a_pull_that_may_pass_is_given_time() -> None:
    at = await deployed()
    owner = replica_set(at, "web-new", "2")
    failing_pod(at, owner, "ErrImagePull", message="i/o timeout")
    with pytest.raises(InstallError, match="IMAGE-PULL-FAILED"):
        await wait_ready(at.handle, at.ctx, [deployment()])
    assert 60 <= at.clock.passed < 65


async def test_a_finished_job_that_is_gone_already_is_success() -> None:
    at = world()
    job = ours("batch/v1", "Job", "init", spec={"ttlSecondsAfterFinished": 1})
    await install(at, job)
    at.cluster.drop(ObjectRef.of(job))
    await wait_ready(at.handle, at.ctx, [job], 5)


async def test_a_job_that_goes_while_it_is_watched_is_success() -> None:
    at = world()
    job = ours("batch/v1", "Job", "init", spec={"ttlSecondsAfterFinished": 1})
    await install(at, job)
    at.clock.at(3, lambda: at.cluster.drop(ObjectRef.of(job)))
    await wait_ready(at.handle, at.ctx, [job], 10)


async def test_a_claim_that_waits_for_its_first_pod_is_ready_with_a_word() -> None:
    at = world()
    at.cluster.put(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "late"},
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    claim = ours("v1", "PersistentVolumeClaim", "data", spec={"storageClassName": "late"})
    await install(at, claim)
    at.cluster.status(ObjectRef.of(claim), {"phase": "Pending"})
    warnings = await wait_ready(at.handle, at.ctx, [claim])
    assert warnings == (
        "PersistentVolumeClaim data in mx-app is bound when its first pod is scheduled",
    )


async def test_after_a_definition_discovery_is_asked() -> None:
    at = world()
    spec = {"group": "example.org", "names": {"kind": "Thing"}, "versions": [{"name": "v1"}]}
    definition = ours(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.org", "", spec=spec
    )
    await install(at, definition)
    entries = [{"type": name, "status": "True"} for name in ("NamesAccepted", "Established")]
    at.cluster.status(ObjectRef.of(definition), {"conditions": entries})
    at.cluster.absent_kinds = {"Thing"}
    at.clock.at(4, at.cluster.absent_kinds.clear)
    await wait_ready(at.handle, at.ctx, [definition])
    assert 4 <= at.clock.passed <= 6


def refused_event(at: World, count: int, message: str = "exceeded quota: small") -> Manifest:
    workload = at.cluster.objects["statefulset.apps/mx-app/db"]
    return at.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "refused", "namespace": "mx-app"},
            "involvedObject": {"uid": workload["metadata"]["uid"]},
            "type": "Warning",
            "reason": "FailedCreate",
            "message": message,
            "count": count,
        }
    )


async def test_pods_that_are_refused_again_and_again_fail_by_their_events() -> None:
    at = world()
    manifest = ours("apps/v1", "StatefulSet", "db", spec={"replicas": 1})
    await install(at, manifest)
    refused_event(at, 3)
    for seconds in (10, 20, 40):
        at.clock.at(seconds, partial(refused_event, at, 3 + seconds))
    with pytest.raises(InstallError, match="PODS-REFUSED") as caught:
        await wait_ready(at.handle, at.ctx, [manifest])
    assert caught.value.cause == "exceeded quota: small"
    assert at.clock.passed < 20


async def test_refusals_of_a_workload_that_has_pods_do_not_fail_it() -> None:
    """A quota that was not counted yet refuses the first ones; then it goes on."""
    at = world()
    manifest = ours("apps/v1", "StatefulSet", "db", spec={"replicas": 1})
    await install(at, manifest)
    status = {"observedGeneration": 1, "updateRevision": "r", "currentRevision": "r"}
    at.cluster.status(ObjectRef.of(manifest), status)
    owner = at.cluster.objects[ObjectRef.of(manifest).key]["metadata"]["uid"]
    pod = failing_pod(at, owner, "ContainerCreating")
    pod["metadata"]["labels"]["controller-revision-hash"] = "r"
    at.cluster.put(pod)
    for seconds in (10, 20):
        at.clock.at(seconds, partial(refused_event, at, seconds))
    up = {**status, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
    at.clock.at(40, lambda: at.cluster.status(ObjectRef.of(manifest), up))
    await wait_ready(at.handle, at.ctx, [manifest])
    assert at.clock.passed >= 40


async def test_a_refusal_from_before_our_write_is_no_sign() -> None:
    at = world()
    manifest = ours("apps/v1", "StatefulSet", "db", spec={"replicas": 1})
    await install(at, manifest)
    refused_event(at, 3)
    with pytest.raises(InstallError, match="NOT-READY") as caught:
        await wait_ready(at.handle, at.ctx, [manifest], 60)
    assert caught.value.evidence[-1].endswith("FailedCreate: exceeded quota: small (3 times)")


async def test_a_namespace_s_own_account_that_comes_late_is_waited_for() -> None:
    at = world()
    manifest = ours("apps/v1", "StatefulSet", "db", spec={"replicas": 1})
    await install(at, manifest)
    late = 'pods "db-0" is forbidden: error looking up service account mx-app/default: not found'
    for seconds in (5, 20, 40):
        at.clock.at(seconds, partial(refused_event, at, seconds, late))
    up = {"observedGeneration": 1, "updateRevision": "r", "currentRevision": "r"}
    up |= {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
    at.clock.at(50, lambda: at.cluster.status(ObjectRef.of(manifest), up))
    await wait_ready(at.handle, at.ctx, [manifest])
    assert at.clock.passed >= 50
