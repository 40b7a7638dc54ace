"""The engine killed at any boundary, then resumed: the same end as without."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.ends import end_of
from tests.e2e.forker import Forker
from tests.e2e.product import Product

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(
    "deaths",
    [
        ("record:2", "call:3:before", "call:9:after"),
        ("call:1:after", "record:7", "record:5"),
    ],
)
def test_an_engine_killed_again_and_again_comes_to_the_same_end(
    forker: Forker, finished_install: Path, tmp_path: Path, deaths: tuple[str, ...]
) -> None:
    with prepared(forker, finished_install, tmp_path) as product:
        words: tuple[str, ...] = product.fast_install()
        for death in deaths:
            ran = product.run(*words, code=None, die_at=death)
            assert ran.problem["code"] in ("ENGINE-GONE", "NO-ENGINE"), ran.text
            assert "resume" in ran.problem["remedy"], ran.problem
            assert ran.code == ran.lines[-1]["exit_code"] != 0
            assert product.engine() is None
            words = ("--resume", "--yes")
        last = product.resume()
        assert last.of("run-finished")
        assert not [line for line in last.of("plan-approved") if "before" not in line["by"]]
        product.assert_quiet()
        uninterrupted = Product(forker, tmp_path / "other")
        uninterrupted.directory = finished_install / "install"
        assert end_of(product) == end_of(uninterrupted)


def prepared(forker: Forker, finished: Path, folder: Path) -> Product:
    """The same settings and secrets as the finished install has, and nothing done yet."""
    gone = shutil.ignore_patterns("journal", "rehearsal", "target.json", "request.json", "logs")
    shutil.copytree(finished / "install", folder / "install", ignore=gone)
    return Product(forker, folder)


def test_the_end_tells_a_difference_when_there_is_one(installed: Product) -> None:
    before: dict[str, Any] = end_of(installed)
    key = "services. example-redis/redis-synapse-proxy"
    assert key in before
    assert before != {**before, key: {**before[key], "spec": {}}}
    assert "configmaps. example-install/matrix-install-inventory" in before
