"""Applying while the API server dies, refuses, or calls a webhook that is not there."""

import asyncio
import itertools
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from installer.core.errors import InstallError
from installer.core.objects import Manifest
from tests.cluster.apply_world import Install
from tests.lab.control_plane import ControlPlane

Started = Callable[..., ControlPlane]


def install(plane: ControlPlane, folder: Path) -> Install:
    return Install(plane.admin_kubeconfig(folder / "kubeconfig"), folder / "scratch")


def many(at: Install) -> tuple[Manifest, ...]:
    return tuple(at.config(f"c{number:02}") for number in range(40))


@pytest.mark.timeout(120)
async def test_a_server_killed_in_mid_wave(private_control_plane: Started, tmp_path: Path) -> None:
    plane = await asyncio.to_thread(private_control_plane, kubelets=False)
    at = install(plane, tmp_path)
    killed = asyncio.Event()

    def kill_and_start() -> None:
        plane.stop_apiserver(signal.SIGKILL)
        plane.start_apiserver()

    async with asyncio.TaskGroup() as tasks:

        async def before_write(number: int) -> None:
            if number == 20 and not killed.is_set():
                killed.set()
                tasks.create_task(asyncio.to_thread(kill_and_start))

        at.before_write = before_write
        found, passed = await at.run(at.waves(*many(at)))
    assert killed.is_set()
    assert len(found.new) == 41
    assert len(passed) >= 41 + 4  # some were sent again
    assert (await at.run(at.waves(*many(at))))[1] == []


@pytest.mark.timeout(120)
async def test_a_server_that_refuses_every_other_write(
    private_control_plane: Started, tmp_path: Path
) -> None:
    plane = await asyncio.to_thread(private_control_plane, kubelets=False)
    at = install(plane, tmp_path)
    await at.run(at.waves())

    def throttle() -> None:
        plane.restart_apiserver(
            "--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=1"
        )

    await asyncio.to_thread(throttle)
    _, passed = await at.run(at.waves(*many(at)))
    assert len(passed) > 40 + 2
    assert (await at.run(at.waves(*many(at))))[1] == []


def dead_webhook(space: str) -> Manifest:
    """For config maps of one namespace; at a port where nobody listens."""
    hook = {
        "name": "policy.example.org",
        "clientConfig": {"url": "https://127.0.0.1:9/refuse"},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["configmaps"],
            }
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"dead-{space}"},
        "webhooks": [hook],
    }


@pytest.fixture
async def guarded(control_plane: ControlPlane, tmp_path: Path) -> Install:
    """An install whose namespace a dead webhook guards."""
    at = install(control_plane, tmp_path)
    await at.run(at.waves())
    plane = control_plane
    hook = dead_webhook(at.space())
    await asyncio.to_thread(plane.api.apply, hook)
    return at


async def until_refused(at: Install) -> None:
    """Until the API server has taken the webhook up, a write passes."""
    async with asyncio.timeout(30):
        for number in itertools.count():
            await at.run(at.waves(at.config(a=str(number))))


@pytest.mark.timeout(120)
async def test_a_webhook_that_is_down_is_named_in_bounded_time(
    guarded: Install, control_plane: ControlPlane
) -> None:
    guarded.patience = 5.0
    try:
        with pytest.raises(InstallError, match="API-WEBHOOK-DOWN") as caught:
            await until_refused(guarded)
    finally:
        path = control_plane.api.path_of(dead_webhook(guarded.space()))
        await asyncio.to_thread(control_plane.api.delete, path)
    assert "policy.example.org" in caught.value.cause


@pytest.mark.timeout(120)
async def test_versions_that_expire_while_waiting(
    private_control_plane: Started, tmp_path: Path
) -> None:
    """Every watch ends and must list anew; the wait for readiness goes on."""
    plane = await asyncio.to_thread(private_control_plane)
    at = install(plane, tmp_path)
    workload = at.deployment()
    workload["spec"]["template"]["metadata"]["annotations"] = {"lab.ready-after": "12s"}
    waits = at.told("all objects to be ready")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(at.run(at.waves(workload)))
        await waits.wait()
        await asyncio.to_thread(plane.expire_versions)
    assert (await at.there(workload))["status"]["readyReplicas"] == 2
