"""No secret is found anywhere but in the sealed file and in the cluster's Secrets."""

import base64
import json
import time
from collections.abc import Iterator

import pytest
import yaml

from installer.store.sealed_key import read_identity_file
from tests.canaries import Canaries, assert_no_canary
from tests.cluster.ends import listed
from tests.cluster.installs import Operator, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

ID = "canary"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def desk(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(control_plane, wire, ID) as made:
        yield made


def canaries_of(desk: Operator) -> Canaries:
    """All that was sealed, what opens it, and the key of our access to the cluster."""
    sealed = Canaries.of_sealed(desk.directory / "secrets.age", read_identity_file(desk.identity))
    user = yaml.safe_load(desk.kubeconfig.read_text())["users"][0]["user"]
    key = base64.b64decode(user["client-key-data"]).decode()
    return Canaries({**sealed.values, "the kubeconfig's key": key})


def objects_without_secrets(desk: Operator) -> str:
    """Everything that the cluster shows of all objects, Secrets' data left out."""
    found = listed(desk.cluster.api, but_not=())
    for item in found.values():
        if item["kind"] == "Secret":
            item.pop("data", None)
    return json.dumps(list(found.values()))


def test_no_secret_is_left_anywhere(desk: Operator) -> None:
    since = time.time()
    ran = [desk.install(die_at="call:5:before")]
    canaries = canaries_of(desk)
    assert len(canaries.values) >= 6
    with canaries.watching_processes() as leaks:
        ran.append(desk.resume(die_at="record:8"))
        ran.append(desk.resume())
        held = json.dumps(list(listed(desk.cluster.api).values()))
        assert canaries.in_data(held, "the cluster"), "they do arrive, in Secrets"
        shown = objects_without_secrets(desk)
        desk.write_settings(source={"kind": "registry", "registry": "no registry at all"})
        ran.append(desk.install(code=3))
        ran.append(desk.uninstall())
        ran.append(desk.uninstall("destroy"))
    assert not leaks
    assert_no_canary(
        canaries,
        [desk.folder],
        since=since,
        but_not=[
            desk.directory / "secrets.age",
            desk.identity,
            desk.kubeconfig,
            desk.cluster.directory,
        ],
        more={
            "the cluster's objects": shown,
            **{f"run {number}": one.text for number, one in enumerate(ran)},
        },
    )
