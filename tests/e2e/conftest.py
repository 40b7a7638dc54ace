"""What the end-to-end tests share: one forker a process of tests, one operator a test."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.forker import Forker
from tests.e2e.product import Product


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    made = Forker()
    yield made
    made.close()


@pytest.fixture
def product(forker: Forker, tmp_path: Path) -> Iterator[Product]:
    """A workstation with the small example's settings and nothing installed."""
    with Product(forker, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def finished_install(forker: Forker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an operator whose install ended well, nothing running; for copies only."""
    with Product(forker, tmp_path_factory.mktemp("finished")) as made:
        made.install()
    return made.folder


@pytest.fixture
def installed(forker: Forker, finished_install: Path, tmp_path: Path) -> Iterator[Product]:
    """A workstation with an install that ended well; the cluster is started."""
    shutil.copytree(finished_install / "install", tmp_path / "install")
    with Product(forker, tmp_path) as made:
        made.start_cluster()
        yield made


@pytest.fixture
def disk_folder() -> Iterator[Path]:
    """A folder on disk: an install for a real target refuses tmpfs, which /tmp may be."""
    with tempfile.TemporaryDirectory(prefix="matrix-install-test-", dir="/var/tmp") as made:
        yield Path(made)
