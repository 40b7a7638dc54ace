"""The way to the cluster: it must be the one that the directory belongs to, and let us work."""

import math
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.rights import MissingRight, Right
from installer.core.clock import SystemClock
from installer.core.errors import ExitCode, InstallError
from installer.rehearsal.kube.server import Options, SimulatedApi
from installer.wiring import permission
from installer.wiring.link import open_link
from installer.wiring.permission import refuse_missing_rights
from installer.wiring.target import Target
from manifests.component import Right as NeededRight
from tests.unit.wiring.samples import opened


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SimulatedApi]:
    made = SimulatedApi(tmp_path / "cluster", Options(speed=math.inf))
    await made.start()
    yield made
    await made.stop()


async def test_another_cluster_is_refused_and_the_right_one_is_not(
    cluster: SimulatedApi, tmp_path: Path
) -> None:
    workspace = opened(tmp_path / "install")
    clock = SystemClock()
    link = await open_link(Target(cluster.kubeconfig), workspace, clock, patience=5)
    await link.close()
    assert link.cluster_uid
    again = await open_link(
        Target(cluster.kubeconfig, cluster_uid=link.cluster_uid), workspace, clock, patience=5
    )
    await again.close()
    with pytest.raises(InstallError) as refused:
        await open_link(
            Target(cluster.kubeconfig, cluster_uid="another"), workspace, clock, patience=5
        )
    assert refused.value.code == "OTHER-CLUSTER"
    assert refused.value.exit_code is ExitCode.REFUSED
    assert "another" in refused.value.cause
    assert cluster.url in refused.value.cause


async def test_rights_that_are_missing_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Right] = []

    async def none(_: object, rights: Iterable[Right]) -> tuple[MissingRight, ...]:
        asked.extend(rights)
        return tuple(MissingRight(right, "no RBAC policy matched") for right in asked)

    monkeypatch.setattr(permission, "missing_rights", none)
    needed = [NeededRight(("patch", "delete"), "apps", "deployments", "example-redis")]
    client = object.__new__(ApiClient)  # never asked: the question is answered above
    with pytest.raises(InstallError) as refused:
        await refuse_missing_rights(client, "example", needed)
    error = refused.value
    assert error.code == "RIGHTS-MISSING"
    assert error.retryable
    assert error.exit_code is ExitCode.REFUSED
    assert str(Right("patch", "apps", "deployments", "example-redis")) in error.cause
    assert f"and {len(asked) - 12} more" in error.cause
    assert len(error.evidence) == 12
    # The lease and the inventory are the installer's own, of no component.
    assert Right("update", "coordination.k8s.io", "leases", "example-install") in asked
    assert Right("create", "", "namespaces") in asked


async def test_nothing_is_said_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_there(_: object, __: Iterable[Right]) -> tuple[MissingRight, ...]:
        return ()

    monkeypatch.setattr(permission, "missing_rights", all_there)
    await refuse_missing_rights(object.__new__(ApiClient), "example", [])
