"""Kubeconfigs: every way of proving who we are, every way of being wrong, no key left behind."""

import asyncio
import base64
import datetime as dt
import json
import os
import select
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.cluster.credentials import Grant
from installer.cluster.kubeconfig import load_target
from installer.cluster.target import ClusterTarget
from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from installer.core.redaction import forget_all, redact
from tests.lab.pki import Authority

AUTHORITY = Authority("test")
CA = AUTHORITY.pair.certificate


class MovableClock(SystemClock):
    ahead = 0.0

    def now(self) -> dt.datetime:
        return super().now() + dt.timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


@dataclass
class Bench:
    folder: Path
    clock: MovableClock

    @property
    def path(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def scratch(self) -> Path:
        return self.folder / "install" / "scratch"

    def write(self, user: dict[str, Any], **cluster: Any) -> None:
        """A kubeconfig of one context named main."""
        place = {
            "server": "https://api.example.org:6443/",
            "certificate-authority-data": encoded(CA),
            **cluster,
        }
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "main",
            "clusters": [{"name": "c", "cluster": place}],
            "contexts": [
                {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}
            ],
            "users": [{"name": "u", "user": user}],
        }
        self.path.write_text(yaml.safe_dump(data))

    def plugin(self, body: str, **more: Any) -> dict[str, Any]:
        """An exec section whose program has this Python body."""
        program = self.folder / "plugin"
        program.write_text(f"#!{sys.executable} -I\nimport json, os, sys, time\n{body}\n")
        program.chmod(stat.S_IRWXU)
        return {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(program),
                "interactiveMode": "IfAvailable",
                **more,
            }
        }

    async def load(self, context: str | None = None, *, within: float = 30) -> ClusterTarget:
        return await load_target(self.path, context, self.scratch, clock=self.clock, within=within)

    async def refusal(self, context: str | None = None, *, within: float = 30) -> InstallError:
        with pytest.raises(InstallError) as caught:
            await self.load(context, within=within)
        assert not self.left_over()
        return caught.value

    def left_over(self) -> list[Path]:
        return list(self.scratch.iterdir()) if self.scratch.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path, MovableClock())
    forget_all()


def ended(pid: int) -> bool:
    """Whether the process ends within some seconds; one that nobody reaps has ended too."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 10)[0])
    finally:
        os.close(watched)


def prints(token: str, expires: str = "") -> str:
    """A plugin's body that prints this token."""
    answer: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token, **({"expirationTimestamp": expires} if expires else {})},
    }
    return f"print({json.dumps(answer)!r})"


def in_minutes(minutes: float) -> str:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")


async def grant_of(target: ClusterTarget) -> Grant:
    return await target.credentials.current()


async def test_certificates_inline_are_used_from_memory_only(bench: Bench) -> None:
    pair = AUTHORITY.client("ann", lifetime=dt.timedelta(days=3))
    bench.write(
        {
            "client-certificate-data": encoded(pair.certificate),
            "client-key-data": encoded(pair.key),
        }
    )
    target = await bench.load()
    grant = await grant_of(target)
    assert target.url == "https://api.example.org:6443"
    assert (target.name, target.user, target.namespace) == ("main", "u", "ns")
    assert target.ca == CA.decode()
    assert grant.certificate == pair.certificate.decode()
    assert grant.key == pair.key.decode()
    assert grant.expires is not None
    left = grant.expires - bench.clock.now()
    assert dt.timedelta(days=2, hours=20) < left <= dt.timedelta(days=3)
    assert not bench.left_over()
    assert stat.S_IMODE(bench.scratch.stat().st_mode) == 0o700


async def test_no_secret_shows_in_a_repr_and_all_are_masked(bench: Bench) -> None:
    bench.write({"token": "a-secret-token-value"}, **{"proxy-url": "http://u:pass-word@p:3128"})
    target = await bench.load()
    grant = await grant_of(target)
    assert grant.token == "a-secret-token-value"
    assert target.proxy == "http://u:pass-word@p:3128"
    shown = f"{target!r} {grant!r} {target.credentials!r}"
    assert "a-secret-token-value" not in shown
    assert "pass-word" not in shown
    assert redact("a-secret-token-value pass-word") == "[secret] [secret]"


async def test_files_beside_the_kubeconfig_are_found(bench: Bench) -> None:
    pair = AUTHORITY.client("ann")
    pair.write(bench.folder, "me")
    (bench.folder / "ca.crt").write_bytes(CA)
    bench.write(
        {"client-certificate": "me.crt", "client-key": "me.key"},
        **{"certificate-authority": "ca.crt", "certificate-authority-data": None},
    )
    text = yaml.safe_load(bench.path.read_text())
    del text["clusters"][0]["cluster"]["certificate-authority-data"]
    bench.path.write_text(yaml.safe_dump(text))
    target = await bench.load()
    assert target.ca == CA.decode()
    assert (await grant_of(target)).key == pair.key.decode()
    assert (bench.folder / "me.key").exists()


