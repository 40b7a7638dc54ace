"""The tables and small languages that the simulated API server works with."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer.rehearsal.kube.fields import ListOf, MapOf, Node, Struct, struct
from installer.rehearsal.kube.paths import from_fields_v1, path_text, to_fields_v1
from installer.rehearsal.kube.problems import ApiError
from installer.rehearsal.kube.quantity import amount, canonical
from installer.rehearsal.kube.resources import builtin_types
from installer.rehearsal.kube.selectors import holds, matches, parse_labels
from installer.rehearsal.kube.typed import check, compare, field_set, merge, remove_items


def test_every_field_of_every_kind_has_a_known_type() -> None:
    seen: set[str] = set()

    def walk(node: Node) -> None:
        if isinstance(node, MapOf | ListOf):
            walk(node.element)
        elif isinstance(node, Struct) and node.name not in seen:
            seen.add(node.name)
            for field in node.fields.values():
                walk(field)

    for kind in builtin_types():
        walk(kind.schema)
    assert {"PodSpec", "ServicePort", "StatefulSetSpec", "NetworkPolicyPeer"} <= seen


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("100M", "100M"),
        ("1e3", "1e3"),
        ("0", "0"),
        ("0.5Gi", "512Mi"),
    ],
)
def test_quantities_are_kept_in_canonical_form(given_text: str, kept: str) -> None:
    assert canonical(given_text) == kept


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_canonical_quantities_are_the_same_amount(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert amount(canonical(text)) == amount(text)
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    ("selector", "labels", "taken"),
    [
        ("a=b", {"a": "b"}, True),
        ("a==b,c!=d", {"a": "b", "c": "e"}, True),
        ("a=b,c!=d", {"a": "b", "c": "d"}, False),
        ("a in (b, c)", {"a": "c"}, True),
        ("a notin (b,c)", {"a": "c"}, False),
        ("a notin (b,c)", {}, True),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("matrix-install.io/x=1,!y", {"matrix-install.io/x": "1"}, True),
        ("", {}, True),
    ],
)
def test_label_selectors(selector: str, labels: dict[str, str], taken: bool) -> None:
    assert holds(parse_labels(selector), labels) is taken


def test_a_selector_that_is_none_is_refused() -> None:
    with pytest.raises(ApiError, match="invalid selector"):
        parse_labels("a=b=c, ((")


def test_label_selector_objects() -> None:
    expression = {"key": "tier", "operator": "In", "values": ["a"]}
    selector = {"matchLabels": {"app": "x"}, "matchExpressions": [expression]}
    assert matches(selector, {"app": "x", "tier": "a"})
    assert not matches(selector, {"app": "x", "tier": "b"})
    assert matches({}, {"any": "thing"})
    assert not matches(None, {"any": "thing"})


def _container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "a", **fields}]}}}}


def test_fields_survive_their_wire_form() -> None:
    obj = _container(image="x", ports=[{"containerPort": 1}], args=["a", "b"])
    obj["metadata"] = {"labels": {"a/b": "1"}, "finalizers": ["x/y"]}
    paths = field_set(struct("Deployment"), obj)
    wire = json.loads(json.dumps(to_fields_v1(paths)))
    assert from_fields_v1(wire) == paths
    texts = {path_text(path) for path in paths}
    assert '.spec.template.spec.containers[name="a"].image' in texts
    assert '.spec.template.spec.containers[name="a"].args' in texts
    assert '.metadata.finalizers[="x/y"]' in texts
    assert ".metadata.labels.a/b" in texts


def test_merge_and_removal_are_inverse() -> None:
    schema = struct("Deployment")
    live = _container(image="x", env=[{"name": "A", "value": "1"}])
    extra = _container(env=[{"name": "B", "value": "2"}])
    merged = merge(schema, live, extra)
    added = compare(schema, live, merged).added
    assert remove_items(schema, merged, frozenset(added)) == live


def test_values_of_the_wrong_type_are_named() -> None:
    obj = {"spec": {"replicas": "3", "selector": {"matchLabels": {"a": 1}}, "paused": "no"}}
    assert check(struct("Deployment"), obj) == [
        '.spec.replicas: expected numeric (int or float), got &value.valueUnstructured{Value:"3"}',
        ".spec.selector.matchLabels.a: expected string, got &value.valueUnstructured{Value:1}",
        '.spec.paused: expected boolean, got &value.valueUnstructured{Value:"no"}',
    ]
