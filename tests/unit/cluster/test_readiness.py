"""Each row of the readiness table: ready, not yet, failed, and the trap that it avoids."""

import copy
from typing import Any, ClassVar

import pytest

from installer.cluster.readiness import ClusterView, is_gated, readiness
from installer.cluster.readiness_parts import State
from installer.core.objects import Manifest, ObjectRef

VIEW = ClusterView()


def thing(
    kind: str, api_version: str = "apps/v1", /, *, spec: Any = None, **status: Any
) -> Manifest:
    manifest: Manifest = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "ns", "generation": 3, "uid": "u"},
        "spec": spec or {},
    }
    if status:
        manifest["status"] = status
    return manifest


def state_of(live: Manifest, view: ClusterView = VIEW) -> State:
    return readiness(live, live, view).state


def reason_of(live: Manifest, view: ClusterView = VIEW) -> str:
    return readiness(live, live, view).reason


DEPLOYED = {
    "observedGeneration": 3,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}


class TestDeployment:
    def test_all_counts_equal(self) -> None:
        assert state_of(thing("Deployment", spec={"replicas": 2}, **DEPLOYED)) is State.READY

    @pytest.mark.parametrize(
        "change",
        [
            {"updatedReplicas": 1},
            {"readyReplicas": 1},
            {"availableReplicas": 1},
            {"replicas": 3},  # a pod of the old template is still there
            {"observedGeneration": 2},
            {"observedGeneration": None},
        ],
    )
    def test_any_other_count_waits(self, change: dict[str, Any]) -> None:
        status = {k: v for k, v in {**DEPLOYED, **change}.items() if v is not None}
        assert state_of(thing("Deployment", spec={"replicas": 2}, **status)) is State.WAITING

    def test_fresh_without_a_status_waits(self) -> None:
        assert state_of(thing("Deployment", spec={"replicas": 0})) is State.WAITING

    def test_without_any_generation_it_was_not_observed(self) -> None:
        live = thing("Deployment", spec={"replicas": 2}, **DEPLOYED)
        del live["metadata"]["generation"], live["status"]["observedGeneration"]
        assert state_of(live) is State.WAITING

    def test_none_wanted_is_ready(self) -> None:
        assert state_of(thing("Deployment", spec={"replicas": 0}, observedGeneration=3)) is (
            State.READY
        )

    def test_paused_in_mid_rollout_fails_with_the_way_out(self) -> None:
        live = thing("Deployment", spec={"replicas": 2, "paused": True}, observedGeneration=3)
        found = readiness(live, live, VIEW)
        assert found.error is not None
        assert found.error.code == "ROLLOUT-PAUSED"
        assert "rollout resume deployment/x" in found.error.remedy

    def test_a_passed_progress_deadline_fails(self) -> None:
        entry = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        live = thing("Deployment", **{**DEPLOYED, "readyReplicas": 1}, conditions=[entry])
        assert state_of(live) is State.FAILED

    def test_a_deadline_of_an_older_generation_does_not(self) -> None:
        entry = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        live = thing("Deployment", **{**DEPLOYED, "observedGeneration": 2}, conditions=[entry])
        assert state_of(live) is State.WAITING


SET = {
    "observedGeneration": 3,
    "replicas": 3,
    "readyReplicas": 3,
    "updatedReplicas": 3,
    "currentRevision": "a",
    "updateRevision": "a",
}


class TestStatefulSet:
    def test_all_counts_and_revisions_equal(self) -> None:
        assert state_of(thing("StatefulSet", spec={"replicas": 3}, **SET)) is State.READY

    @pytest.mark.parametrize(
        "change",
        [
            {"readyReplicas": 2},
            {"updatedReplicas": 2},
            {"updateRevision": "b"},
            {"observedGeneration": 2},
            {"replicas": 4},
        ],
    )
    def test_anything_else_waits(self, change: dict[str, Any]) -> None:
        live = thing("StatefulSet", spec={"replicas": 3}, **{**SET, **change})
        assert state_of(live) is State.WAITING

    def test_a_partition_leaves_the_old_revision_below_it(self) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        status = {**SET, "updatedReplicas": 1, "updateRevision": "b"}
        live = thing("StatefulSet", spec={"replicas": 3, "updateStrategy": strategy}, **status)
        assert state_of(live) is State.READY

    def test_on_delete_still_needs_its_replicas(self) -> None:
        spec = {"replicas": 3, "updateStrategy": {"type": "OnDelete"}}
        assert state_of(thing("StatefulSet", spec=spec, **{**SET, "readyReplicas": 2})) is (
            State.WAITING
        )
        old = thing("StatefulSet", spec=spec, **{**SET, "updateRevision": "b"})
        assert state_of(old) is State.READY
        assert "OnDelete" in reason_of(old)


