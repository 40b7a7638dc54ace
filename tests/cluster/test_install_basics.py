"""Install, install again, edit, remove: on a real API server with real controllers."""

from collections.abc import Iterator

import pytest

from tests.cluster.ends import versions
from tests.cluster.installs import Operator, Ran, operator
from tests.cluster.wire import Wire
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane

ID = "basics"
SPACE = f"{ID}-redis"
FOUNDATION, RULES, CONFIGURATION, WORKLOADS = STEPS = (
    "namespaces/0-foundation",
    "namespaces/1-configuration",
    "redis/1-configuration",
    "redis/2-workloads",
)
LEASE = f"lease.coordination.k8s.io/{ID}-install/matrix-install"
INVENTORY = f"configmap/{ID}-install/matrix-install-inventory"
APPS = f"/apis/apps/v1/namespaces/{SPACE}"
CORE = f"/api/v1/namespaces/{SPACE}"
pytestmark = pytest.mark.timeout(180)

Installed = tuple[Operator, Ran]


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane, wire: Wire) -> Iterator[Installed]:
    """One finished install; each test brings it back to being finished."""
    with operator(control_plane, wire, ID) as desk:
        yield desk, desk.install()


def written(ran: Ran) -> set[str]:
    """What was written besides the lease and the inventory."""
    return {request.target for request in ran.mutations} - {LEASE, INVENTORY}


def targets(ran: Ran) -> list[str]:
    """Every object of the plan."""
    return sorted(target for step in ran.plan["plan"]["steps"] for target in step["targets"])


def available(seen: Object | None) -> bool:
    """Its controller writes nothing more; Ready pods count as available a while later."""
    return bool(seen and seen["status"].get("availableReplicas") == seen["spec"]["replicas"])


def test_an_install_meets_every_gate(installed: Installed) -> None:
    desk, first = installed
    assert first.steps("step-done") == STEPS
    assert first.events[-1]["event"] == "run-finished"
    assert first.events[-1]["data"]["changed"] == len(targets(first))
    for plural in ("deployments", "statefulsets"):
        found = desk.cluster.api.items(f"{APPS}/{plural}")
        assert len(found) == 2
        for workload in found:
            assert workload["status"]["readyReplicas"] == workload["spec"]["replicas"]
    desk.assert_quiet()


def test_each_object_is_written_once(installed: Installed) -> None:
    _, first = installed
    applied = [request.target for request in first.mutations if request.verb == "patch"]
    assert sorted(applied) == targets(first)


def test_a_second_run_changes_nothing(installed: Installed) -> None:
    desk, _ = installed
    for name in ("redis-livekit", "redis-synapse"):
        desk.cluster.api.wait_for(f"{APPS}/statefulsets/{name}", available)
    before = versions(desk.cluster.api, ID)
    ran = desk.install()
    assert ran.plan["survey"]["new"] == ran.plan["survey"]["changed"] == []
    assert ran.steps("step-unchanged") == STEPS
    assert ran.steps("step-intent") == ()
    assert {request.target for request in ran.mutations} == {LEASE}
    assert versions(desk.cluster.api, ID) == before


def test_a_second_run_says_so(installed: Installed) -> None:
    desk, first = installed
    ran = desk.begin("--answers", str(desk.answers), "--yes", view="--plain").finish()
    assert ran.code == 0
    assert f"nothing to change ({len(targets(first))} objects as desired)" in ran.out
    assert "DONE  nothing to change" in ran.out


def test_an_edited_object_is_shown_and_set_back(installed: Installed) -> None:
    desk, _ = installed
    api = desk.cluster.operator_api
    proxy = f"{APPS}/deployments/redis-synapse-proxy"
    scripts = f"{CORE}/configmaps/redis-scripts"
    kept = api.get(scripts)["data"]
    edit = {"fieldManager": "kubectl-edit"}
    for path, change in ((proxy, {"spec": {"replicas": 5}}), (scripts, {"data": {"probe.sh": ""}})):
        api.request("PATCH", path, change, content_type="application/merge-patch+json", params=edit)
    ran = desk.install()
    shown = {change["target"]: change["details"] for change in ran.plan["survey"]["changed"]}
    assert set(shown) == {
        f"deployment.apps/{SPACE}/redis-synapse-proxy",
        f"configmap/{SPACE}/redis-scripts",
    }
    drift = {line["data"]["step"]: line["data"]["details"] for line in ran.of("drift-found")}
    assert set(drift) == {CONFIGURATION, WORKLOADS}
    for lines in (*shown.values(), *drift.values()):
        assert any("kubectl-edit" in line for line in lines), lines
    assert any("spec.replicas" in line for line in drift[WORKLOADS])
    assert written(ran) == set(shown)
    assert api.get(proxy)["spec"]["replicas"] == 2
    assert api.get(scripts)["data"] == kept


def test_a_setting_of_one_component_reruns_what_it_reaches(installed: Installed) -> None:
    desk, _ = installed
    desk.write_settings(components__redis={"extra": {"slowlog-log-slower-than": 20000}})
    ran = desk.install()
    assert ran.steps("step-unchanged") == (FOUNDATION, RULES)
    assert ran.steps("step-done") == (CONFIGURATION, WORKLOADS)
    assert written(ran) == {
        *(f"secret/{SPACE}/redis-{name}-config" for name in ("livekit", "synapse")),
        *(f"statefulset.apps/{SPACE}/redis-{name}" for name in ("livekit", "synapse")),
    }
    assert not ran.of("drift-found")


def test_a_size_reruns_what_it_reaches(installed: Installed) -> None:
    desk, _ = installed
    desk.write_settings(scale__overrides={"redis": {"memory": "3Gi"}})
    ran = desk.install()
    assert ran.steps("step-unchanged") == (FOUNDATION,)
    assert ran.steps("step-done") == (RULES, CONFIGURATION, WORKLOADS)
    assert f"resourcequota/{SPACE}/rendered" in written(ran)
    assert not [target for target in written(ran) if "-proxy" in target]
    for workload in desk.cluster.api.items(f"{APPS}/statefulsets"):
        assert workload["status"]["updatedReplicas"] == workload["spec"]["replicas"]


def test_a_removed_object_is_restored(installed: Installed) -> None:
    desk, _ = installed
    api = desk.cluster.api
    gone = (
        f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/default-deny",
        f"{CORE}/services/redis-synapse-proxy",
        f"{CORE}/secrets/redis-livekit-config",
    )
    for path in gone:
        api.delete(path)
    ran = desk.install()
    assert written(ran) == {
        f"networkpolicy.networking.k8s.io/{SPACE}/default-deny",
        f"service/{SPACE}/redis-synapse-proxy",
        f"secret/{SPACE}/redis-livekit-config",
    }
    assert all(api.exists(path) for path in gone)
    drift = [line for event in ran.of("drift-found") for line in event["data"]["details"]]
    assert len(drift) == 3


def test_the_answers_are_the_directorys_from_then_on(installed: Installed) -> None:
    """The plan of an existing directory, asked for without --answers, finds nothing to do."""
    desk, _ = installed
    ran = desk.run("--plan")
    assert ran.plan["survey"]["new"] == ran.plan["survey"]["changed"] == []
    assert not ran.mutations
