"""What operators change is theirs, is shown, and never breaks a floor or a safety rule."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.assembly import Unfit
from manifests.derive.patches import PATCHED, merge
from manifests.derive.safety import version
from manifests.registry import all_components
from tests.unit.manifests.samples import named, objects, renderer, settings

SERVERS = "statefulset/redis-synapse"
PROXY = "deployment/redis-synapse-proxy"


def pod(spec: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def refused(name: str, patch: dict[str, Any]) -> str:
    with pytest.raises(Unfit) as caught:
        objects(components={"redis": {"patches": {name: patch}}})
    return str(caught.value.evidence)


def test_a_patch_is_merged_and_marked() -> None:
    found = objects(components={"redis": {"patches": {PROXY: {"spec": {"minReadySeconds": 30}}}}})
    proxy = named(found, "Deployment", "redis-synapse-proxy")
    assert proxy["spec"]["minReadySeconds"] == 30
    assert proxy["metadata"]["annotations"][PATCHED] == "operator"
    other = named(found, "Deployment", "redis-livekit-proxy")
    assert PATCHED not in other["metadata"]["annotations"]


def test_patches_and_own_directives_are_shown() -> None:
    own = {"patches": {PROXY: {"spec": {"minReadySeconds": 30}}}, "extra": {"hz": 20}}
    made = renderer(settings(components={"redis": own}))
    assert made.changed_by_operator() == (f"redis: your patch of {PROXY}", "redis: your setting hz")
    assert renderer(settings()).changed_by_operator() == ()


def test_a_patch_of_nothing_is_refused() -> None:
    assert "no such object" in refused("deployment/nothing", {"spec": {}})


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"name": "other"}},
        {"metadata": {"namespace": "kube-system"}},
        {"metadata": {"labels": {"matrix-install.io/install": "another"}}},
        {"kind": "DaemonSet"},
        {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
    ],
)
def test_an_objects_identity_is_not_patched(patch: dict[str, Any]) -> None:
    assert "not changed by patches" in refused(PROXY, patch)


def container(**changes: Any) -> list[dict[str, Any]]:
    """The proxy's containers, changed: a merge patch replaces lists as a whole."""
    proxy = named(objects(), "Deployment", "redis-synapse-proxy")
    (only,) = proxy["spec"]["template"]["spec"]["containers"]
    return [{**only, **changes}]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "config", "hostPath": {"path": "/"}}]}, "hostPath"),
        ({"securityContext": {"runAsUser": 0}}, "runs as root"),
        ({"securityContext": {"runAsNonRoot": None}}, "may run as root"),
        ({"securityContext": {"seccompProfile": None}}, "seccomp"),
        ({"containers": container(securityContext={})}, "may gain privileges"),
        ({"containers": container(resources={})}, "no memory limit"),
        (
            {"containers": container(resources={"limits": {"memory": "1Gi"}})},
            "request and limit differ",
        ),
        ({"containers": container(image="docker.io/library/haproxy:3.1.9")}, "older than 3.2.0"),
        ({"containers": container(image="docker.io/library/haproxy:latest")}, "no version"),
        ({"containers": container(image="docker.io/library/nginx:1.29")}, "not declared"),
        ({"containers": container(ports=[{"name": "redis", "containerPort": 6379, "hostPort": 1}])},
         "host port"),
    ],
)  # fmt: skip
def test_rules_hold_after_patches(spec: dict[str, Any], why: str) -> None:
    assert why in refused(PROXY, pod(spec))


def test_valkey_below_its_floor_is_refused_with_the_reason() -> None:
    servers = named(objects(), "StatefulSet", "redis-synapse")
    changed = [
        {**c, "image": c["image"].replace("9.1.1", "9.1.0")}
        for c in servers["spec"]["template"]["spec"]["containers"]
    ]
    text = refused(SERVERS, pod({"containers": changed}))
    assert "older than 9.1.1" in text
    assert "CVE-2026-56684" in text


def test_a_newer_image_is_the_operators_choice() -> None:
    changed = container(image="registry.example.org/docker.io/library/haproxy:3.2.25-alpine")
    assert objects(components={"redis": {"patches": {PROXY: pod({"containers": changed})}}})


def test_a_secret_outside_of_a_secret_is_refused() -> None:
    leak = {"metadata": {"annotations": {"note": "hmac:redis-synapse-password"}}}
    assert "outside a Secret" in refused(PROXY, leak)


def test_an_undeclared_secret_is_a_defect() -> None:
    (redis,) = [c for c in all_components() if c.name == "redis"]
    others = [c for c in all_components() if c.name != "redis"]
    silent = replace(redis, declare=lambda ctx: replace(redis.declare(ctx), secrets=()))
    with pytest.raises(KeyError, match="no component declares the secret"):
        renderer(settings(), [*others, silent]).waves(str)


def test_a_declared_image_below_its_own_floor_is_refused() -> None:
    (redis,) = [c for c in all_components() if c.name == "redis"]
    others = [c for c in all_components() if c.name != "redis"]
    old = replace(redis, images=tuple(replace(i, version="1.0") for i in redis.images))
    with pytest.raises(Unfit) as caught:
        renderer(settings(), [*others, old]).waves(lambda name: f"hmac:{name}")
    assert "older than" in str(caught.value.evidence)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("v1.88.0", (1, 88, 0)),
        ("3.2.22-alpine", (3, 2, 22)),
        ("latest", ()),
        ("9.10.0", (9, 10, 0)),
    ],
)
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers
    assert version("9.10.0") > version("9.9.9")


trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner | st.none(), max_size=3),
    max_leaves=6,
)


@given(trees, trees)
def test_a_merge_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = merge(target, patch)
    assert merge(once, patch) == once


def test_merge_patch_examples() -> None:
    # RFC 7386, appendix A.
    assert merge({"a": "b"}, {"a": "c"}) == {"a": "c"}
    assert merge({"a": "b"}, {"b": "c"}) == {"a": "b", "b": "c"}
    assert merge({"a": "b"}, {"a": None}) == {}
    assert merge({"a": ["b"]}, {"a": "c"}) == {"a": "c"}
    assert merge({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}) == {"a": {"b": "d"}}
    assert merge(["a", "b"], ["c", "d"]) == ["c", "d"]
    assert merge({"a": "foo"}, None) is None
    assert merge({}, {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}
