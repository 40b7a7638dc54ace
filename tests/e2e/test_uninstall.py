"""Taking an install away: data stays unless each of its names is confirmed."""

import re

import pytest

from tests.e2e.cluster import Cluster, Object
from tests.e2e.product import Product
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def with_data(installed: Product) -> Product:
    """An install in whose namespace somebody keeps a volume."""
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data",
            "namespace": "example-redis",
            "labels": {"matrix-install.io/install": "example"},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    with Cluster(installed.rehearsal) as cluster:
        cluster.delete("/api/v1/namespaces/example-redis/resourcequotas/rendered")
        path = "/api/v1/namespaces/example-redis/persistentvolumeclaims"
        cluster.create(claim, path, by="test")
    return installed


def test_data_stays_listed_and_an_install_comes_back_to_it(with_data: Product) -> None:
    ran = with_data.uninstall("keep-data", view="--plain")
    stays = ran.out[ran.out.index("\nStays") : ran.out.index("Written besides")]
    assert "data in example-redis" in stays
    left = with_data.objects()
    assert ("persistentvolumeclaims.", "example-redis", "data") in left
    assert ("namespaces.", "", "example-redis") in left
    assert not [key for key in left if key[0] in ("statefulsets.apps", "secrets.")]
    with_data.assert_quiet()

    again = with_data.install()
    assert again.of("run-finished")
    assert ("persistentvolumeclaims.", "example-redis", "data") in with_data.objects()


def test_nothing_is_destroyed_whose_name_was_not_given(with_data: Product) -> None:
    before = standing(with_data)
    ran = with_data.uninstall("destroy", view="", code=4)
    assert "CONSENT-MISSING" in ran.err
    listed = ran.out[ran.out.index("Lost for ever, each name must be confirmed") :]
    names = [line.strip() for line in listed.split("\n\n")[0].splitlines()[1:]]
    assert names == ["example-redis"]
    missing = " ".join(ran.err.split())
    assert [name for name in names if name not in missing] == []
    assert ran.writes == ()
    assert standing(with_data) == before

    with Terminal(with_data, "--uninstall", "destroy", "--yes") as terminal:
        terminal.until("Type its name to go on: ")
        terminal.type("something else")
        asked = terminal.finish()
    assert asked.code == 4
    assert "CONSENT-MISSING" in asked.out
    assert asked.writes == ()

    with Terminal(with_data, "--uninstall", "destroy") as terminal:
        terminal.until("Type yes to go on: ")
        terminal.type("yes")
        terminal.until(f"{names[0]} is lost for ever. Type its name to go on: ")
        terminal.type(names[0])
        done = terminal.finish()
    assert done.code == 0, done.out
    left = [key for key in with_data.objects() if re.search("example", "".join(key))]
    assert left == []
    assert with_data.engine() is None


def standing(product: Product) -> set[tuple[str, str, str]]:
    """All objects but events, which controllers write when they please."""
    return {key for key in product.objects() if not key[0].startswith("events.")}
