"""Namespaces, quotas and priorities follow from what is rendered into them."""

import base64
import json
from collections import defaultdict

import pytest

from manifests.derive.demand import by_namespace, mebibytes, millicores
from manifests.derive.podtemplates import is_workload, pod_template
from tests.unit.manifests.samples import ROWS, named, objects, revealed, value

every_row = pytest.mark.parametrize("row", ROWS)


@every_row
def test_quota_holds_what_is_rendered_and_a_rollout_of_it(row: str) -> None:
    found = objects(row)
    sums = by_namespace(found)
    for quota in (m for m in found if m["kind"] == "ResourceQuota"):
        hard = quota["spec"]["hard"]
        need = sums[quota["metadata"]["namespace"]]
        assert millicores(hard["requests.cpu"]) >= 1.5 * need["cpu_request"]
        assert mebibytes(hard["requests.memory"]) >= 1.5 * need["memory_request"]
        assert mebibytes(hard["limits.memory"]) >= 1.5 * need["memory_limit"]
        assert int(hard["pods"]) >= 1.5 * need["pods"]
        # ... and not so much that it would stop nothing.
        assert millicores(hard["requests.cpu"]) <= 2 * need["cpu_request"] + 2000
        assert hard["services.loadbalancers"] == "0"


@every_row
def test_every_namespace_is_restricted_and_has_quota_and_limits(row: str) -> None:
    found = objects(row)
    kinds = defaultdict(set)
    for manifest in found:
        kinds[manifest["metadata"].get("namespace", "")].add(manifest["kind"])
    for namespace in (m for m in found if m["kind"] == "Namespace"):
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert {"ResourceQuota", "LimitRange", "NetworkPolicy"} <= kinds[
            namespace["metadata"]["name"]
        ]


def test_priority_classes_are_those_that_pods_use() -> None:
    found = objects()
    used = {pod_template(m)["spec"]["priorityClassName"] for m in found if is_workload(m)}
    made = {m["metadata"]["name"] for m in found if m["kind"] == "PriorityClass"}
    assert made == used == {"example-infrastructure"}
    value = named(found, "PriorityClass", "example-infrastructure")["value"]
    assert 0 < value < 1_000_000_000  # above that is Kubernetes' own


def test_a_registry_that_wants_a_login_gets_one_in_every_namespace() -> None:
    source = {
        "kind": "registry",
        "registry": "registry.example.org:5000/matrix",
        "registry_user": "matrix",
        "registry_password": "secret:registry-password",
    }
    found = revealed(source=source)
    login = named(found, "Secret", "registry-login")
    assert login["type"] == "kubernetes.io/dockerconfigjson"
    content = json.loads(base64.b64decode(login["data"][".dockerconfigjson"]))
    assert content == {
        "auths": {
            "registry.example.org:5000": {
                "username": "matrix",
                "password": value("registry-password"),
            }
        }
    }
    for manifest in (m for m in found if is_workload(m)):
        assert pod_template(manifest)["spec"]["imagePullSecrets"] == [{"name": "registry-login"}]
    assert not [m for m in objects() if m["metadata"]["name"] == "registry-login"]


@pytest.mark.parametrize(
    ("text", "cores"), [("500m", 500), ("2", 2000), (0.5, 500), ("1500m", 1500), ("0", 0)]
)
def test_millicores(text: str, cores: int) -> None:
    assert millicores(text) == cores


@pytest.mark.parametrize(
    ("text", "size"), [("512Mi", 512), ("2Gi", 2048), ("1G", 954), (1048577, 2), ("1024Ki", 1)]
)
def test_mebibytes(text: str, size: int) -> None:
    assert mebibytes(text) == size


def test_initial_containers_count_when_they_are_larger() -> None:
    container = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    large = {"name": "i", "resources": {"requests": {"cpu": "5", "memory": "1Mi"}}}
    job = {
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "n"},
        "spec": {"template": {"spec": {"initContainers": [large], "containers": [container]}}},
    }
    assert by_namespace([job])["n"]["cpu_request"] == 5000
    assert by_namespace([job])["n"]["memory_request"] == 1024
