"""The record of writes that plans are held to: it must see every write, and nothing else."""

import pytest

from tests.cluster.wire import Request, Wire, outside
from tests.lab.api import ApiError
from tests.lab.control_plane import ControlPlane
from tests.lab.credentials import OPERATOR


def config(name: str, namespace: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_every_way_of_writing_is_seen(
    control_plane: ControlPlane, wire: Wire, namespace: str
) -> None:
    api = control_plane.operator_api
    folder = f"/api/v1/namespaces/{namespace}/configmaps"
    mark = wire.mark()
    api.request("POST", folder, config("a", namespace))
    api.request("PUT", f"{folder}/a", config("a", namespace))
    api.apply(config("b", namespace))
    api.delete(f"{folder}/b")
    api.delete(folder)
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    api.request("POST", lease, {"metadata": {"name": "c"}})
    found = [(r.verb, r.target) for r in wire.mutations(OPERATOR, mark)]
    assert found == [
        ("create", f"configmap/{namespace}/a"),
        ("update", f"configmap/{namespace}/a"),
        ("patch", f"configmap/{namespace}/b"),
        ("delete", f"configmap/{namespace}/b"),
        ("deletecollection", f"configmap/{namespace}/"),
        ("create", f"lease.coordination.k8s.io/{namespace}/c"),
    ]


def test_questions_are_no_writes(control_plane: ControlPlane, wire: Wire, namespace: str) -> None:
    api = control_plane.operator_api
    mark = wire.mark()
    folder = f"/api/v1/namespaces/{namespace}/configmaps"
    api.request("POST", folder, config("a", namespace), params={"dryRun": "All"})
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    api.items(folder)
    assert wire.mutations(OPERATOR, mark) == []
    assert [r.verb for r in wire.requests(OPERATOR, mark)] == ["create", "list"]


def test_refused_writes_count(control_plane: ControlPlane, wire: Wire) -> None:
    mark = wire.mark()
    path = "/api/v1/namespaces/not-there/configmaps"
    with pytest.raises(ApiError):
        control_plane.operator_api.request("POST", path, config("a", "not-there"))
    assert [r.status for r in wire.mutations(OPERATOR, mark)] == [404]


def test_what_no_plan_names_is_outside() -> None:
    def write(target: str) -> Request:
        return Request("patch", target, 200, False, "", 0.0)

    approved = {"configmap/ns/a", "namespace/-/ns"}
    assert outside([write("configmap/ns/a"), write("namespace/-/")], approved) == []
    stray = [write("configmap/ns/b"), write("configmap/other/"), write("secret/ns/a")]
    assert outside(stray, approved) == stray
