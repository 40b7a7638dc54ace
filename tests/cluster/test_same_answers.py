"""The simulated API server answers an apply exactly as a real one: defaults, amounts, owners."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.test_contract_real import RealFarEnd
from tests.contract.client import Client, Json, collection
from tests.contract.far_end import FarEnd, SimulatedFarEnd
from tests.lab.control_plane import ControlPlane
from tests.unit.manifests import samples

KINDS = Path(__file__).parent.parent / "contract" / "kinds.yaml"
# Two installs of different rows share their cluster-wide names: each is compared by itself.
ROWS = ("trial", "100", "20k")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarEnd]:
    """Without controllers: what is compared is what the API server alone makes of an object."""
    folder = tmp_path_factory.mktemp("answers")
    with ControlPlane(folder, controllers=False, kubelets=False) as control_plane:
        yield RealFarEnd(control_plane)


@pytest.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[FarEnd]:
    far_end = SimulatedFarEnd(tmp_path)
    await far_end.open()
    try:
        yield far_end
    finally:
        await far_end.kill()


async def _answers(far_end: FarEnd, objects: list[Json]) -> dict[str, Any]:
    """By kind, namespace and name: the answer to an apply, without what is made up each time."""
    client = Client(far_end)
    found: dict[str, Any] = {}
    try:
        for obj in objects:
            api = obj["apiVersion"]
            prefix = f"apis/{api}" if "/" in api else f"api/{api}"
            listed = (await client.seen(f"/{prefix}"))["resources"]
            plural = next(
                item["name"]
                for item in listed
                if item["kind"] == obj["kind"] and "/" not in item["name"]
            )
            metadata = obj["metadata"]
            namespace = metadata.get("namespace", "")
            path = f"{collection('', namespace, prefix, plural)}/{metadata['name']}"
            answer = await client.apply(obj, "contract", path=path, force="true")
            found[f"{obj['kind']} {namespace}/{metadata['name']}"] = _plain(answer.json())
    finally:
        await client.close()
    return found


def _plain(answer: Json) -> Json:
    """Uids, times, versions and given-out addresses taken out or named alike."""
    metadata = answer.get("metadata", {})
    uid = metadata.get("uid")
    if uid:
        answer = json.loads(json.dumps(answer).replace(uid, "UID"))
    metadata = answer.get("metadata", {})
    for name in ("creationTimestamp", "resourceVersion"):
        metadata.pop(name, None)
    metadata["managedFields"] = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in metadata.get("managedFields", [])
        if entry["manager"] == "contract"
    ]
    spec = answer.get("spec", {})
    if answer.get("kind") == "Service" and spec.get("clusterIP") not in (None, "None"):
        spec.update(clusterIP="given", clusterIPs=["given"])
        for port in spec["ports"]:
            port.pop("nodePort", None)
        spec.pop("healthCheckNodePort", None)
    return {key: value for key, value in answer.items() if value is not None}


def _known(answer: Json) -> Json:
    """Without keys that are null: only the real server sends those, and they say nothing."""
    text = json.dumps(answer)
    found: Json = json.loads(
        text,
        object_hook=lambda part: {key: value for key, value in part.items() if value is not None},
    )
    return found


def _differences(real: Any, simulated: Any, path: str) -> Iterator[str]:
    """Each place where the two answers differ."""
    if isinstance(real, dict) and isinstance(simulated, dict):
        for key in sorted(real.keys() | simulated.keys()):
            yield from _differences(real.get(key), simulated.get(key), f"{path}.{key}")
    elif isinstance(real, list) and isinstance(simulated, list) and len(real) == len(simulated):
        for index, pair in enumerate(zip(real, simulated, strict=True)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif real != simulated:
        yield f"{path}: real {real!r}, simulated {simulated!r}"


@pytest.mark.parametrize("row", ["kinds", *ROWS])
async def test_same_answers(row: str, real: FarEnd, simulated: FarEnd) -> None:
    if row == "kinds":
        objects = list(yaml.safe_load_all(KINDS.read_text()))
    else:
        objects = [dict(manifest) for manifest in samples.revealed(row)]
        _rename(objects, row)
    expected = await _answers(real, objects)
    found = await _answers(simulated, objects)
    assert [
        difference
        for name, answer in expected.items()
        for difference in _differences(_known(answer), _known(found[name]), name)
    ] == []


def _rename(objects: list[Json], row: str) -> None:
    """Give each row's install names of its own, so that one server can hold them all."""
    text = json.dumps(objects).replace("example-", f"row{row}-")
    objects[:] = json.loads(text)
