"""Calls that get no proper answer: each cause is told apart, on real sockets of this machine."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from installer.cluster import transport
from installer.cluster.client import ApiClient
from installer.cluster.credentials import Grant
from installer.cluster.failures import Action, ApiFailure, FailureKind
from installer.cluster.target import ClusterTarget
from installer.core.clock import SystemClock
from installer.core.objects import ObjectRef
from tests.lab.fixed_credentials import FixedCredentials
from tests.lab.pki import Authority, KeyPair
from tests.unit.cluster.fake_api import FakeApi, Reply, Request, fake_api, status

CM = ObjectRef("v1", "ConfigMap", "ns", "a")
MANIFEST = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "ns"},
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("test")


def target(url: str, **options: Any) -> ClusterTarget:
    grant = options.pop("grant", Grant())
    return ClusterTarget("t", url, FixedCredentials(grant), **options)


def client(url: str, **options: Any) -> ApiClient:
    return ApiClient(target(url, **options), clock=SystemClock())


def server_side(pair: KeyPair, folder: Path, *, clients_of: Authority | None = None) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, pair.write(folder, "server")))
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients_of.pair.certificate.decode())
    return context


async def empty(_: Request) -> Reply:
    return Reply(data={"kind": "ConfigMap", "metadata": {"name": "a"}})


async def failure_of(api: ApiClient, *, within: float = 30) -> ApiFailure:
    async with api:
        with pytest.raises(ApiFailure) as caught:
            await api.request("GET", "/api/v1", within=within)
    return caught.value


@asynccontextmanager
async def tls_api(tls: ssl.SSLContext) -> AsyncIterator[tuple[FakeApi, str]]:
    async with fake_api(empty, tls) as api:
        yield api, f"https://127.0.0.1:{api.port}"


async def test_nothing_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        failure = await failure_of(client(f"http://127.0.0.1:{held.getsockname()[1]}"))
    assert failure.kind is FailureKind.REFUSED
    assert failure.verdict.action is Action.RETRY
    assert "127.0.0.1" in failure.title


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    failure = await failure_of(client("https://api.example.invalid:6443"))
    assert failure.kind is FailureKind.DNS
    assert "api.example.invalid" in failure.title


async def test_a_certificate_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    pair = authority.server(["localhost"], ["127.0.0.1"])
    other = Authority("other").pair.certificate.decode()
    async with tls_api(server_side(pair, tmp_path)) as (_, url):
        failure = await failure_of(client(url, ca=other))
    assert failure.kind is FailureKind.TLS_UNTRUSTED
    assert failure.verdict.action is Action.STOP


async def test_a_certificate_for_another_name(authority: Authority, tmp_path: Path) -> None:
    pair = authority.server(["api.internal"], ["10.0.0.1"])
    ca = authority.pair.certificate.decode()
    async with tls_api(server_side(pair, tmp_path)) as (_, url):
        failure = await failure_of(client(url, ca=ca))
        async with client(url, ca=ca, server_name="api.internal") as api:
            assert await api.get(CM) is not None
    assert failure.kind is FailureKind.TLS_HOSTNAME


async def test_a_certificate_that_has_ended(authority: Authority, tmp_path: Path) -> None:
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    ended = dt.timedelta(hours=-1)
    pair = authority._issue([], "old", ExtendedKeyUsageOID.SERVER_AUTH, ended, names)
    async with tls_api(server_side(pair, tmp_path)) as (_, url):
        failure = await failure_of(client(url, ca=authority.pair.certificate.decode()))
    assert failure.kind is FailureKind.TLS_EXPIRED
    assert "clock" in failure.remedy


async def test_an_unchecked_certificate_and_a_client_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.server(["api.internal"], ["10.0.0.1"])
    mine = authority.client("ann")
    grant = Grant(certificate=mine.certificate.decode(), key=mine.key.decode())
    async with tls_api(server_side(pair, tmp_path, clients_of=authority)) as (_, url):
        async with client(url, verify=False, grant=grant) as api:
            assert await api.get(CM) is not None
        failure = await failure_of(client(url, verify=False))
    # A server that wants a certificate drops us; what it says of it depends on its TLS library.
    assert failure.kind in (FailureKind.TLS_OTHER, FailureKind.CONNECTION_LOST)


async def test_tls_where_plain_http_is_spoken() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        failure = await failure_of(client(f"https://127.0.0.1:{port}", verify=False))
    assert failure.kind is FailureKind.TLS_OTHER
    assert "does not speak TLS" in failure.title


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_accepts_and_says_nothing(scheme: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        failure = await failure_of(client(url, verify=False), within=0.2)
    assert failure.kind is FailureKind.NO_ANSWER
    assert failure.verdict.action is Action.RETRY
    assert "0.2 s" in failure.title


async def test_the_outcome_of_a_write_that_was_cut_off_is_unknown() -> None:
    async def drops(_: Request) -> Reply | None:
        return None

    async with fake_api(drops) as api, client(f"http://127.0.0.1:{api.port}") as connected:
        with pytest.raises(ApiFailure) as written:
            await connected.apply(MANIFEST)
        with pytest.raises(ApiFailure) as read:
            await connected.get(CM)
    assert written.value.kind is FailureKind.CONNECTION_LOST
    assert written.value.verdict.outcome_unknown
    assert not read.value.verdict.outcome_unknown


async def test_a_write_is_sent_once() -> None:
    async def fails(_: Request) -> Reply:
        return status(503, "ServiceUnavailable", "starting")

    async with fake_api(fails) as api, client(f"http://127.0.0.1:{api.port}") as connected:
        with pytest.raises(ApiFailure):
            await connected.apply(MANIFEST)
    assert len(api.calls("PATCH")) == 1


async def test_an_answer_that_breaks_off_in_the_middle() -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'{"kind": "Con'

    async def handler(_: Request) -> Reply:
        return Reply(parts=half(), cut=True)

    async with fake_api(handler) as api, client(f"http://127.0.0.1:{api.port}") as connected:
        with pytest.raises(ApiFailure) as caught:
            await connected.get(CM)
    assert caught.value.kind is FailureKind.CONNECTION_LOST


async def test_an_answer_without_end_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER", 1000)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 400

    async def handler(_: Request) -> Reply:
        return Reply(parts=endless())

    async with fake_api(handler) as api, client(f"http://127.0.0.1:{api.port}") as connected:
        with pytest.raises(ApiFailure) as caught:
            await connected.get(CM)
    assert caught.value.kind is FailureKind.ANSWER_TOO_LARGE


async def test_a_page_that_is_no_api_and_a_redirect_are_refused() -> None:
    async def handler(request: Request) -> Reply:
        if request.path.endswith("/a"):
            return Reply(text="<html>Log in</html>")
        return Reply(302, headers={"Location": f"http://127.0.0.1:{api.port}/elsewhere"})

    async with fake_api(handler) as api, client(f"http://127.0.0.1:{api.port}") as connected:
        for name in ("a", "b"):
            with pytest.raises(ApiFailure) as caught:
                await connected.get(ObjectRef("v1", "ConfigMap", "ns", name))
            assert caught.value.kind is FailureKind.NOT_KUBERNETES
    assert not api.calls(path="/elsewhere")


async def test_the_environments_proxy_is_not_used_and_the_kubeconfigs_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with fake_api(empty) as api, fake_api(empty) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        url = f"http://127.0.0.1:{api.port}"
        async with client(url) as direct:
            await direct.get(CM)
        assert not proxy.requests
        async with client(url, proxy=f"http://127.0.0.1:{proxy.port}") as through:
            await through.get(CM)
        assert len(proxy.requests) == len(api.requests) == 2


async def test_a_proxy_that_refuses_is_named() -> None:
    async def refuses(_: Request) -> Reply:
        return Reply(403, text="no")

    async with fake_api(refuses) as proxy:
        api = client("https://10.0.0.1:6443", proxy=f"http://127.0.0.1:{proxy.port}", verify=False)
        failure = await failure_of(api)
    assert failure.kind is FailureKind.PROXY


async def test_a_new_token_is_fetched_once_when_the_old_one_is_refused() -> None:
    class Renewable:
        def __init__(self) -> None:
            self.grant = Grant(token="old")
            self.asked = 0

        async def current(self) -> Grant:
            return self.grant

        async def renew(self, refused: Grant) -> Grant | None:
            assert refused.token == "old"
            self.asked += 1
            self.grant = Grant(token="new")
            return self.grant

    async def handler(request: Request) -> Reply:
        if request.headers["authorization"] != "Bearer new":
            return status(401, "Unauthorized", "Unauthorized")
        return await empty(request)

    credentials = Renewable()
    async with fake_api(handler) as api:
        place = ClusterTarget("t", f"http://127.0.0.1:{api.port}", credentials)
        async with ApiClient(place, clock=SystemClock()) as connected:
            assert await connected.get(CM) is not None
            assert await connected.get(CM) is not None
    assert credentials.asked == 1


async def test_a_refusal_just_after_trouble_is_tried_again_and_later_is_final() -> None:
    class LaterClock(SystemClock):
        ahead = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.ahead

    answers = [status(503, "ServiceUnavailable", "shutting down")]

    async def handler(_: Request) -> Reply:
        return answers.pop() if answers else status(403, "Forbidden", 'User "u" cannot get')

    clock = LaterClock()
    async with (
        fake_api(handler) as api,
        ApiClient(target(f"http://127.0.0.1:{api.port}"), clock=clock) as connected,
    ):
        actions = []
        for ahead in (0.0, 1.0, 60.0):
            clock.ahead = ahead
            with pytest.raises(ApiFailure) as caught:
                await connected.get(CM)
            actions.append((caught.value.kind, caught.value.verdict.action))
    assert actions == [
        (FailureKind.UNAVAILABLE, Action.RETRY),
        (FailureKind.FORBIDDEN, Action.RETRY),
        (FailureKind.FORBIDDEN, Action.STOP),
    ]


async def test_many_calls_share_few_connections() -> None:
    open_now, most = 0, 0

    async def handler(request: Request) -> Reply:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        return await empty(request)

    async with fake_api(handler) as api:
        place = target(f"http://127.0.0.1:{api.port}")
        async with ApiClient(place, clock=SystemClock(), connections=4) as connected:
            await asyncio.gather(*(connected.get(CM) for _ in range(40)))
    assert most <= 4
