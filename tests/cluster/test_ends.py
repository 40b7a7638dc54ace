"""Two ends are compared: what must differ is left out, everything else is noticed."""

from typing import Any

import pytest

from tests.cluster.ends import alike, differences
from tests.lab.api import Object


def deployment(**change: Any) -> Object:
    meta = {
        "name": "web",
        "uid": "1",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"matrix-install.io/content-hash": "abc", "mine": "x"},
        "managedFields": [{"manager": "matrix-install", "time": "2026-01-01T00:00:00Z"}],
    }
    template = {"metadata": {"annotations": {"checksum/config": "123"}}}
    spec = {"replicas": 2, "template": template, **change}
    return {"kind": "Deployment", "metadata": meta, "spec": spec, "status": {"readyReplicas": 2}}


def test_what_no_two_runs_share_is_left_out() -> None:
    other = deployment()
    other["metadata"].update(uid="2", resourceVersion="9", creationTimestamp="2026-02-02")
    other["metadata"]["annotations"]["matrix-install.io/content-hash"] = "def"
    other["spec"]["template"]["metadata"]["annotations"]["checksum/config"] = "456"
    assert differences(alike(deployment()), alike(other)) == []


@pytest.mark.parametrize("change", [{"replicas": 3}, {"paused": True}, {"template": {}}])
def test_everything_else_is_noticed(change: dict[str, Any]) -> None:
    assert differences(alike(deployment()), alike(deployment(**change)))


def test_another_manager_is_noticed() -> None:
    other = deployment()
    other["metadata"]["managedFields"].append({"manager": "kubectl-edit"})
    assert differences(alike(deployment()), alike(other)) == [
        "/metadata/managers: ['matrix-install'] != ['kubectl-edit', 'matrix-install']"
    ]


def test_a_lost_object_is_noticed() -> None:
    assert differences({"objects": {"a": 1, "b": 2}}, {"objects": {"a": 1}}) == [
        "/objects/b: only in the first"
    ]


def test_a_half_written_inventory_is_noticed() -> None:
    def inventory(state: str, uid: str) -> Object:
        row = f'["v1","ConfigMap","ns","a","{uid}",0,"hash","c","c/1","{state}"]'
        text = f'{{"format":1,"install":"i","uid":"u","objects":[{row}]}}'
        return {"kind": "ConfigMap", "metadata": {"name": "i"}, "data": {"inventory": text}}

    whole = alike(inventory("applied", "1"))
    assert differences(whole, alike(inventory("applied", "2"))) == []
    assert differences(whole, alike(inventory("intended", "1")))
    assert differences(whole, alike(inventory("applied", "")))
