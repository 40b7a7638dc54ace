"""What holds for every rendering, at every scale."""

import base64
import json
from typing import Any

import pytest
import yaml
from hypothesis import Phase, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from installer.core.canonical import canonical
from installer.core.objects import (
    ANNOTATION_HASH,
    ANNOTATION_OWNER,
    LABEL_COMPONENT,
    LABEL_INSTALL,
    Manifest,
)
from installer.core.settings_validation import validate_settings
from manifests.component import Declaration
from manifests.components.redis.extra import allowed
from manifests.derive.podtemplates import containers, is_workload, pod_template
from manifests.registry import all_components, check, settings_model
from manifests.rendering import readable_secret
from tests.unit.core.settings_strategies import settings_trees
from tests.unit.manifests.references import unresolved
from tests.unit.manifests.samples import (
    ROWS,
    digest,
    flat,
    key_of,
    named,
    objects,
    renderer,
    revealed,
    settings,
    value,
    waves,
)

every_row = pytest.mark.parametrize("row", ROWS)


@every_row
def test_names_are_unique_and_references_resolve(row: str) -> None:
    found = objects(row)
    keys = [key_of(m) for m in found]
    assert len(set(keys)) == len(keys)
    assert unresolved(found) == []


def test_a_reference_to_nothing_is_noticed() -> None:
    for kind in ("Secret", "ConfigMap", "Service", "Namespace", "PriorityClass"):
        assert unresolved([m for m in objects() if m["kind"] != kind])


@every_row
def test_objects_are_plain_yaml_and_json(row: str) -> None:
    for manifest in objects(row):
        assert yaml.safe_load(yaml.safe_dump(manifest)) == manifest
        assert json.loads(canonical(manifest)) == manifest


@every_row
def test_same_settings_give_the_same_bytes(row: str) -> None:
    first, second = (flat(renderer(settings(row)).waves(digest)) for _ in range(2))
    assert canonical(first) == canonical(second)


@every_row
def test_every_object_says_whose_it_is(row: str) -> None:
    for wave in waves(row):
        for manifest in wave.objects:
            meta = manifest["metadata"]
            assert meta["labels"][LABEL_INSTALL] == "example"
            assert meta["labels"][LABEL_COMPONENT] == wave.component
            assert meta["annotations"][ANNOTATION_OWNER] == "uid-1"
            assert len(meta["annotations"][ANNOTATION_HASH]) == 64
            if is_workload(manifest):
                assert pod_template(manifest)["metadata"]["labels"][LABEL_INSTALL] == "example"


@every_row
def test_images_are_pinned_and_at_their_floor(row: str) -> None:
    declared = {
        f"{i.repository}:{i.tag}" for component in all_components() for i in component.images
    }
    used = {c["image"] for m in objects(row) if is_workload(m) for c in containers(m)}
    assert used <= declared
    assert not any(image.endswith(":latest") for image in used)


def test_a_mirror_keeps_the_whole_name() -> None:
    source = {"kind": "registry", "registry": "registry.example.org:5000/matrix"}
    proxy = named(objects(source=source), "Deployment", "redis-synapse-proxy")
    image = containers(proxy)[0]["image"]
    assert image.startswith("registry.example.org:5000/matrix/docker.io/library/haproxy:3.2.")


@every_row
def test_no_secret_outside_of_secrets(row: str) -> None:
    for manifest in revealed(row):
        text = canonical(manifest).decode()
        if manifest["kind"] != "Secret":
            assert "canary" not in text
        else:
            assert "stringData" not in manifest
            plain = "".join(base64.b64decode(v).decode() for v in manifest["data"].values())
            assert "canary0redis0" in plain


@every_row
def test_every_declared_secret_is_used(row: str) -> None:
    made = renderer(settings(row))
    declared = {s.name for item in made.chosen for s in item.declaration.secrets}
    text = "".join(
        base64.b64decode(v).decode()
        for m in flat(made.waves(digest))
        if m["kind"] == "Secret"
        for v in m["data"].values()
    )
    assert {name for name in declared if digest(name) in text} == declared


@every_row
def test_revealed_differs_from_planned_in_secrets_alone(row: str) -> None:
    made = renderer(settings(row))
    planned = made.waves(digest)
    real = made.revealed(value)
    assert list(real) == [wave.id for wave in planned]
    for wave in planned:
        for before, after in zip(wave.objects, real[wave.id], strict=True):
            if before["kind"] == "Secret":
                before, after = (
                    {k: v for k, v in m.items() if k != "data"} for m in (before, after)
                )
            assert before == after


def test_a_new_secret_restarts_its_readers_and_nobody_else() -> None:
    made = renderer(settings())
    before = {key_of(m): m for m in flat(made.waves(digest))}
    changed = "redis-livekit-password"
    other = made.waves(lambda name: digest(name) + ("x" if name == changed else ""))
    after = {key_of(m): m for m in flat(other)}
    differing = {key[2] for key in before if is_workload(before[key]) and before[key] != after[key]}
    assert differing == {"redis-livekit", "redis-livekit-proxy"}


def test_hashes_need_the_key() -> None:
    made = renderer(settings())
    other = renderer(settings())
    other._key = b"\x08" * 32
    first, second = flat(made.waves(digest)), flat(other.waves(digest))
    for one, two in zip(first, second, strict=True):
        assert (
            one["metadata"]["annotations"][ANNOTATION_HASH]
            != two["metadata"]["annotations"][ANNOTATION_HASH]
        )


