"""Our fields in a live object: equal under whatever a server adds, different when one differs."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer.cluster.compare import (
    MISSING,
    changes,
    differences,
    metadata_differences,
    path_text,
)
from installer.cluster.owners import described
from installer.cluster.quantities import quantity

NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
TEXTS = st.text(alphabet="abc 1", min_size=1, max_size=6)
# (as declared, as the API gives it back)
QUANTITIES = st.sampled_from(
    [("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), (2, "2"), ("1e3", "1k"), ("128Mi",) * 2]
)


@st.composite
def containers(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """One container as declared, and as a server would store it."""
    name = draw(NAMES)
    asked, stored = draw(QUANTITIES)
    env = draw(st.dictionaries(NAMES, TEXTS, max_size=3))
    ours: dict[str, Any] = {
        "name": name,
        "image": draw(TEXTS),
        "resources": {"requests": {"cpu": asked}},
        "env": [{"name": n, "value": v} for n, v in env.items()],
        "args": draw(st.lists(TEXTS, max_size=3)),
        "ports": [{"containerPort": 80}],
        "stdin": False,
        "lifecycle": None,
        "volumeMounts": [],
    }
    live = copy.deepcopy(ours)
    live["resources"] = {"requests": {"cpu": stored}}
    live["imagePullPolicy"] = "IfNotPresent"
    live["ports"] = [{"containerPort": 80, "protocol": "TCP"}]
    live["env"] = draw(st.permutations([*live["env"], {"name": "injected", "value": "x"}]))
    for dropped in ("stdin", "lifecycle", "volumeMounts"):
        del live[dropped]
    return ours, live


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    items = draw(st.lists(containers(), min_size=1, max_size=3, unique_by=lambda i: i[0]["name"]))
    sidecar = {"name": "sidecar", "image": "mesh"}
    live_items = draw(st.permutations([*(live for _, live in items), sidecar]))
    labels = draw(st.dictionaries(NAMES, TEXTS, max_size=2))
    meta = {"name": "x", "labels": labels, "annotations": {}}
    spec = {"template": {"spec": {"containers": [ours for ours, _ in items]}}, "paused": None}
    ours = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    live = {
        **ours,
        "metadata": {
            "name": "x",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {**labels, "other": "label"},
        },
        "spec": {"replicas": 1, "template": {"spec": {"containers": live_items}}},
        "status": {"readyReplicas": 1},
    }
    return ours, live


@given(pairs())
def test_defaults_order_and_notation_are_no_difference(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    ours, live = pair
    assert differences(ours, live) == ()


def _leaf_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [p for name, below in value.items() for p in _leaf_paths(below, (*path, name))]
    if isinstance(value, list):
        return [p for i, below in enumerate(value) for p in _leaf_paths(below, (*path, i))]
    return [path]


@given(pairs(), st.data())
def test_a_change_of_any_field_of_ours_is_found(
    pair: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    ours, live = pair
    changed = copy.deepcopy(ours)
    paths = [p for p in _leaf_paths(ours) if _reach(ours, p) not in (None, False, "")]
    path = data.draw(st.sampled_from(paths))
    _reach(changed, path[:-1])[path[-1]] = "something else"
    assert differences(changed, live) != ()


def _reach(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


@given(pairs())
def test_the_same_object_has_no_changes(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    _, live = pair
    touched = copy.deepcopy(live)
    touched["metadata"]["resourceVersion"] = "8"
    touched["status"] = {}
    assert changes(live, touched) == ()


def thing(kind: str = "Deployment", **body: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **body}


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        ({"automountServiceAccountToken": False}, {}),  # a pointer: absence means true
        ({"data": {"a": ""}}, {"data": {}}),  # an empty file is a file
        ({"data": {"a": "1000m"}}, {"data": {"a": "1"}}),  # text, not a quantity
        ({"spec": {"podSelector": {}}}, {"spec": {}}),  # selects everything
        ({"spec": {"x": [1, 2]}}, {"spec": {"x": [2, 1]}}),  # order counts without keys
        ({"spec": {"x": [1]}}, {"spec": {"x": [1, 2]}}),
        ({"spec": {"on": True}}, {"spec": {"on": 1}}),
        ({"spec": {"image": "1000m"}}, {"spec": {"image": "1"}}),
        (
            {"spec": {"volumes": [{"name": "a", "emptyDir": {}}]}},
            {"spec": {"volumes": [{"name": "a"}]}},
        ),
    ],
)
def test_what_only_looks_equal_is_different(ours: dict[str, Any], live: dict[str, Any]) -> None:
    assert differences(thing(**ours), thing(**live)) != ()


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        ({"spec": {"a": None, "b": "", "c": [], "d": {}, "e": {"f": None}}}, {"spec": {}}),
        ({"metadata": {"name": "x", "labels": {}}}, {}),
        ({"spec": {"hard": {"limits.cpu": "2000m"}}}, {"spec": {"hard": {"limits.cpu": "2"}}}),
        (
            {"spec": {"resources": {"requests": {"storage": "1024Mi"}}}},
            {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
        ),
        ({"spec": {"ports": [{"port": 1}]}}, {"spec": {"ports": [{"port": 1, "protocol": "TCP"}]}}),
    ],
)
def test_what_only_looks_different_is_equal(ours: dict[str, Any], live: dict[str, Any]) -> None:
    assert differences(thing("Service", **ours), thing("Service", **live)) == ()


def test_a_network_policys_ports_are_one_value() -> None:
    spec = {"ingress": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}
    more = {"ingress": [{"ports": [*spec["ingress"][0]["ports"], {"port": 2, "protocol": "TCP"}]}]}
    assert differences(thing(spec=spec), thing(spec=more)) != ()


def test_paths_read_as_the_api_writes_them() -> None:
    found = differences(
        thing(spec={"containers": [{"name": "web", "image": "a", "args": ["x"]}]}),
        thing(spec={"containers": [{"name": "web", "image": "b", "args": ["y"]}]}),
    )
    assert [item.where for item in found] == [
        "spec.containers[name=web].image",
        "spec.containers[name=web].args[0]",
    ]
    assert path_text(("metadata", "labels", "a.b/c")) == "metadata.labels[a.b/c]"


def test_a_removed_list_element_shows_as_missing() -> None:
    before = thing(spec={"containers": [{"name": "a"}, {"name": "b"}]})
    after = thing(spec={"containers": [{"name": "a"}]})
    (found,) = changes(before, after)
    assert found.wanted is MISSING
    assert found.where == "spec.containers[name=b]"


def test_metadata_differences_look_at_labels_and_annotations_only() -> None:
    ours = {"metadata": {"name": "x", "labels": {"a": "1"}}, "spec": {"x": 1}}
    assert metadata_differences(ours, {"metadata": {"labels": {"a": "1", "b": "2"}}}) == ()
    assert metadata_differences(ours, {"metadata": {}}) != ()


def test_lines_name_the_manager_of_the_very_field() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}}
    entry = {"manager": "kubectl-edit", "operation": "Update", "time": "T", "fieldsV1": fields}
    live = thing(spec={"containers": [{"name": "web", "image": "b", "tty": True}]})
    live["metadata"]["managedFields"] = [entry]
    wanted = thing(spec={"containers": [{"name": "web", "image": "a", "tty": False}]})
    lines = list(described(differences(wanted, live), live))
    assert lines == [
        'spec.containers[name=web].image: "b" -> "a" (set by kubectl-edit at T)',
        "spec.containers[name=web].tty: true -> false",
    ]


def test_long_texts_show_the_lines_that_differ() -> None:
    live = thing("ConfigMap", data={"redis.conf": "port 1\nbind a\n"})
    wanted = thing("ConfigMap", data={"redis.conf": "port 2\nbind a\n"})
    assert list(described(differences(wanted, live), live)) == [
        "data[redis.conf]: -port 1; +port 2"
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [("1000m", "1"), ("1Ki", 1024), ("0.1", "100m"), ("1e3", "1k"), ("1E", "1e18"), (".5", "500m")],
)
def test_quantities(text: object, same: object) -> None:
    assert quantity(text) == quantity(same)


@pytest.mark.parametrize("text", ["", "abc", "1 Gi", "1Gi ", "--1", True, None, "1ki"])
def test_what_is_no_quantity(text: object) -> None:
    assert quantity(text) is None