async def test_a_token_file_is_read_again_as_it_changes(bench: Bench) -> None:
    (bench.folder / "token").write_text("first-token\n")
    bench.write({"tokenFile": "token"})
    target = await bench.load()
    assert (await grant_of(target)).token == "first-token"
    (bench.folder / "token").write_text("second-token\n")
    assert (await grant_of(target)).token == "first-token"
    bench.clock.ahead = 61
    assert (await grant_of(target)).token == "second-token"


async def test_a_plugin_is_asked_again_before_its_token_ends(bench: Bench) -> None:
    calls = bench.folder / "calls"
    count = f"open({str(calls)!r}, 'a').write('x')"
    bench.write(bench.plugin(f"{count}\n{prints('first-token', in_minutes(10))}"))
    target = await bench.load()
    assert (await grant_of(target)).token == "first-token"
    bench.plugin(f"{count}\n{prints('second-token', in_minutes(30))}")
    bench.clock.ahead = 8 * 60
    assert (await grant_of(target)).token == "first-token"
    bench.clock.ahead = 9.5 * 60
    grants = await asyncio.gather(*(grant_of(target) for _ in range(5)))
    assert {grant.token for grant in grants} == {"second-token"}
    assert calls.read_text() == "xx"


async def test_a_plugin_is_asked_again_when_its_token_is_refused(bench: Bench) -> None:
    bench.write(bench.plugin(prints("first-token")))
    target = await bench.load()
    first = await grant_of(target)
    bench.plugin(prints("second-token"))
    second, also = await asyncio.gather(
        target.credentials.renew(first), target.credentials.renew(first)
    )
    assert second is not None
    assert second.token == "second-token"
    assert also == second
    # A plugin whose every token is refused is not started over and over.
    bench.plugin(prints("third-token"))
    assert await target.credentials.renew(second) is None
    bench.clock.ahead = 11
    third = await target.credentials.renew(second)
    assert third is not None
    assert third.token == "third-token"
    bench.clock.ahead = 22
    assert await target.credentials.renew(third) is None


async def test_a_token_that_still_holds_is_kept_while_the_plugin_fails(bench: Bench) -> None:
    bench.write(bench.plugin(prints("first-token", in_minutes(10))))
    target = await bench.load()
    bench.plugin("sys.exit('the identity provider is away')")
    bench.clock.ahead = 9.5 * 60
    assert (await grant_of(target)).token == "first-token"
    bench.clock.ahead = 11 * 60
    with pytest.raises(InstallError) as caught:
        await grant_of(target)
    assert caught.value.code == "KUBECONFIG-EXEC"
    assert "the identity provider is away" in caught.value.cause


async def test_a_plugin_may_give_a_certificate(bench: Bench) -> None:
    pair = AUTHORITY.client("ann")
    status = {
        "clientCertificateData": pair.certificate.decode(),
        "clientKeyData": pair.key.decode(),
    }
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    bench.write(bench.plugin(f"print({json.dumps(answer)!r})"))
    grant = await grant_of(await bench.load())
    assert grant.certificate == pair.certificate.decode()
    assert not bench.left_over()


async def test_a_plugin_finds_no_terminal_and_its_own_environment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    told = bench.folder / "told"
    body = (
        f"open({str(told)!r}, 'w').write(json.dumps([sys.stdin.read(), sys.stdin.isatty(), "
        "os.environ['FROM_OUTSIDE'], os.environ['OF_PLUGIN'], "
        "json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['interactive'], os.getcwd()]))\n"
        "print('chatter', file=sys.stderr)\n"
    )
    bench.write(bench.plugin(body + prints("token"), env=[{"name": "OF_PLUGIN", "value": "too"}]))
    await bench.load()
    assert json.loads(told.read_text()) == ["", False, "yes", "too", False, str(bench.folder)]


async def test_a_plugin_that_hangs_is_stopped_and_named(bench: Bench) -> None:
    pid = bench.folder / "pid"
    body = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(3600)"
    bench.write(bench.plugin(body))
    error = await bench.refusal(within=4)
    assert error.code == "KUBECONFIG-EXEC"
    assert "plugin" in error.cause
    assert "4 s" in error.cause
    assert ended(int(pid.read_text()))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"command": "no-such-program-anywhere", "installHint": "apt install it"}, "not there"),
        ({"interactiveMode": "Always"}, "terminal"),
        ({"apiVersion": "client.authentication.k8s.io/v1beta1"}, "does not match"),
    ],
)
async def test_a_plugin_that_cannot_serve(
    bench: Bench, section: dict[str, str], words: str
) -> None:
    bench.write(bench.plugin(prints("token"), **section))
    error = await bench.refusal()
    assert error.code == "KUBECONFIG-EXEC"
    assert words in error.cause
    assert section.get("installHint", "") in error.remedy


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit('please log in')", "please log in"),
        ("print('not json')", "decode"),
        ("print('{}')", "missing"),
        (prints(""), "neither a token nor a certificate"),
    ],
)
async def test_a_plugin_that_fails_is_quoted(bench: Bench, body: str, words: str) -> None:
    bench.write(bench.plugin(body))
    error = await bench.refusal()
    assert error.code == "KUBECONFIG-EXEC"
    assert words in error.cause


