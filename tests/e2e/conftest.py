"""What the end-to-end tests share: one forker a process of tests, one operator a test."""

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
