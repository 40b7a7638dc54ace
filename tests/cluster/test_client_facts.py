"""Facts and rights read from a real API server."""

from pathlib import Path

from installer.cluster.facts import gather_facts
from installer.cluster.foreign import Claimant, claim_on
from installer.cluster.rights import Right, missing_rights
from tests.cluster.clients import connected
from tests.lab.api import Api
from tests.lab.control_plane import ControlPlane


async def test_the_facts_of_a_cluster(control_plane: ControlPlane, tmp_path: Path) -> None:
    async with connected(control_plane.admin_kubeconfig(tmp_path / "kc")) as client:
        facts = await gather_facts(client)
    assert facts.minor == (1, 36)
    assert facts.uid
    assert [node.name for node in facts.nodes] == ["node-1", "node-2", "node-3"]
    assert (facts.nodes[0].cpu, facts.nodes[0].memory) == (64, 256 * 2**30)
    classes = {found.name: found for found in facts.storage_classes}
    assert classes["standard"].default
    assert classes["standard"].waits
    assert not classes["immediate"].waits
    assert "apps" in facts.api_groups
    assert not facts.load_balancer.present
    assert facts.credentials_end is not None
    assert not facts.unknown


def let_read_config_maps(api: Api, namespace: str) -> None:
    """All that the namespace's service account ``reader`` may do."""
    rbac = "rbac.authorization.k8s.io"
    meta = {"name": "reader", "namespace": namespace}
    api.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": meta,
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
        }
    )
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    api.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "reader"},
            "subjects": [subject],
        }
    )


async def test_what_may_not_be_read_is_named_and_missing(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    let_read_config_maps(control_plane.api, namespace)
    path = control_plane.access.token_kubeconfig(tmp_path / "kc", "reader", namespace=namespace)
    have = Right("get", "", "configmaps", namespace)
    lack = [
        Right("create", "", "namespaces"),
        Right("get", "", "configmaps", "default"),
        Right("patch", "apps", "deployments", namespace),
        Right("update", "apps", "deployments/scale", namespace),
    ]
    async with connected(path) as client:
        missing = await missing_rights(client, [have, *lack])
        facts = await gather_facts(client)
    assert {entry.right for entry in missing} == set(lack)
    assert facts.nodes == ()
    assert set(facts.unknown) >= {"nodes", "storage classes", "services"}


async def test_an_object_that_a_person_made_is_theirs(
    control_plane: ControlPlane, namespace: str
) -> None:
    made = control_plane.api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": namespace},
            "data": {"a": "b"},
        },
        manager="kubectl-edit",
    )
    claim = claim_on(made, install_uid="our-uid")
    assert claim is not None
    assert claim.claimant is Claimant.FIELD_MANAGER
    assert "kubectl-edit" in claim.words
