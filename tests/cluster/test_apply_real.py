"""Applying on a real API server with real controllers."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from installer.core.errors import InstallError
from installer.core.objects import Manifest
from tests.cluster.apply_cases import CASES
from tests.cluster.apply_world import Install
from tests.lab.control_plane import ControlPlane
from tests.lab.stages import FAULT_LABEL, PodFault


@pytest.mark.parametrize("name", CASES)
@pytest.mark.timeout(180)
async def test_applying(name: str, control_plane: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = control_plane.admin_kubeconfig(tmp_path / "kubeconfig")
    await CASES[name](Install(kubeconfig, tmp_path / "scratch"))


@pytest.mark.timeout(120)
async def test_pods_that_may_not_be_created(control_plane: ControlPlane, tmp_path: Path) -> None:
    """A StatefulSet says in its events alone that a quota refuses its pods."""
    at = Install(control_plane.admin_kubeconfig(tmp_path / "kubeconfig"), tmp_path / "scratch")
    quota = at.make("v1", "ResourceQuota", "quota", spec={"hard": {"limits.cpu": "1"}})
    with pytest.raises(InstallError, match="PODS-REFUSED") as caught:
        await at.run(at.waves(quota, at.stateful_set()))
    assert "must specify limits.cpu" in caught.value.cause


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (PodFault.CRASH_LOOP, "CRASH-LOOP"),
        (PodFault.OOM, "OUT-OF-MEMORY"),
        (PodFault.CONFIG_ERROR, "CONTAINER-CONFIG"),
        (PodFault.INIT_CRASH, "CRASH-LOOP"),
        (PodFault.FAILED, "JOB-FAILED"),
    ],
)
@pytest.mark.timeout(120)
async def test_pods_that_fail(
    fault: PodFault, code: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    at = Install(control_plane.admin_kubeconfig(tmp_path / "kubeconfig"), tmp_path / "scratch")
    workload = at.job() if code == "JOB-FAILED" else at.deployment()
    template = workload["spec"]["template"]
    template["metadata"]["labels"][FAULT_LABEL] = fault.value
    if fault is PodFault.INIT_CRASH:
        template["spec"]["initContainers"] = [{"name": "prepare", "image": "registry/prepare:1"}]
    if code == "JOB-FAILED":
        workload["spec"]["backoffLimit"] = 0
    with pytest.raises(InstallError, match=code) as caught:
        await at.run(at.waves(workload))
    assert caught.value.evidence


@pytest.mark.timeout(300)  # an image gets a minute: a registry may be away for a moment
async def test_an_image_that_is_not_there(control_plane: ControlPlane, tmp_path: Path) -> None:
    at = Install(control_plane.admin_kubeconfig(tmp_path / "kubeconfig"), tmp_path / "scratch")
    with pytest.raises(InstallError, match="IMAGE-") as caught:
        await at.run(at.waves(at.deployment("registry.invalid/web:1")))
    assert "registry.invalid/web:1" in caught.value.cause


@pytest.mark.timeout(120)
async def test_a_pod_that_fits_no_node(control_plane: ControlPlane, tmp_path: Path) -> None:
    at = Install(control_plane.admin_kubeconfig(tmp_path / "kubeconfig"), tmp_path / "scratch")
    workload = at.deployment()
    container = workload["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "1000"}}
    with pytest.raises(InstallError, match="UNSCHEDULABLE") as caught:
        await at.run(at.waves(workload))
    assert "Insufficient cpu" in caught.value.cause


def _granted(at: Install, space: str) -> tuple[Manifest, ...]:
    """What an administrator makes beforehand for somebody who may work in one namespace only."""
    account = {"kind": "ServiceAccount", "name": at.id, "namespace": "default"}
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "Role", "name": "installer"}
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    return (
        at.make(f"{group}/v1", "Role", "installer", space, rules=[rule]),
        at.make(f"{group}/v1", "RoleBinding", "installer", space, roleRef=role, subjects=[account]),
    )


@pytest.mark.timeout(120)
async def test_rights_in_two_namespaces_alone(control_plane: ControlPlane, tmp_path: Path) -> None:
    at = Install(tmp_path / "kubeconfig", tmp_path / "scratch")
    for name in ("app", "install"):
        await asyncio.to_thread(control_plane.api.apply, at.namespace(name))
        for manifest in _granted(at, at.space(name)):
            await asyncio.to_thread(control_plane.api.apply, manifest)
    control_plane.access.token_kubeconfig(at.kubeconfig, at.id, lifetime=timedelta(hours=1))
    wave = at.waves(at.config(), at.deployment(), at.stateful_set(), at.job())[1:]
    found, _ = await at.run(wave)
    assert len(found.new) == 4
    assert (await at.run(wave))[1] == []
