"""No secret is found anywhere but in the sealed file and in the cluster's Secrets."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.canaries import assert_no_canary
from tests.cluster.ends import canaries_of, listed
from tests.cluster.installs import Operator, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

ID = "canary"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def desk(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(control_plane, wire, ID) as made:
        yield made


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


def test_a_passphrase_opens_an_install_and_another_does_not(
    control_plane: ControlPlane, wire: Wire
) -> None:
    """As an operator does it: the passphrase in a file of its own."""
    with operator(control_plane, wire, "phrase", {"secrets": {"seal": "passphrase"}}) as desk:
        desk.identity.write_text("correct horse battery staple\n")
        right = ("--passphrase-file", str(desk.identity))
        other = desk.folder / "other.txt"
        other.touch(mode=0o600)
        other.write_text("incorrect horse battery staple\n")
        base = ("--answers", str(desk.answers), "--yes")
        assert desk.begin(*base, key=right).finish().code == 0
        refused = desk.begin(*base, key=("--passphrase-file", str(other))).finish()
        assert refused.code == 7
        assert refused.problem["code"] == "SECRETS-WRONG-PASSPHRASE"
        assert not refused.mutations
        again = desk.begin(*base, key=right).finish()
        assert again.code == 0
        assert again.events[-1]["data"]["changed"] == 0
