"""Parts of the client on their own: dates of certificates, discovery, who holds a lock."""

import asyncio
import datetime as dt
import json
import os
from pathlib import Path

import pytest
from cryptography import x509

from installer.cluster.certificate import validity
from installer.cluster.credentials import grant_from
from installer.cluster.holder import Holder
from installer.cluster.resources import Discovery, Resource
from installer.core.objects import Manifest
from tests.lab.pki import Authority

APPS: Manifest = {
    "resources": [
        {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]},
        {"name": "deployments/status", "kind": "Deployment", "namespaced": True},
    ]
}


@pytest.mark.parametrize("days", [-0.04, 1, 30 * 365])
def test_dates_are_read_as_a_cryptographic_library_reads_them(days: float) -> None:
    """The last year lies past 2049, where ASN.1 changes the form of a date."""
    pem = Authority().client("ann", lifetime=dt.timedelta(days=days)).certificate
    known = x509.load_pem_x509_certificate(pem)
    found = validity(f"some words before\n{pem.decode()}")
    assert found is not None
    assert found.not_before == known.not_valid_before_utc
    assert found.not_after == known.not_valid_after_utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_has_no_dates(text: str) -> None:
    assert validity(text) is None


def test_the_first_end_counts() -> None:
    early = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    late = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    grant = grant_from(
        token="not-a-jwt",
        certificate="",
        key="",
        told="2040-01-01T00:00:00Z",
        certificate_ends=early,
    )
    assert grant.expires == early
    grant = grant_from(
        token="", certificate="", key="", told=late.isoformat(), certificate_ends=None
    )
    assert grant.expires == late


async def test_callers_that_miss_a_kind_at_once_share_one_request() -> None:
    asked: list[str] = []
    answer = asyncio.Event()

    async def fetch(api_version: str) -> Manifest | None:
        asked.append(api_version)
        await answer.wait()
        return APPS

    discovery = Discovery(fetch)
    finding = [asyncio.create_task(discovery.find("apps/v1", "Deployment")) for _ in range(5)]
    finding[0].cancel()
    await asyncio.sleep(0)
    answer.set()
    found = await asyncio.gather(*finding[1:])
    assert found == [Resource("apps/v1", "Deployment", "deployments", True, frozenset({"get"}))] * 4
    assert asked == ["apps/v1"]
    assert await discovery.find("apps/v1", "Deployment") is not None
    assert asked == ["apps/v1"]


async def test_a_kind_that_is_missed_is_asked_for_again() -> None:
    answers: list[Manifest | None] = [None, APPS]

    async def fetch(_: str) -> Manifest | None:
        return answers.pop(0)

    discovery = Discovery(fetch)
    assert await discovery.find("apps/v1", "Deployment") is None
    assert await discovery.find("apps/v1", "Deployment") is not None


async def test_a_discovery_that_fails_fails_for_all_and_is_asked_again() -> None:
    async def fetch(_: str) -> Manifest | None:
        raise ConnectionError("away")

    discovery = Discovery(fetch)
    answers = await asyncio.gather(
        *(discovery.find("apps/v1", "Deployment") for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(answer, ConnectionError) for answer in answers)


def test_paths() -> None:
    pods = Resource("v1", "Pod", "pods", namespaced=True)
    nodes = Resource("v1", "Node", "nodes", namespaced=False)
    jobs = Resource("batch/v1", "Job", "jobs", namespaced=True)
    assert pods.path() == "/api/v1/pods"
    assert pods.path("ns", "a") == "/api/v1/namespaces/ns/pods/a"
    assert nodes.path("ignored", "n1") == "/api/v1/nodes/n1"
    assert jobs.path("ns") == "/apis/batch/v1/namespaces/ns/jobs"
    assert pods.path("ns", "../x") == "/api/v1/namespaces/ns/pods/..%2Fx"


def test_a_holder_survives_its_annotation(tmp_path: Path) -> None:
    holder = Holder.here(tmp_path, run="run-1", install_uid="uid-1")
    assert Holder.parse(holder.text()) == holder
    assert f"pid {os.getpid()}" in holder.identity
    assert holder.is_predecessor_of(Holder.here(tmp_path, run="run-2", install_uid="uid-1"))


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", json.dumps({"pid": 1})])
def test_what_another_wrote_is_nobody_we_know(text: str) -> None:
    assert Holder.parse(text) is None
