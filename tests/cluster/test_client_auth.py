"""Ways of proving who we are, against a real API server."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.credentials import Grant
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.kubeconfig import load_target
from installer.cluster.target import ClusterTarget
from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from installer.core.objects import ObjectRef
from tests.lab.control_plane import ControlPlane
from tests.lab.fixed_credentials import FixedCredentials

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def target_of(kubeconfig: Path) -> ClusterTarget:
    return await load_target(kubeconfig, None, kubeconfig.parent / "scratch", clock=SystemClock())


async def who_am_i(client: ApiClient) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await client.request("POST", REVIEW, body=body)
    assert answer.ok, answer
    return str(answer.json()["status"]["userInfo"]["username"])


async def test_a_client_certificate(control_plane: ControlPlane, tmp_path: Path) -> None:
    path = control_plane.access.certificate_kubeconfig(tmp_path / "kc", "ann", groups=["ops"])
    async with ApiClient(await target_of(path), clock=SystemClock()) as client:
        assert await who_am_i(client) == "ann"


async def test_a_token(control_plane: ControlPlane, tmp_path: Path) -> None:
    path = control_plane.access.token_kubeconfig(tmp_path / "kc", "reader")
    target = await target_of(path)
    async with ApiClient(target, clock=SystemClock()) as client:
        assert await who_am_i(client) == "system:serviceaccount:default:reader"
    expires = (await target.credentials.current()).expires
    assert expires is not None
    assert dt.timedelta(minutes=55) < expires - dt.datetime.now(dt.UTC) <= dt.timedelta(hours=1)


async def test_a_plugin_whose_token_is_revoked_in_mid_run(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Its announced end is an hour away: only the refusal tells that a new one is due."""
    access = control_plane.access
    path = access.exec_kubeconfig(tmp_path / "kc", "runner")
    target = await target_of(path)
    async with ApiClient(target, clock=SystemClock()) as client:
        assert await who_am_i(client) == "system:serviceaccount:default:runner"
        old = await target.credentials.current()
        await asyncio.to_thread(
            control_plane.api.delete, "/api/v1/namespaces/default/serviceaccounts/runner"
        )
        await asyncio.to_thread(access.write_exec_credential, path, "runner")
        async with asyncio.timeout(50):
            await refused_by(control_plane, old)
        names = await asyncio.gather(*(who_am_i(client) for _ in range(8)))
    assert set(names) == {"system:serviceaccount:default:runner"}
    assert len(path.with_name("kc.credential.calls").read_text().splitlines()) == 2


async def refused_by(control_plane: ControlPlane, grant: Grant) -> None:
    """Returns once the API server, which remembers tokens for some seconds, refuses this one."""
    ca = control_plane.credentials.endpoint.authority.decode()
    place = ClusterTarget("t", control_plane.server, FixedCredentials(grant), ca=ca)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    clock = SystemClock()
    async with ApiClient(place, clock=clock) as client:
        while (await client.request("POST", REVIEW, body=body)).status != 401:
            await clock.sleep(0.2)


async def test_an_expired_certificate_is_told_before_anything_is_asked(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    path = control_plane.access.certificate_kubeconfig(
        tmp_path / "kc", "ann", lifetime=dt.timedelta(hours=-1)
    )
    with pytest.raises(InstallError) as caught:
        await target_of(path)
    assert caught.value.code == "KUBECONFIG-EXPIRED"


async def test_who_is_known_but_may_not(control_plane: ControlPlane, tmp_path: Path) -> None:
    path = control_plane.access.token_kubeconfig(tmp_path / "kc", "nobody")
    async with ApiClient(await target_of(path), clock=SystemClock()) as client:
        with pytest.raises(ApiFailure) as caught:
            await client.get(ObjectRef("v1", "Secret", "default", "x"))
    assert caught.value.kind is FailureKind.FORBIDDEN
    assert "system:serviceaccount:default:nobody" in caught.value.cause


async def test_who_is_not_known(control_plane: ControlPlane, tmp_path: Path) -> None:
    path = control_plane.access.token_kubeconfig(tmp_path / "kc", "nobody")
    text = path.read_text()
    token = text.split("token: ")[1].split()[0]
    path.write_text(text.replace(token, token[:-8] + "AAAAAAAA"))
    async with ApiClient(await target_of(path), clock=SystemClock()) as client:
        with pytest.raises(ApiFailure) as caught:
            await client.get(ObjectRef("v1", "Secret", "default", "x"))
    assert caught.value.kind is FailureKind.UNAUTHENTICATED