def test_two_installs_share_no_name() -> None:
    first = objects(install={"id": "first"})
    second = objects(install={"id": "second"})
    assert {key_of(m) for m in first} & {key_of(m) for m in second} == set()


@every_row
def test_waves_follow_what_objects_need(row: str) -> None:
    done: set[str] = set()
    made: set[str] = set()
    for wave in waves(row):
        assert set(wave.needs) <= done
        for manifest in wave.objects:
            namespace = manifest["metadata"].get("namespace", "")
            assert not namespace or namespace in made
        made |= {m["metadata"]["name"] for m in wave.objects if m["kind"] == "Namespace"}
        done.add(wave.id)


def test_workloads_come_after_their_configuration() -> None:
    position = {key_of(m): at for at, wave in enumerate(waves()) for m in wave.objects}
    workload = next(at for key, at in position.items() if key[0] == "StatefulSet")
    for kind in ("Secret", "ConfigMap", "Service", "NetworkPolicy", "ResourceQuota"):
        assert max(at for key, at in position.items() if key[0] == kind) < workload


@every_row
def test_memory_is_promised_and_cpu_not_limited(row: str) -> None:
    for container in (c for m in objects(row) if is_workload(m) for c in containers(m)):
        resources = container["resources"]
        assert resources["limits"] == {"memory": resources["requests"]["memory"]}
        assert resources["requests"]["cpu"].endswith("m")


def test_figures_are_the_size_rows() -> None:
    servers = named(objects("1k"), "StatefulSet", "redis-synapse")
    (server,) = [c for c in containers(servers) if c["name"] == "server"]
    assert server["resources"]["limits"]["memory"] == "4096Mi"
    assert server["resources"]["requests"]["cpu"] == "1000m"  # half of two cores


def test_own_figures_take_the_place_of_the_rows() -> None:
    overrides = {
        "redis": {"cpu": 3},
        "redis/livekit": {"memory": "512Mi", "replicas": 5},
        "redis/proxy": {"replicas": 3},
    }
    found = objects(scale={"row": "100", "overrides": overrides})
    livekit = named(found, "StatefulSet", "redis-livekit")
    assert livekit["spec"]["replicas"] == 5
    assert containers(livekit)[0]["resources"]["limits"]["memory"] == "512Mi"
    assert containers(livekit)[0]["resources"]["requests"]["cpu"] == "1500m"
    assert named(found, "Deployment", "redis-synapse-proxy")["spec"]["replicas"] == 3


@every_row
def test_pods_meet_the_restricted_standard(row: str) -> None:
    for manifest in objects(row):
        if not is_workload(manifest):
            continue
        spec = pod_template(manifest)["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(manifest):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@every_row
def test_more_than_one_pod_is_spread_and_budgeted(row: str) -> None:
    found = objects(row)
    budgets = {m["metadata"]["name"] for m in found if m["kind"] == "PodDisruptionBudget"}
    for manifest in (m for m in found if is_workload(m)):
        many = manifest["spec"]["replicas"] > 1
        assert (manifest["metadata"]["name"] in budgets) is many
        spread = pod_template(manifest)["spec"].get("topologySpreadConstraints", [])
        assert [s["topologyKey"] for s in spread] == (
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] if many else []
        )
        for rule in spread:
            assert (
                rule["labelSelector"]["matchLabels"] == manifest["spec"]["selector"]["matchLabels"]
            )


def test_readable_secret_shows_texts() -> None:
    secret = next(m for m in revealed() if m["kind"] == "Secret")
    shown = readable_secret(secret)
    assert "data" not in shown
    assert all(isinstance(text, str) for text in shown["stringData"].values())
    assert "data" in secret


sizes = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.sampled_from([1, 3, 5]),
        "cpu": st.sampled_from([0.1, 2, 7.5]),
        "memory": st.sampled_from(["64Mi", "3Gi"]),
    },
).filter(bool)
overrides = st.dictionaries(
    st.sampled_from(["redis", "redis/synapse", "redis/livekit", "redis/proxy"]), sizes, max_size=3
)
words = st.booleans() | st.integers(0, 10**9) | st.from_regex(r"[ -~]{0,12}", fullmatch=True)
redis = st.fixed_dictionaries(
    {},
    optional={
        "extra": st.dictionaries(
            st.sampled_from(sorted(allowed())), words | st.lists(words, min_size=1), max_size=3
        ),
        "patches": st.just({"deployment/redis-synapse-proxy": {"spec": {"minReadySeconds": 3}}}),
        "livekit": st.just(
            {
                "provision": "external",
                "external": {
                    "host": "redis.example.org",
                    "password": "secret:redis-of-ours",
                    "networks": ["192.0.2.0/29"],
                },
            }
        ),
    },
)


# Not shrunk: a rendering takes a tenth of a second, and hundreds would follow a failure.
@hypothesis_settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(settings_trees(), overrides, redis)
def test_valid_settings_render_and_resolve(
    plain: dict[str, Any], own: dict[str, Any], section: dict[str, Any]
) -> None:
    plain = {
        **plain,
        "scale": {**plain["scale"], "overrides": own},
        "components": {"redis": section},
    }
    of = validate_settings(settings_model(), plain)
    assume(not list(check(of)))
    found: list[Manifest] = flat(renderer(of).waves(digest))
    assert unresolved(found) == []
    assert len({key_of(m) for m in found}) == len(found)


def test_declaration_is_empty_by_default() -> None:
    assert Declaration().objects == ()
