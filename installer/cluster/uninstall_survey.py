"""Removes an install: what goes, what stays, and in which order.

``keep-data`` leaves volumes, the namespaces that hold them, databases' custom resources and the
installer's own namespace with the inventory, so that a later install finds and goes on with them.
``destroy`` leaves nothing that this install made; each name that holds data is confirmed first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from installer.cluster.control import control_namespace
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.handle import ClusterHandle
from installer.cluster.inventory import listed_by_others
from installer.cluster.records import Record
from installer.cluster.removal import Doomed, holds_data
from installer.core.objects import LABEL_INSTALL, Manifest, ObjectRef

_CRD = "customresourcedefinition.apiextensions.k8s.io"


class UninstallMode(StrEnum):
    KEEP_DATA = "keep-data"
    DESTROY = "destroy"


@dataclass(frozen=True)
class UninstallSurvey:
    """``confirm``: names that must be typed before anything is destroyed. ``stays``: lines on
    what is left in the cluster, and why. ``forgotten``: records of objects that are not removed
    because another install lists them too."""

    mode: UninstallMode
    removes: tuple[Doomed, ...]
    volumes: tuple[Doomed, ...]
    forgotten: tuple[Doomed, ...]
    confirm: tuple[str, ...]
    stays: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode.value,
            "removes": _rows(self.removes),
            "volumes": _rows(self.volumes),
            "forgotten": _rows(self.forgotten),
            "confirm": list(self.confirm),
            "stays": list(self.stays),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "UninstallSurvey":
        return cls(
            UninstallMode(data["mode"]),
            _doomed(data["removes"]),
            _doomed(data["volumes"]),
            _doomed(data["forgotten"]),
            tuple(data["confirm"]),
            tuple(data["stays"]),
        )


def _rows(items: Iterable[Doomed]) -> list[list[str]]:
    return [[*_ref_parts(item.ref), item.uid] for item in items]


def _ref_parts(ref: ObjectRef) -> list[str]:
    return [ref.api_version, ref.kind, ref.namespace, ref.name]


def _doomed(rows: Iterable[Sequence[str]]) -> tuple[Doomed, ...]:
    return tuple(Doomed(ObjectRef(*row[:4]), row[4]) for row in rows)


async def survey_uninstall(handle: ClusterHandle, mode: UninstallMode) -> UninstallSurvey:
    """What an uninstall would do. Reads only. Raises ApiFailure."""
    await handle.inventory.load()
    records = tuple(handle.inventory.records.values())
    shared = await listed_by_others(handle.api, handle.install_id)
    ours = [record for record in records if record.ref.key not in shared]
    forgotten = tuple(Doomed.of(r) for r in records if r.ref.key in shared)
    spaces = sorted(r.ref.name for r in ours if r.ref.group_kind == "namespace")
    volumes = await _volumes(handle, spaces)
    strangers = await _strangers(handle, spaces)
    held = await _definitions_in_use(handle, ours)
    common = [f"{item.ref}: another install in this cluster uses it too" for item in forgotten]
    if mode is UninstallMode.DESTROY:
        return UninstallSurvey(
            mode,
            tuple(Doomed.of(r) for r in ours if r.ref.group_kind != "persistentvolumeclaim"),
            tuple(volumes),
            forgotten,
            _names_to_confirm(ours, volumes, held, strangers),
            (*common, *await _retained(handle, volumes)),
        )
    kept = _kept(ours, volumes, held, strangers)
    removes = tuple(Doomed.of(r) for r in ours if r.ref.key not in kept)
    stays = (*common, *kept.values(), _control_line(handle))
    return UninstallSurvey(mode, removes, (), forgotten, (), stays)


async def _volumes(handle: ClusterHandle, spaces: Sequence[str]) -> list[Doomed]:
    """All claims in our namespaces, those that controllers made included."""
    found = []
    for space in spaces:
        listing = await handle.api.list("v1", "PersistentVolumeClaim", namespace=space)
        found += [Doomed(ObjectRef.of(c), c["metadata"]["uid"]) for c in listing.items]
    return sorted(found, key=lambda item: item.ref)


async def _strangers(handle: ClusterHandle, spaces: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Pods that others run in our namespaces: they would go with them."""
    found: dict[str, tuple[str, ...]] = {}
    for space in spaces:
        pods = (await handle.api.list("v1", "Pod", namespace=space)).items
        names = sorted(
            pod["metadata"]["name"]
            for pod in pods
            if (pod["metadata"].get("labels") or {}).get(LABEL_INSTALL) != handle.install_id
        )
        if names:
            found[space] = tuple(names)
    return found


