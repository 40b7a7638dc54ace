"""Kubeconfigs: every way of proving who we are, every way of being wrong, no key left behind."""

import base64
import datetime as dt
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.core.redaction import forget_all, redact
from tests.unit.cluster.kubeconfig_bench import (
    AUTHORITY,
    CA,
    Bench,
    MovableClock,
    encoded,
    grant_of,
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path, MovableClock())
    forget_all()


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
