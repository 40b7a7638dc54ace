"""Server-side apply: owners, merges, no-ops, dry runs."""

from tests.contract.client import Client, causes, path_of, refused
from tests.contract.objects import (
    IMAGE,
    config_map,
    deployment,
    pod_template,
    secret,
    service,
)


async def apply_creates_then_changes(client: Client) -> None:
    """201 and an owner entry at first; 200, a new version and a new generation on change."""
    wanted = deployment(client.namespace, replicas=0)
    answer = await client.apply(wanted)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    entry = made["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == (
        "one",
        "Apply",
        "apps/v1",
    )
    assert "f:replicas" in entry["fieldsV1"]["f:spec"]
    assert made["metadata"]["generation"] == 1
    wanted["spec"]["revisionHistoryLimit"] = 3
    answer = await client.apply(wanted)
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["generation"] == 2
    assert answer.json()["metadata"]["uid"] == made["metadata"]["uid"]


async def no_op_keeps_version(client: Client) -> None:
    """Applying the same again leaves resourceVersion as it is, for every kind tried."""
    namespace = client.namespace
    for wanted in (config_map(namespace), secret(namespace), service(namespace)):
        first = await client.applied(wanted)
        again = await client.applied(wanted)
        versions = [obj["metadata"]["resourceVersion"] for obj in (first, again)]
        assert versions[0] == versions[1], wanted["kind"]


async def conflict_names_field_and_manager(client: Client) -> None:
    """409 with a FieldManagerConflict cause a field; nothing has changed."""
    await client.applied(config_map(client.namespace, a="1", b="1"))
    answer = await client.apply(config_map(client.namespace, a="2", b="1"), "two")
    message = refused(answer, 409, "Conflict")
    assert 'conflict with "one"' in message
    assert causes(answer) == [("FieldManagerConflict", ".data.a")]
    seen = await client.seen(path_of(config_map(client.namespace)))
    assert seen["data"] == {"a": "1", "b": "1"}


async def conflict_in_a_keyed_list(client: Client) -> None:
    """The field path of a conflict names list elements by their keys."""
    await client.applied(deployment(client.namespace, replicas=0))
    other = deployment(client.namespace, replicas=0)
    other["spec"]["template"] = pod_template("web", image="registry.example/app:2")
    answer = await client.apply(other, "two")
    refused(answer, 409, "Conflict")
    where = '.spec.template.spec.containers[name="app"].image'
    assert causes(answer) == [("FieldManagerConflict", where)]


async def force_takes_ownership(client: Client) -> None:
    """A forced apply wins; the former owner has lost that field, and only that."""
    await client.applied(config_map(client.namespace, a="1", b="1"))
    done = await client.applied(config_map(client.namespace, a="2"), "two", force="true")
    assert done["data"] == {"a": "2", "b": "1"}
    owners = {
        entry["manager"]: set(entry["fieldsV1"]["f:data"])
        for entry in done["metadata"]["managedFields"]
    }
    assert owners == {"one": {"f:b"}, "two": {"f:a"}}


async def equal_values_are_shared(client: Client) -> None:
    """Two managers may apply the same value; it stays until both have dropped it."""
    await client.applied(config_map(client.namespace, a="1", b="1"))
    await client.applied(config_map(client.namespace, b="1"), "two")
    done = await client.applied(config_map(client.namespace, a="1"))
    assert done["data"] == {"a": "1", "b": "1"}
    done = await client.applied(config_map(client.namespace, c="1"), "two")
    assert done["data"] == {"a": "1", "c": "1"}


