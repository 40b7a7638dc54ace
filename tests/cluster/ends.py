"""What an install has left behind, in a form in which two installs can be compared.

Dropped are what no two runs share: uids, versions, times, key material that was made, and what
controllers chose (addresses, nodes, names of pods). Everything else must be equal.
"""

import base64
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from installer.core.canonical import canonical
from installer.core.clock import SystemClock
from installer.core.objects import ANNOTATION_HASH, ANNOTATION_OWNER, LABEL_INSTALL
from installer.store.sealed import SealedSecrets
from installer.store.sealed_key import read_identity_file
from tests.canaries import Canaries
from tests.cluster.installs import Operator
from tests.cluster.wire import api_roots
from tests.lab.api import Api, Object

_MADE = "<made>"
_SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "managedFields")
# What a controller chose or counts, by kind.
_CHOSEN = {
    "Service": ("clusterIP", "clusterIPs"),
    "PersistentVolumeClaim": ("volumeName",),
}
# They come and go by themselves, or are about nothing that we made.
_PASSING = ("events", "leases", "nodes", "csinodes", "endpointslices", "endpoints")
# Made by controllers for what we made; named at random.
_FOLLOWING = ("pods", "replicasets", "controllerrevisions", "endpointslices", "endpoints")


def listed(api: Api, but_not: Collection[str] = _PASSING) -> dict[str, Object]:
    """Every object of every kind, by its path."""
    found = {}
    for _, root in api_roots(api):
        for resource in api.get(root)["resources"]:
            name = resource["name"]
            if "/" in name or name in but_not or "list" not in resource["verbs"]:
                continue
            for item in api.items(f"{root}/{name}"):
                meta = item["metadata"]
                place = f"{root}/{name}/{meta.get('namespace', '-')}/{meta['name']}"
                found[place] = {"kind": resource["kind"], **item}
    return found


def versions(api: Api, install_id: str) -> dict[str, str]:
    """The resourceVersion of every object that an install declares or keeps for itself."""
    return {
        path: item["metadata"]["resourceVersion"] for path, item in _ours(api, install_id).items()
    }


def _ours(api: Api, install_id: str) -> dict[str, Object]:
    return {
        path: item
        for path, item in listed(api, (*_PASSING, *_FOLLOWING)).items()
        if (item["metadata"].get("labels") or {}).get(LABEL_INSTALL) == install_id
    }


def end_of(operator: Operator) -> dict[str, Any]:
    """Objects, files and inventory of a finished install (or of what an uninstall left)."""
    found = {
        "objects": {
            path: alike(item)
            for path, item in _ours(operator.cluster.api, operator.install_id).items()
        },
        "pods": _pods(operator),
        "files": _files(operator),
    }
    return _named_alike(found, operator)


def _named_alike(found: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
    text = canonical(found).decode()
    for value, name in (
        (str(operator.folder), "<folder>"),
        (operator.recipient, "<recipient>"),
        (operator.install_id, "<id>"),
    ):
        text = text.replace(value, name)
    alike: dict[str, Any] = json.loads(text)
    return alike


def alike(item: Object) -> Object:
    """An object without what no two runs share."""
    item = json.loads(json.dumps(item))
    meta = item["metadata"]
    meta["managers"] = sorted({entry["manager"] for entry in meta.get("managedFields", ())})
    for name in _SERVER_FIELDS:
        meta.pop(name, None)
    annotations = meta.get("annotations") or {}
    for name in (ANNOTATION_HASH, ANNOTATION_OWNER):
        if name in annotations:
            annotations[name] = _MADE
    for name in _CHOSEN.get(item["kind"], ()):
        (item.get("spec") or {}).pop(name, None)
    template = (item.get("spec") or {}).get("template", {}).get("metadata", {})
    for name in template.get("annotations") or {}:
        if name.startswith("checksum/"):
            template["annotations"][name] = _MADE
    if item["kind"] == "Secret":
        item["data"] = sorted(item.get("data") or {})
    if "inventory" in (item.get("data") or {}):
        item["data"] = _inventory(item["data"]["inventory"])
    item["status"] = _settled(item)
    return item


def _inventory(text: str) -> Object:
    inventory: Object = json.loads(text)
    inventory["uid"] = _MADE
    for row in inventory["objects"]:
        uid, content_hash = row[4], row[6]
        row[4], row[6] = bool(uid), bool(content_hash)
    return inventory


def _settled(item: Object) -> Object:
    """The counts of a workload; other status is full of times."""
    status = item.get("status") or {}
    names = ("replicas", "readyReplicas", "updatedReplicas", "observedGeneration", "phase")
    return {name: status[name] for name in names if name in status}


def _pods(operator: Operator) -> dict[str, int]:
    tally: dict[str, int] = {}
    for pod in operator.cluster.api.items(
        "/api/v1/pods", labelSelector=f"{LABEL_INSTALL}={operator.install_id}"
    ):
        name = re.sub(r"-[a-z0-9]+$", "", pod["metadata"]["generateName"].rstrip("-"))
        tally[name] = tally.get(name, 0) + 1
    return tally


def _files(operator: Operator) -> dict[str, Any]:
    """Modes and contents. Journals and reports tell of the way, not of the end: their modes."""
    found: dict[str, Any] = {}
    root = operator.directory
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        mode = oct(path.lstat().st_mode)
        if name.startswith("journal/") or name.startswith("reports/"):
            found.setdefault(f"{path.parent.name}/*", set()).add(mode)
        elif path.is_dir() or name.startswith("logs/") or name in ("lock", "secrets.age.sum"):
            found[name] = mode
        elif name == "secrets.age":
            found[name] = [mode, _sealed_names(operator, path)]
        else:
            found[name] = [mode, path.read_text(errors="replace")]
    return {name: sorted(v) if isinstance(v, set) else v for name, v in found.items()}


def _sealed_names(operator: Operator, path: Path) -> list[str]:
    key = read_identity_file(operator.identity)
    return sorted(SealedSecrets.open(path, key, clock=SystemClock()).names)


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Paths at which two ends differ, with both values."""
    if isinstance(first, dict) and isinstance(second, dict):
        lines = []
        for name in sorted(first.keys() | second.keys()):
            inner = f"{where}/{name}"
            if name not in first or name not in second:
                lines.append(f"{inner}: only in the {'second' if name in second else 'first'}")
            else:
                lines += differences(first[name], second[name], inner)
        return lines
    return [] if first == second else [f"{where}: {first!r} != {second!r}"]


def left_of(operator: Operator) -> list[str]:
    """Paths of everything in the cluster that bears the install's id."""
    name = f"/{operator.install_id}-"
    return sorted(path for path in listed(operator.cluster.api) if name in path)


def canaries_of(desk: Operator) -> Canaries:
    """All that was sealed, what opens it, and the key of our access to the cluster."""
    sealed = Canaries.of_sealed(desk.directory / "secrets.age", read_identity_file(desk.identity))
    user = yaml.safe_load(desk.kubeconfig.read_text())["users"][0]["user"]
    key = base64.b64decode(user["client-key-data"]).decode()
    return Canaries({**sealed.values, "the kubeconfig's key": key})
