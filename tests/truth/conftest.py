"""Real programs for the truth tests. Each fixture takes down all that it started."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.truth.pod_network import PodNetwork
from tests.truth.redis_estate import Estate


def _require_programs() -> None:
    for program in ("redis-server", "redis-cli", "haproxy"):
        assert shutil.which(program), "apt-get install redis-server redis-tools haproxy"


@pytest.fixture
def network() -> Iterator[PodNetwork]:
    """A bridge for pods."""
    made = PodNetwork()
    yield made
    made.close()


@pytest.fixture(scope="module")
def running_estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Synapse's Redis estate of the smallest real row."""
    _require_programs()
    network = PodNetwork()
    made = Estate(network, tmp_path_factory.mktemp("redis"))
    try:
        made.start()
        yield made
    finally:
        made.close()
        network.close()


@pytest.fixture
def estate(running_estate: Estate) -> Estate:
    """The same, mended after what the test before did to it."""
    running_estate.mend()
    return running_estate


@pytest.fixture
def trial_estate(network: PodNetwork, tmp_path: Path) -> Iterator[Estate]:
    """The estate of the trial row: one server, one proxy."""
    _require_programs()
    made = Estate(network, tmp_path, row="trial")
    try:
        made.start()
        yield made
    finally:
        made.close()