class TestDaemonSet:
    status: ClassVar[dict[str, Any]] = {
        "observedGeneration": 3,
        "desiredNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
    }

    def test_all_counts_equal(self) -> None:
        assert state_of(thing("DaemonSet", **self.status)) is State.READY

    def test_a_fresh_one_with_zeros_is_not_ready(self) -> None:
        status = {"desiredNumberScheduled": 0, "numberAvailable": 0}
        assert state_of(thing("DaemonSet", **status)) is State.WAITING

    def test_no_matching_node_warns(self) -> None:
        live = thing("DaemonSet", observedGeneration=3, desiredNumberScheduled=0)
        assert state_of(live) is State.READY
        assert "no node matches" in reason_of(live)

    @pytest.mark.parametrize("name", ["updatedNumberScheduled", "numberAvailable"])
    def test_a_missing_one_waits(self, name: str) -> None:
        assert state_of(thing("DaemonSet", **{**self.status, name: 1})) is State.WAITING


class TestJob:
    def test_started_is_not_ready(self) -> None:
        assert state_of(thing("Job", "batch/v1", active=1)) is State.WAITING

    def test_complete_is(self) -> None:
        entry = {"type": "Complete", "status": "True"}
        assert state_of(thing("Job", "batch/v1", conditions=[entry])) is State.READY

    def test_failed_fails_with_the_reason(self) -> None:
        entry = {"type": "Failed", "status": "True", "message": "backoff limit reached"}
        live = thing("Job", "batch/v1", conditions=[entry])
        found = readiness(live, live, VIEW)
        assert found.error is not None
        assert (found.error.code, found.error.cause) == ("JOB-FAILED", "backoff limit reached")

    def test_gone_after_its_time_to_live_is_success(self) -> None:
        job = thing("Job", "batch/v1", spec={"ttlSecondsAfterFinished": 5})
        assert readiness(job, None, VIEW).state is State.READY
        assert readiness(thing("Job", "batch/v1"), None, VIEW).state is State.WAITING


class TestVolumeClaim:
    late = ClusterView(late_binding=frozenset({"late"}), default_class="late")

    def claim(self, phase: str, storage_class: str | None = "late") -> Manifest:
        spec = {} if storage_class is None else {"storageClassName": storage_class}
        return thing("PersistentVolumeClaim", "v1", spec=spec, phase=phase)

    def test_bound_is_ready(self) -> None:
        assert state_of(self.claim("Bound")) is State.READY

    @pytest.mark.parametrize("storage_class", ["late", None])
    def test_pending_without_a_consumer_is_ready_under_late_binding(
        self, storage_class: str | None
    ) -> None:
        assert state_of(self.claim("Pending", storage_class), self.late) is State.READY

    def test_pending_with_a_consumer_waits(self) -> None:
        view = ClusterView(late_binding=frozenset({"late"}), consumers=frozenset({"ns/x"}))
        assert state_of(self.claim("Pending"), view) is State.WAITING

    def test_pending_under_immediate_binding_waits(self) -> None:
        assert state_of(self.claim("Pending", "now"), self.late) is State.WAITING

    def test_without_any_class_says_so(self) -> None:
        assert "no default" in reason_of(self.claim("Pending", None))

    def test_lost_fails(self) -> None:
        assert state_of(self.claim("Lost")) is State.FAILED


