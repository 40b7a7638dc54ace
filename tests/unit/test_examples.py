"""The settings to start from are valid, commented, and name nothing that is not theirs to name."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from installer.core.settings import Settings
from installer.core.sizing import totals
from installer.store.settings_file import LoadedSettings, load_settings
from manifests.registry import settings_model

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*.yaml"))


def load(name: str) -> LoadedSettings[Settings]:
    return load_settings(FOLDER / f"{name}.yaml", settings_model())


def test_there_is_one_for_each_kind_of_place() -> None:
    names = {path.stem for path in FILES}
    assert names == {"trial", "small", "large", "existing-cluster", "air-gapped"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_valid_and_commented(path: Path) -> None:
    load_settings(path, settings_model())
    lines = path.read_text().splitlines()
    assert sum("#" in line for line in lines) >= 8
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_names_and_addresses_are_for_documentation(path: Path) -> None:
    text = path.read_text()
    private = ip_network("10.0.0.0/8")
    for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text):
        assert ip_address(address) in private, address
    settings = load(path.stem).settings
    for name in (*settings.names.all(), settings.server.name):
        assert name == "example.org" or name.endswith(".example.org")


@pytest.mark.parametrize(("name", "row"), [("small", "100"), ("large", "20k"), ("trial", "trial")])
def test_its_hosts_are_as_many_as_its_size_needs(name: str, row: str) -> None:
    settings = load(name).settings
    assert settings.size_row.name == row
    if row == "trial":
        return
    assert len(settings.hosts) == totals(settings.size_row).hosts
    for pool in settings.size_row.pools:
        hosts = [host for host in settings.hosts if pool.role in host.roles]
        assert len(hosts) in (pool.count, 0)


def test_the_large_one_says_its_sums() -> None:
    need = totals(load("large").settings.size_row)
    words = f"{need.cpu} vCPU, {need.memory_gb} GB of memory and {need.disk_gb / 1000:g} TB of disk"
    assert words in (FOLDER / "large.yaml").read_text()


def test_the_others_are_what_their_names_say() -> None:
    existing, air_gapped = load("existing-cluster").settings, load("air-gapped").settings
    assert (existing.hosts, existing.load_balancer) == ((), "existing")
    assert existing.cluster.kubeconfig is not None
    assert air_gapped.source.kind == "bundle"
    assert air_gapped.proxy.http is None
