"""Exec plugins: asked when needed, stopped when they hang, quoted when they fail."""

import asyncio
import datetime as dt
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from installer.core.errors import InstallError
from installer.core.redaction import forget_all
from tests.unit.cluster.kubeconfig_bench import (
    AUTHORITY,
    Bench,
    MovableClock,
    grant_of,
)


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
