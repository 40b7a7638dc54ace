"""What must hold of applying on any API server; run against the real and the simulated one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from installer.cluster.handle import Consents
from installer.cluster.judging import Standing
from installer.cluster.survey import survey
from installer.cluster.uninstall_survey import UninstallMode
from installer.core.errors import InstallError
from installer.core.objects import Manifest, ObjectRef
from tests.cluster.apply_world import Install

Case: TypeAlias = Callable[[Install], Awaitable[None]]
POLICY, RBAC = "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"


WITHOUT_STATUS = (
    "configmap",
    "secret",
    "serviceaccount",
    "role.rbac.authorization.k8s.io",
    "rolebinding.rbac.authorization.k8s.io",
)


def many_kinds(at: Install) -> tuple[Manifest, ...]:
    """Twelve kinds with fields that the server defaults, sorts or writes anew."""
    quota = {"hard": {"requests.storage": "1024Gi", "count/configmaps": "100000m"}}
    port = {"name": "http", "port": 80, "targetPort": "http"}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    subject = {"kind": "ServiceAccount", "name": "web", "namespace": at.space()}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    pods = {"matchLabels": {"app": "web"}}
    scale = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
    return (
        at.config(),
        at.make("v1", "Secret", "key", type="Opaque", stringData={"k": "value"}),
        at.make("v1", "ServiceAccount", "web", automountServiceAccountToken=False),
        at.make("v1", "Service", "web", spec={"selector": {"app": "web"}, "ports": [port]}),
        at.make("v1", "ResourceQuota", "quota", spec=quota),
        at.make("v1", "PersistentVolumeClaim", "shared", spec=claim),
        at.make(RBAC, "Role", "reader", rules=[rule]),
        at.make(RBAC, "RoleBinding", "reader", roleRef=role, subjects=[subject]),
        at.make(POLICY, "NetworkPolicy", "deny", spec={"podSelector": {}}),
        at.make(
            "policy/v1",
            "PodDisruptionBudget",
            "web",
            spec={"maxUnavailable": 1, "selector": pods},
        ),
        at.make(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "web",
            spec={"maxReplicas": 3, "scaleTargetRef": scale},
        ),
        at.job(),
    )


async def a_second_run_changes_nothing(at: Install) -> None:
    waves = at.waves(*many_kinds(at), at.stateful_set())
    found, passed = await at.run(waves)
    assert len(found.new) == 14
    assert len(passed) == 14 + 4  # the objects, and the inventory twice a wave
    before = await at.versions(waves)
    found, passed = await at.run(waves)
    assert [f"{item.ref}: {item.lines}" for item in found.changed] == []
    assert found.nothing_to_do
    assert passed == []
    after = await at.versions(waves)
    # A controller may write status meanwhile; what has none must not have moved.
    still = [key for key in before if key.split("/")[0] in WITHOUT_STATUS]
    assert len(still) == 5
    assert [after[key] for key in still] == [before[key] for key in still]


async def an_edit_is_shown_with_its_author_and_set_back_when_approved(at: Install) -> None:
    waves = at.waves(at.config(), at.deployment())
    await at.run(waves)
    async with at.opened() as handle:
        for manifest, change in (
            (at.config(), {"data": {"a": "9"}}),
            (at.deployment(), {"spec": {"replicas": 5}}),
        ):
            edited = {
                "apiVersion": manifest["apiVersion"],
                "kind": manifest["kind"],
                "metadata": {"name": manifest["metadata"]["name"], "namespace": at.space()},
                **change,
            }
            await handle.api.apply(edited, force=True, manager="kubectl-edit")
        found = await survey(handle, waves)
    lines = [line for item in found.changed for line in item.lines]
    assert len(lines) == 2
    assert lines[0].startswith('data.a: "9" -> "1" (set by kubectl-edit at ')
    assert lines[1].startswith("spec.replicas: 5 -> 2 (set by kubectl-edit at ")
    with pytest.raises(InstallError, match="FIELD-CONFLICT"):
        await at.run_unseen(waves)
    await at.run(waves)
    assert (await at.there(at.config()))["data"] == {"a": "1"}
    assert (await at.there(at.deployment()))["spec"]["replicas"] == 2
    assert (await at.run(waves))[1] == []


async def what_is_no_longer_wanted_is_pruned(at: Install) -> None:
    await at.run(at.waves(at.config("a"), at.config("b"), at.deployment()))
    found, passed = await at.run(at.waves(at.config("a")))
    assert sorted(item.ref.kind for item in found.prune) == ["ConfigMap", "Deployment"]
    assert [p for p in passed if p.startswith("delete")] == [
        f"delete deployment.apps/{at.space()}/web",
        f"delete configmap/{at.space()}/b",
    ]
    assert await at.get(at.config("b")) is None
    assert (await at.run(at.waves(at.config("a"))))[1] == []


async def a_changed_job_runs_again(at: Install) -> None:
    await at.run(at.waves(at.job()))
    first = await at.there(at.job())
    changed = at.job("registry.example.org/init:2")
    found, passed = await at.run(at.waves(changed))
    assert [item.ref.name for item in found.changed] == ["init"]
    assert f"delete job.batch/{at.space()}/init" in passed
    assert (await at.there(changed))["metadata"]["uid"] != first["metadata"]["uid"]
    assert (await at.run(at.waves(changed)))[1] == []


async def a_stateful_set_is_made_anew_around_its_pods(at: Install) -> None:
    await at.run(at.waves(at.stateful_set()))
    pod = at.make("v1", "Pod", "db-0")
    before, old = await at.there(pod), await at.there(at.stateful_set())
    changed = at.stateful_set(service="other")
    await at.run(at.waves(changed))
    live = await at.there(changed)
    assert live["metadata"]["uid"] != old["metadata"]["uid"]
    assert live["spec"]["serviceName"] == "other"
    assert (await at.there(pod))["metadata"]["uid"] == before["metadata"]["uid"]
    assert (await at.run(at.waves(changed)))[1] == []


async def volumes_never_shrink(at: Install) -> None:
    await at.run(at.waves(at.stateful_set()))
    old = await at.there(at.stateful_set())
    with pytest.raises(InstallError, match="VOLUME-CANNOT-CHANGE"):
        await at.run(at.waves(at.stateful_set(size="512Mi")))
    assert (await at.there(at.stateful_set()))["metadata"]["uid"] == old["metadata"]["uid"]


async def a_selector_changes_only_by_consent(at: Install) -> None:
    await at.run(at.waves(at.deployment()))
    changed = at.deployment()
    labels = changed["spec"]["template"]["metadata"]["labels"]
    changed["spec"]["selector"] = {"matchLabels": {"app": "web", "tier": "front"}}
    changed["spec"]["template"]["metadata"]["labels"] = {**labels, "tier": "front"}
    changed["metadata"]["annotations"]["matrix-install.io/content-hash"] = "changed"
    with pytest.raises(InstallError, match="RECREATE-NEEDS-CONSENT"):
        await at.run(at.waves(changed))
    key = ObjectRef.of(changed).key
    await at.run(at.waves(changed), Consents(recreate=frozenset({key})))
    selector = (await at.there(changed))["spec"]["selector"]["matchLabels"]
    assert selector == {"app": "web", "tier": "front"}


async def foreign_objects_are_refused_before_any_write(at: Install) -> None:
    await at.run(at.waves())
    theirs = at.config()
    theirs["metadata"] = {"name": "settings", "namespace": at.space()}
    async with at.opened() as handle:
        await handle.api.apply(theirs, manager="kubectl-create")
    async with at.opened() as handle:
        found = await survey(handle, at.waves(at.config(a="2"), at.config("b")))
    assert [item.ref.name for item in found.foreign] == ["settings"]
    with pytest.raises(InstallError, match="FOREIGN-OWNER") as caught:
        await at.run(at.waves(at.config(a="2"), at.config("b")))
    assert "kubectl-create" in caught.value.cause
    assert await at.get(at.config("b")) is None
    adopt = Consents(adopt=frozenset({ObjectRef.of(at.config()).key}))
    await at.run(at.waves(at.config(a="2"), at.config("b")), adopt)
    assert (await at.there(at.config()))["data"] == {"a": "2"}


async def a_stuck_namespace_is_explained_and_made_anew(at: Install) -> None:
    held = at.config("held")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    await at.run(at.waves(held))
    async with at.opened() as handle:
        await handle.api.delete(ObjectRef("v1", "Namespace", "", at.space()))
    await at.until(held, lambda live: "deletionTimestamp" in live["metadata"])
    async with at.opened() as handle:
        found = await survey(handle, at.waves(held))
    assert {item.standing for item in found.objects} == {Standing.LEAVING}
    explained = at.told("example.org/hold")
    async with asyncio.TaskGroup() as group:
        group.create_task(at.run(at.waves(at.config("held"))))
        async with asyncio.timeout(30):
            await explained.wait()
        async with at.opened() as handle:
            await handle.api.patch(ObjectRef.of(held), {"metadata": {"finalizers": None}})
    assert "finalizers" not in (await at.there(held))["metadata"]


async def a_definition_and_its_object_go_in_one_run(at: Install) -> None:
    group = f"{at.id}.example.org"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        ],
    }
    name = f"things.{group}"
    definition = at.make("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, "", spec=spec)
    thing = at.make(f"{group}/v1", "Thing", "one", spec={"x": 1})
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(at.run(at.waves(definition, thing)))
        live = await at.until(thing, lambda _: True)
        # Without a status it is not ready; its operator gives it one.
        ready = {"type": "Ready", "status": "True"}
        async with at.opened() as handle:
            await handle.api.patch(ObjectRef.of(live), {"status": {"conditions": [ready]}})
    stays = await at.uninstall(UninstallMode.DESTROY, at.space())
    assert stays == ()
    assert await at.get(definition) is None


async def uninstall_keeps_data_and_an_install_goes_on_with_it(at: Install) -> None:
    waves = at.waves(at.config(), at.stateful_set(), at.deployment())
    await at.run(waves)
    volume = at.make("v1", "PersistentVolumeClaim", "data-db-0")
    uid = (await at.there(volume))["metadata"]["uid"]
    stays = await at.uninstall(UninstallMode.KEEP_DATA)
    assert any(line.startswith("PersistentVolumeClaim data-db-0") for line in stays)
    assert await at.get(at.stateful_set()) is None
    assert await at.get(at.config()) is None
    found, _ = await at.run(waves)
    assert [item.ref.kind for item in found.unchanged] == ["Namespace"]
    assert (await at.there(volume))["metadata"]["uid"] == uid
    await at.uninstall(UninstallMode.DESTROY, at.space())
    for gone in (volume, at.namespace(), at.namespace("install")):
        assert await at.get(gone) is None


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        a_second_run_changes_nothing,
        an_edit_is_shown_with_its_author_and_set_back_when_approved,
        what_is_no_longer_wanted_is_pruned,
        a_changed_job_runs_again,
        a_stateful_set_is_made_anew_around_its_pods,
        volumes_never_shrink,
        a_selector_changes_only_by_consent,
        foreign_objects_are_refused_before_any_write,
        a_stuck_namespace_is_explained_and_made_anew,
        a_definition_and_its_object_go_in_one_run,
        uninstall_keeps_data_and_an_install_goes_on_with_it,
    )
}