async def test_a_file_that_is_not_there_or_not_yaml(bench: Bench) -> None:
    assert (await bench.refusal()).code == "KUBECONFIG-MISSING"
    bench.path.write_text("a: b\n  c: [d\n")
    error = await bench.refusal()
    assert error.code == "KUBECONFIG-INVALID"
    assert "not YAML" in error.title
    assert "line 2" in error.cause


@pytest.mark.parametrize("text", ["", "[]", "42", "contexts: 7\ncurrent-context: main"])
async def test_a_file_that_is_something_else(bench: Bench, text: str) -> None:
    bench.path.write_text(text)
    assert (await bench.refusal()).code in ("KUBECONFIG-INVALID", "KUBECONFIG-CONTEXT")


async def test_a_context_that_is_not_there(bench: Bench) -> None:
    bench.write({"token": "some-token"})
    error = await bench.refusal("mian")
    assert error.code == "KUBECONFIG-CONTEXT"
    assert "Did you mean 'main'?" in error.cause
    assert "main" in error.remedy


@pytest.mark.parametrize(
    ("user", "code", "words"),
    [
        ({"username": "ann", "password": "secret-word"}, "KUBECONFIG-AUTH", "password"),
        ({"auth-provider": {"name": "gcp"}}, "KUBECONFIG-AUTH", "gcp"),
        ({"client-certificate": "nowhere.crt"}, "KUBECONFIG-INVALID", "nowhere.crt"),
        ({"client-certificate-data": "%%%", "client-key-data": "x"}, "KUBECONFIG-INVALID", ""),
        ({"tokenFile": "nowhere"}, "KUBECONFIG-INVALID", "nowhere"),
    ],
)
async def test_a_user_that_cannot_be_used(
    bench: Bench, user: dict[str, Any], code: str, words: str
) -> None:
    bench.write(user)
    error = await bench.refusal()
    assert error.code == code
    assert words in error.cause
    assert "secret-word" not in f"{error} {error.remedy}"


async def test_a_key_of_another_certificate_and_a_ca_that_is_none(bench: Bench) -> None:
    one, other = AUTHORITY.client("ann"), AUTHORITY.client("bob")
    bench.write(
        {
            "client-certificate-data": encoded(one.certificate),
            "client-key-data": encoded(other.key),
        }
    )
    assert (await bench.refusal()).code == "KUBECONFIG-INVALID"
    bench.write({"token": "some-token"}, **{"certificate-authority-data": encoded(b"not a CA")})
    assert (await bench.refusal()).code == "KUBECONFIG-INVALID"


async def test_an_expired_certificate_is_told_with_its_date(bench: Bench) -> None:
    pair = AUTHORITY.client("ann", lifetime=dt.timedelta(hours=-1))
    bench.write(
        {
            "client-certificate-data": encoded(pair.certificate),
            "client-key-data": encoded(pair.key),
        }
    )
    error = await bench.refusal()
    assert error.code == "KUBECONFIG-EXPIRED"
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    assert f"{ended:%Y-%m-%d}" in error.cause


async def test_the_end_of_a_token_that_says_it(bench: Bench) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 4102444800}).encode()).decode()
    bench.write({"token": f"e30.{claims.rstrip('=')}.c2ln"})
    grant = await grant_of(await bench.load())
    assert grant.expires == dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


async def test_what_is_said_of_the_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    bench.write({"token": "some-token"}, **{"tls-server-name": "api.internal"})
    target = await bench.load()
    assert target.server_name == "api.internal"
    assert target.proxy == ""
    assert target.warnings == ()
    bench.write(
        {"token": "some-token"},
        **{"insecure-skip-tls-verify": True, "certificate-authority-data": ""},
    )
    target = await bench.load()
    assert not target.verify
    assert "insecure-skip-tls-verify" in target.warnings[0]
    bench.write({"token": "some-token"}, **{"proxy-url": "socks5://127.0.0.1:1080"})
    assert "socks5" in (await bench.refusal()).cause


async def test_what_a_killed_process_left_is_wiped(bench: Bench) -> None:
    bench.scratch.mkdir(parents=True)
    left = bench.scratch / "kube-999999999-00ff"
    left.mkdir()
    (left / "key").write_text("a private key")
    other = bench.scratch / f"kube-{os.getpid()}-00ff"
    other.mkdir()
    bench.write({"token": "some-token"})
    await bench.load()
    assert not left.exists()
    assert other.exists()


def test_the_client_does_not_import_the_kubernetes_package() -> None:
    code = (
        "import sys, installer.cluster.client, installer.cluster.kubeconfig, "
        "installer.cluster.lease, installer.cluster.informer\n"
        "sys.exit('kubernetes' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