async def _definitions_in_use(
    handle: ClusterHandle, ours: Sequence[Record]
) -> dict[str, tuple[str, ...]]:
    """Our definitions of which there are objects that are not ours: key -> their names."""
    mine = {record.ref.key for record in ours}
    found: dict[str, tuple[str, ...]] = {}
    for record in ours:
        if record.ref.group_kind != _CRD:
            continue
        definition = await handle.api.get(record.ref)
        if definition is None:
            continue
        others = [ref for ref in await _instances(handle, definition) if ref.key not in mine]
        if others:
            found[record.ref.key] = tuple(str(ref) for ref in others)
    return found


async def _instances(handle: ClusterHandle, definition: Manifest) -> list[ObjectRef]:
    spec = definition["spec"]
    version = next((v["name"] for v in spec["versions"] if v.get("served", True)), "")
    try:
        listing = await handle.api.list(f"{spec['group']}/{version}", spec["names"]["kind"])
    except ApiFailure as failure:
        if failure.kind is FailureKind.NO_SUCH_API:
            return []
        raise
    return [ObjectRef.of(item) for item in listing.items]


def _names_to_confirm(
    ours: Sequence[Record],
    volumes: Sequence[Doomed],
    held: Mapping[str, tuple[str, ...]],
    strangers: Mapping[str, tuple[str, ...]],
) -> tuple[str, ...]:
    names = {item.ref.namespace for item in volumes} | set(strangers)
    names |= {r.ref.name for r in ours if r.ref.key in held}
    names |= {r.ref.name for r in ours if _is_database(r.ref)}
    return tuple(sorted(names))


def _is_database(ref: ObjectRef) -> bool:
    return holds_data(ref) and ref.group_kind not in ("namespace", _CRD, "persistentvolumeclaim")


def _kept(
    ours: Sequence[Record],
    volumes: Sequence[Doomed],
    held: Mapping[str, tuple[str, ...]],
    strangers: Mapping[str, tuple[str, ...]],
) -> dict[str, str]:
    """Key -> why it stays, for keep-data."""
    full = {
        space: [f"somebody else's pod {name}" for name in strangers[space]] for space in strangers
    }
    for item in volumes:
        full.setdefault(item.ref.namespace, []).append(item.ref.name)
    kept = {item.ref.key: f"{item.ref}: a volume with data" for item in volumes}
    for record in ours:
        ref = record.ref
        if _is_database(ref):
            kept[ref.key] = f"{ref}: a database"
            full.setdefault(ref.namespace, []).append(ref.name)
    for record in ours:
        ref = record.ref
        if ref.group_kind == "namespace" and ref.name in full:
            kept[ref.key] = f"{ref}: holds {', '.join(sorted(full[ref.name]))}"
        if ref.group_kind == _CRD and ref.key in held:
            kept[ref.key] = f"{ref}: defines {', '.join(held[ref.key])}"
        elif ref.group_kind == _CRD and _defines_kept(ref, kept):
            kept[ref.key] = f"{ref}: defines a database that stays"
    return kept


def _defines_kept(ref: ObjectRef, kept: Mapping[str, str]) -> bool:
    """A definition is named ``<plural>.<group>``."""
    group = ref.name.partition(".")[2]
    return any(key.split("/")[0].partition(".")[2] == group for key in kept)


def _control_line(handle: ClusterHandle) -> str:
    name = control_namespace(handle.install_id)
    return f"Namespace {name}: the inventory, with which a later install goes on"


async def _retained(handle: ClusterHandle, volumes: Sequence[Doomed]) -> list[str]:
    claims = {(item.ref.namespace, item.ref.name) for item in volumes}
    if not claims:
        return []
    lines = []
    try:
        found = (await handle.api.list("v1", "PersistentVolume")).items
    except ApiFailure as failure:
        if failure.kind is not FailureKind.FORBIDDEN:
            raise
        return ["PersistentVolumes: we may not see whether some are retained with their data"]
    for volume in found:
        claim = volume["spec"].get("claimRef") or {}
        where = (claim.get("namespace", ""), claim.get("name", ""))
        if where in claims and volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain":
            name = volume["metadata"]["name"]
            lines.append(
                f"PersistentVolume {name}: its reclaim policy is Retain; it still holds the data "
                f"of {where[0]}/{where[1]}"
            )
    return lines
