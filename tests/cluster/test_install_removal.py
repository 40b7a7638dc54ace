"""Uninstall: what stays is said and stays, what was made goes, and an install finds what stayed."""

from collections.abc import Iterator

import pytest

from tests.cluster.ends import listed
from tests.cluster.installs import Operator, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

ID = "removal"
SPACE = f"{ID}-redis"
CLAIM = f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data-redis-synapse-0"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def desk(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(control_plane, wire, ID) as made:
        yield made


def add_volume(desk: Operator) -> str:
    """A claim as a controller would make it for us; returns its volume's path."""
    api = desk.cluster.api
    quota = f"/api/v1/namespaces/{SPACE}/resourcequotas/rendered"
    api.patch(quota, {"spec": {"hard": {"persistentvolumeclaims": "1"}}})
    api.wait_for(
        quota,
        lambda seen: bool(seen and seen["status"]["hard"]["persistentvolumeclaims"] == "1"),
    )
    labels = {"matrix-install.io/install": ID}
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data-redis-synapse-0", "namespace": SPACE, "labels": labels},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "immediate",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )
    bound = api.wait_for(CLAIM, lambda seen: bool(seen and seen["status"]["phase"] == "Bound"))
    assert bound is not None
    return f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}"


def test_data_stays_unless_each_name_is_confirmed(desk: Operator) -> None:
    api = desk.cluster.api
    before = listed(api)
    desk.install()
    volume = add_volume(desk)
    claim = api.get(CLAIM)["metadata"]["uid"]

    ran = desk.begin("--uninstall", "--yes", view="--plain").finish()
    assert ran.code == 0, ran.text
    assert "Stays\n" in ran.out
    for line in ("data-redis-synapse-0", f"Namespace {SPACE}", f"Namespace {ID}-install"):
        assert line in ran.out.partition("Stays\n")[2].partition("Can be undone")[0]
    left = {path for path in listed(api) if f"/{ID}-" in path and path not in before}
    own = {path for path in left if "kube-root-ca" not in path and "serviceaccounts" not in path}
    assert own == {
        f"/api/v1/namespaces/-/{SPACE}",
        f"/api/v1/namespaces/-/{ID}-install",
        f"/api/v1/configmaps/{ID}-install/matrix-install-inventory",
        f"/api/v1/persistentvolumeclaims/{SPACE}/data-redis-synapse-0",
    }

    again = desk.install()
    assert again.events[-1]["event"] == "run-finished"
    assert api.get(CLAIM)["metadata"]["uid"] == claim, "the volume was found again"
    assert f"namespace/-/{SPACE}" not in {r.target for r in again.mutations if r.status == 201}

    refused = desk.uninstall("destroy", code=4)
    assert refused.problem["code"] == "CONSENT-MISSING"
    assert SPACE in refused.problem["cause"]
    assert not refused.mutations
    assert api.exists(CLAIM)

    desk.uninstall("destroy", "--yes-destroy", SPACE)
    api.wait_for(volume, lambda seen: seen is None, what="the volume's end")
    assert not listed(api).keys() - before.keys()
    assert desk.engine() is None

    again = desk.uninstall("destroy")
    assert again.plan["survey"]["removed"] == []
    assert not listed(api).keys() - before.keys()
