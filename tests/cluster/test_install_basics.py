"""Install, install again, edit, remove, uninstall: on a real API server with real controllers."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster.installs import Operator, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

_NUMBERS = count(1)
STEPS = (
    "namespaces/0-foundation",
    "namespaces/1-configuration",
    "redis/1-configuration",
    "redis/2-workloads",
)


@pytest.fixture
def desk(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(control_plane, wire, f"basic-{next(_NUMBERS)}") as made:
        yield made


def test_an_install_meets_every_gate(desk: Operator) -> None:
    ran = desk.install()
    assert ran.steps("step-done") == STEPS
    assert ran.events[-1]["event"] == "run-finished"
    assert ran.events[-1]["data"]["changed"] == 27
    for plural in ("deployments", "statefulsets"):
        path = f"/apis/apps/v1/namespaces/{desk.namespaces[0]}/{plural}"
        found = desk.cluster.api.items(path)
        assert len(found) == 2
        for workload in found:
            assert workload["status"]["readyReplicas"] == workload["spec"]["replicas"]
    desk.assert_quiet()
