"""Every option that is rendered or may be added is known to the program that is at hand."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from manifests.components.redis.component import alert_groups
from manifests.components.redis.extra import allowed
from tests.truth.pods import contents_of
from tests.truth.redis_estate import NAME, Estate, rendered

# A value that is allowed for each directive whose default is not one that can be given back.
ROWS = ("trial", "100", "1k", "5k", "10k", "20k")


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("estate_name", ["redis-synapse", "redis-livekit"])
def test_haproxy_takes_the_configuration(row: str, estate_name: str, tmp_path: Path) -> None:
    manifests, _ = rendered(row)
    text = contents_of(manifests)[("secret", f"{estate_name}-proxy-config")]["haproxy.cfg"]
    file = tmp_path / "haproxy.cfg"
    file.write_bytes(text)
    addresses = {
        f"{estate_name}-{number}".upper().replace("-", "_") + "_SERVICE_HOST": "10.96.0.1"
        for number in range(3)
    }
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], **addresses},
    )
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr
    assert "[ALERT]" not in done.stderr, done.stderr


def test_alerts_use_metrics_that_the_proxy_has(trial_estate: Estate) -> None:
    text = trial_estate.metrics(trial_estate.proxies[0])
    for group in alert_groups():
        for rule in group["rules"]:
            for name in re.findall(r"haproxy_\w+", rule["expr"]):
                assert re.search(rf"^{name}[{{ ]", text, re.MULTILINE), name


def test_directives_an_operator_may_add_are_known(trial_estate: Estate) -> None:
    with trial_estate.server(0) as server:
        answer = server.call("CONFIG", "GET", "*")
    assert isinstance(answer, list)
    known = set(answer[::2])
    assert allowed() - known == set()


def test_directives_an_operator_adds_arrive(tmp_path: Path, network: Any) -> None:
    extra = {"slowlog-log-slower-than": 20000, "notify-keyspace-events": "Kx", "hz": 20}
    estate = Estate(network, tmp_path, row="trial", components={"redis": {"extra": extra}})
    try:
        estate.start()
        with estate.server(0) as server:
            for name, value in extra.items():
                answer = server.call("CONFIG", "GET", name)
                assert isinstance(answer, list)
                assert sorted(str(answer[1])) == sorted(str(value))
    finally:
        estate.close()


@pytest.mark.parametrize("row", ROWS)
def test_server_uses_what_its_size_gives(row: str) -> None:
    manifests, _ = rendered(row)
    text = contents_of(manifests)[("secret", f"{NAME}-config")]["server.conf"].decode()
    limit = next(
        m for m in manifests if (m["kind"], m["metadata"]["name"]) == ("StatefulSet", NAME)
    )
    container = limit["spec"]["template"]["spec"]["containers"][0]
    memory = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 2**20
    (maxmemory,) = re.findall(r"^maxmemory (\d+)$", text, re.MULTILINE)
    buffers = re.findall(r"^client-output-buffer-limit pubsub (\d+) ", text, re.MULTILINE)
    assert int(maxmemory) + 2 * int(buffers[0]) < memory
