"""What pods tell, and which pods count."""

from typing import Any

import pytest

from installer.cluster.readiness_pods import (
    RESTARTS,
    leaving,
    owned_by,
    pod_problems,
    workload_problem,
)
from installer.core.objects import Manifest


def pod(
    name: str = "web-1",
    *,
    owner: str = "set-new",
    labels: dict[str, str] | None = None,
    waiting: str = "",
    message: str = "",
    **container: Any,
) -> Manifest:
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {}}
    status = {"name": "main", "image": "reg/app:1", "state": state, **container}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "labels": labels or {},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"nodeName": "app-4"},
        "status": {"containerStatuses": [status]},
    }


@pytest.mark.parametrize(
    ("reason", "message", "code", "at_once"),
    [
        ("ErrImagePull", "manifest unknown", "IMAGE-NOT-FOUND", True),
        ("ImagePullBackOff", 'Back-off pulling image "x": not found', "IMAGE-NOT-FOUND", True),
        ("ErrImagePull", "401 unauthorized", "IMAGE-REFUSED", False),
        ("ErrImagePull", "i/o timeout", "IMAGE-PULL-FAILED", False),
        ("ImagePullBackOff", "Back-off pulling image", "IMAGE-PULL-FAILED", False),
        ("InvalidImageName", "couldn't parse", "IMAGE-NAME-INVALID", True),
        ("CreateContainerConfigError", 'secret "x" not found', "CONTAINER-CONFIG", False),
        ("CreateContainerError", "no such device", "CONTAINER-ERROR", False),
    ],
)
def test_a_container_that_cannot_start(reason: str, message: str, code: str, at_once: bool) -> None:
    (problem,) = pod_problems(pod(waiting=reason, message=message), "Deployment web")
    assert problem.code == code
    assert (problem.grace <= 5) is at_once
    assert problem.evidence[0] == "pod web-1 on node app-4, owner Deployment web"
    assert message in problem.evidence[1]


def test_pulls_that_alternate_in_words_stay_one_problem() -> None:
    (first,) = pod_problems(pod(waiting="ErrImagePull", message="not found"), "x")
    (second,) = pod_problems(pod(waiting="ImagePullBackOff", message="Back-off"), "x")
    assert first.key == second.key


def test_a_few_restarts_are_no_crash_loop() -> None:
    early = pod(waiting="CrashLoopBackOff", restartCount=RESTARTS - 1)
    assert list(pod_problems(early, "x")) == []
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    late = pod(waiting="CrashLoopBackOff", restartCount=RESTARTS, lastState=last)
    (problem,) = pod_problems(late, "x")
    assert (problem.code, problem.grace) == ("CRASH-LOOP", 0.0)
    assert "exit code 1" in problem.cause


def test_a_kill_for_memory_is_called_so() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    (problem,) = pod_problems(pod(waiting="CrashLoopBackOff", restartCount=9, lastState=last), "x")
    assert problem.code == "OUT-OF-MEMORY"


def test_a_pod_without_a_node_gets_fifteen_seconds() -> None:
    manifest = pod()
    manifest["status"] = {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient memory.",
            }
        ]
    }
    (problem,) = pod_problems(manifest, "x")
    assert (problem.code, problem.grace) == ("UNSCHEDULABLE", 15.0)
    assert "Insufficient memory" in problem.cause


def test_init_containers_count_too() -> None:
    manifest = pod()
    status = manifest["status"].pop("containerStatuses")
    status[0]["state"] = {"waiting": {"reason": "InvalidImageName"}}
    manifest["status"]["initContainerStatuses"] = status
    assert [p.code for p in pod_problems(manifest, "x")] == ["IMAGE-NAME-INVALID"]


class TestWhichPodsCount:
    revision = "deployment.kubernetes.io/revision"

    def replica_set(self, uid: str, revision: str) -> Manifest:
        return {
            "metadata": {
                "uid": uid,
                "annotations": {self.revision: revision},
                "ownerReferences": [{"uid": "dep", "controller": True}],
            }
        }

    def test_those_of_the_new_replica_set_only(self) -> None:
        workload = {
            "kind": "Deployment",
            "metadata": {"uid": "dep", "namespace": "ns", "annotations": {self.revision: "2"}},
        }
        sets = (self.replica_set("set-old", "1"), self.replica_set("set-new", "2"))
        old, new = pod("old", owner="set-old"), pod("new", owner="set-new")
        found = owned_by(workload, (old, new), sets)
        assert [p["metadata"]["name"] for p in found] == ["new"]

    def test_those_of_the_stateful_sets_update_revision_only(self) -> None:
        workload = {
            "kind": "StatefulSet",
            "metadata": {"uid": "sts", "namespace": "ns"},
            "status": {"updateRevision": "b"},
        }
        label = "controller-revision-hash"
        pods = [pod("old", owner="sts", labels={label: "a"})]
        pods.append(pod("new", owner="sts", labels={label: "b"}))
        assert [p["metadata"]["name"] for p in owned_by(workload, pods, ())] == ["new"]

    def test_not_those_being_deleted_or_of_another_namespace(self) -> None:
        workload = {"kind": "Job", "metadata": {"uid": "job", "namespace": "ns"}}
        going, elsewhere = pod("a", owner="job"), pod("b", owner="job")
        going["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
        elsewhere["metadata"]["namespace"] = "other"
        assert owned_by(workload, (going, elsewhere), ()) == ()


def test_pods_that_may_not_even_be_created() -> None:
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "status": {
            "conditions": [
                {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
            ]
        },
    }
    problem = workload_problem(workload)
    assert problem is not None
    assert (problem.code, problem.cause) == ("PODS-REFUSED", "exceeded quota")
    assert workload_problem({"kind": "Deployment", "metadata": {"name": "web"}}) is None


def test_a_pod_that_a_lost_node_does_not_let_go_is_told_for_stateful_sets_only() -> None:
    held = pod(owner="uid-1")
    held["metadata"]["deletionTimestamp"] = "2026-11-24T06:44:00Z"
    owner = {"kind": "StatefulSet", "metadata": {"uid": "uid-1", "name": "web"}}
    assert leaving(owner, [pod(owner="uid-1"), held]) == (
        "pod web-1 on app-4 is being deleted, due to be gone at 2026-11-24T06:44:00Z"
    )
    assert leaving(owner, [pod(owner="uid-1")]) == ""
    assert leaving({**owner, "kind": "Deployment"}, [held]) == ""
    assert leaving({**owner, "metadata": {"uid": "uid-2"}}, [held]) == ""