async def dropped_fields_are_removed(client: Client) -> None:
    """What a manager no longer applies goes, also out of keyed lists and labels."""
    wanted = deployment(client.namespace, replicas=0)
    wanted["metadata"]["labels"] = {"x": "1", "y": "1"}
    container = wanted["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    await client.applied(wanted)
    wanted["metadata"]["labels"] = {"y": "1"}
    container["env"] = [{"name": "B", "value": "3"}]
    done = await client.applied(wanted)
    assert done["metadata"]["labels"] == {"y": "1"}
    made = done["spec"]["template"]["spec"]["containers"][0]
    assert made["env"] == [{"name": "B", "value": "3"}]


async def lists_merge_by_key(client: Client) -> None:
    """A second manager adds its own environment variable without naming the first's."""
    await client.applied(deployment(client.namespace, replicas=0))
    extra = {"name": "EXTRA", "value": "1"}
    patch = deployment(client.namespace, replicas=0)
    patch["spec"] = {"template": {"spec": {"containers": [{"name": "app", "env": [extra]}]}}}
    done = await client.applied(patch, "two")
    container = done["spec"]["template"]["spec"]["containers"][0]
    assert {item["name"] for item in container["env"]} == {"MODE", "EXTRA"}
    assert container["image"] == IMAGE


async def duplicate_list_keys_are_refused(client: Client) -> None:
    """The same key twice in a keyed list is no object at all: 500 without a reason."""
    wanted = deployment(client.namespace, replicas=0)
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = twice
    answer = await client.apply(wanted)
    assert "duplicate entries for key" in refused(answer, 500, "")


async def defaults_and_canonical_amounts(client: Client) -> None:
    """The server fills in defaults and rewrites quantities; applying again is still a no-op."""
    wanted = deployment(client.namespace, replicas=0)
    limits = {"memory": "1024Mi", "cpu": "0.5"}
    wanted["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
    done = await client.applied(wanted)
    container = done["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"memory": "1Gi", "cpu": "500m"}
    assert container["ports"][0]["protocol"] == "TCP"
    assert done["spec"]["strategy"]["type"] == "RollingUpdate"
    assert done["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30


async def dry_run_leaves_nothing(client: Client) -> None:
    """A dry run answers like the real thing, for create, change and delete, and does nothing."""
    wanted = config_map(client.namespace)
    answer = await client.apply(wanted, dryRun="All")
    assert answer.status_code == 201, answer.text
    assert answer.json()["metadata"]["uid"]
    assert (await client.get(path_of(wanted))).status_code == 404
    first = await client.applied(wanted)
    changed = await client.applied(config_map(client.namespace, a="2"), dryRun="All")
    assert changed["data"] == {"a": "2"}
    answer = await client.request("DELETE", path_of(wanted), {"dryRun": ["All"]})
    assert answer.status_code == 200, answer.text
    seen = await client.seen(path_of(wanted))
    assert seen["data"] == {"a": "1"}
    assert seen["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def plain_writes_own_fields_too(client: Client) -> None:
    """A merge patch makes its sender an owner, against whom an apply collides."""
    wanted = config_map(client.namespace)
    await client.applied(wanted)
    answer = await client.request(
        "PATCH",
        path_of(wanted),
        {"data": {"a": "9"}},
        media="application/merge-patch+json",
        fieldManager="editor",
    )
    assert answer.status_code == 200, answer.text
    answer = await client.apply(wanted)
    message = refused(answer, 409, "Conflict")
    assert 'conflict with "editor" using v1' in message
    assert causes(answer) == [("FieldManagerConflict", ".data.a")]


async def text_of_secrets_is_written_but_not_owned(client: Client) -> None:
    """`stringData` becomes `data`, owned by nobody: a key that is dropped there stays."""
    wanted = secret(client.namespace)
    wanted["stringData"] = {"a": "1", "b": "2"}
    done = await client.applied(wanted)
    assert done["data"] == {"a": "MQ==", "b": "Mg=="}
    assert "stringData" not in done
    assert set(done["metadata"]["managedFields"][0]["fieldsV1"]) == {"f:stringData", "f:type"}
    wanted["stringData"] = {"a": "3"}
    done = await client.applied(wanted)
    assert done["data"] == {"a": "Mw==", "b": "Mg=="}
    del wanted["stringData"]
    wanted["data"] = {"a": "Mw=="}
    await client.applied(wanted)
    wanted["data"] = {"c": "MQ=="}
    done = await client.applied(wanted)
    assert done["data"] == {"b": "Mg==", "c": "MQ=="}


async def status_is_not_applied(client: Client) -> None:
    """A status in an applied object is passed over, not refused."""
    wanted = deployment(client.namespace, replicas=0)
    wanted["status"] = {"replicas": 7}
    done = await client.applied(wanted)
    assert (done.get("status") or {}).get("replicas", 0) == 0


async def scale_is_a_door_of_its_own(client: Client) -> None:
    """Scaling through the subresource makes the scaler an owner of replicas."""
    wanted = deployment(client.namespace, replicas=0)
    await client.applied(wanted)
    answer = await client.request(
        "PATCH",
        f"{path_of(wanted)}/scale",
        {"spec": {"replicas": 1}},
        media="application/merge-patch+json",
        fieldManager="scaler",
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["spec"]["replicas"] == 1
    answer = await client.apply(wanted)
    refused(answer, 409, "Conflict")
    assert ("FieldManagerConflict", ".spec.replicas") in causes(answer)


CASES = (
    apply_creates_then_changes,
    no_op_keeps_version,
    conflict_names_field_and_manager,
    conflict_in_a_keyed_list,
    force_takes_ownership,
    equal_values_are_shared,
    dropped_fields_are_removed,
    lists_merge_by_key,
    duplicate_list_keys_are_refused,
    defaults_and_canonical_amounts,
    dry_run_leaves_nothing,
    plain_writes_own_fields_too,
    text_of_secrets_is_written_but_not_owned,
    status_is_not_applied,
    scale_is_a_door_of_its_own,
)