class TestDefinition:
    spec: ClassVar[dict[str, Any]] = {
        "group": "example.org",
        "names": {"kind": "Thing"},
        "versions": [{"name": "v1"}, {"name": "v0", "served": False}],
    }

    def definition(self, *conditions: tuple[str, str]) -> Manifest:
        entries = [{"type": name, "status": status} for name, status in conditions]
        return thing(
            "CustomResourceDefinition",
            "apiextensions.k8s.io/v1",
            spec=self.spec,
            conditions=entries,
        )

    def test_established_is_not_enough_until_discovery_lists_it(self) -> None:
        live = self.definition(("NamesAccepted", "True"), ("Established", "True"))
        assert state_of(live) is State.WAITING
        served = ClusterView(served=frozenset({"example.org/v1/Thing"}))
        assert state_of(live, served) is State.READY

    def test_not_established_waits(self) -> None:
        served = ClusterView(served=frozenset({"example.org/v1/Thing"}))
        assert state_of(self.definition(("NamesAccepted", "True")), served) is State.WAITING

    def test_taken_names_fail(self) -> None:
        assert state_of(self.definition(("NamesAccepted", "False"))) is State.FAILED


class TestService:
    def test_an_ordinary_one_is_ready(self) -> None:
        assert state_of(thing("Service", "v1", spec={"type": "ClusterIP"})) is State.READY

    def test_a_load_balancer_waits_for_its_address_if_somebody_gives_one(self) -> None:
        live = thing("Service", "v1", spec={"type": "LoadBalancer", "clusterIP": "10.0.0.1"})
        assert state_of(live, ClusterView(load_balancer=True)) is State.WAITING
        assert state_of(live, ClusterView(load_balancer=False)) is State.READY
        live["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        assert state_of(live, ClusterView(load_balancer=True)) is State.READY


class TestCustomResource:
    def test_without_a_status_is_not_ready(self) -> None:
        assert state_of(thing("Certificate", "cert-manager.io/v1")) is State.WAITING
        assert state_of(thing("Unheard", "example.org/v1")) is State.WAITING

    def test_a_condition_of_an_older_generation_does_not_count(self) -> None:
        entry = {"type": "Ready", "status": "True", "observedGeneration": 2}
        live = thing("Certificate", "cert-manager.io/v1", conditions=[entry])
        assert state_of(live) is State.WAITING
        entry["observedGeneration"] = 3
        assert state_of(live) is State.READY

    def test_a_database_cluster_needs_all_instances(self) -> None:
        entry = {"type": "Ready", "status": "True"}
        live = thing(
            "Cluster",
            "postgresql.cnpg.io/v1",
            spec={"instances": 3},
            readyInstances=2,
            phase="Setting up primary",
            conditions=[entry],
        )
        assert reason_of(live) == "2 of 3 instances ready: Setting up primary"
        live["status"]["readyInstances"] = 3
        assert state_of(live) is State.READY

    def test_one_that_nobody_writes_a_status_for_is_ready(self) -> None:
        assert state_of(thing("IPAddressPool", "metallb.io/v1beta1")) is State.READY
        assert not is_gated(ObjectRef("metallb.io/v1beta1", "IPAddressPool", "", "x"))

    def test_an_unknown_one_needs_a_ready_condition(self) -> None:
        entry = {"type": "Ready", "status": "False", "message": "not yet"}
        live = thing("Unheard", "example.org/v1", conditions=[entry])
        assert state_of(live) is State.WAITING
        live["status"]["conditions"][0]["status"] = "True"
        assert state_of(live) is State.READY


def test_ingress_and_gateway_are_not_gated_on_their_status() -> None:
    assert state_of(thing("Ingress", "networking.k8s.io/v1")) is State.READY
    assert state_of(thing("Gateway", "gateway.networking.k8s.io/v1")) is State.READY
    assert not is_gated(ObjectRef("networking.k8s.io/v1", "Ingress", "ns", "x"))


def test_an_object_being_deleted_is_never_ready_and_says_who_holds_it() -> None:
    for live in (
        thing("ConfigMap", "v1"),
        thing("Deployment", spec={"replicas": 2}, **DEPLOYED),
    ):
        going = copy.deepcopy(live)
        going["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
        going["metadata"]["finalizers"] = ["example.org/hold"]
        assert state_of(going) is State.WAITING
        assert "example.org/hold" in reason_of(going)


def test_configuration_is_ready_when_it_is_there() -> None:
    assert state_of(thing("ConfigMap", "v1")) is State.READY
    assert not is_gated(ObjectRef("v1", "ConfigMap", "ns", "x"))


def test_a_disruption_budget_must_be_seen_by_its_controller() -> None:
    assert state_of(thing("PodDisruptionBudget", "policy/v1")) is State.WAITING
    live = thing("PodDisruptionBudget", "policy/v1", observedGeneration=3)
    assert state_of(live) is State.READY
