"""What the inventory remembers of one object, and the text form of a whole inventory."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from installer.core.canonical import canonical
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import ObjectRef

FORMAT = 1


class RecordState(StrEnum):
    INTENDED = "intended"  # a write was about to be sent; whether it arrived is not known
    APPLIED = "applied"


@dataclass(frozen=True)
class Record:
    """One object of ours. ``generation`` is 0 for kinds that have none.

    ``uid`` is empty for an intended object that did not exist before.
    """

    ref: ObjectRef
    uid: str
    generation: int
    content_hash: str
    component: str
    wave: str
    state: RecordState = RecordState.APPLIED

    def to_json(self) -> list[object]:
        """A list, not a mapping: names of fields would be half of a large inventory."""
        ref = self.ref
        return [
            ref.api_version,
            ref.kind,
            ref.namespace,
            ref.name,
            self.uid,
            self.generation,
            self.content_hash,
            self.component,
            self.wave,
            self.state.value,
        ]

    @classmethod
    def from_json(cls, data: list[Any]) -> "Record":
        return cls(
            ObjectRef(data[0], data[1], data[2], data[3]),
            str(data[4]),
            int(data[5]),
            str(data[6]),
            str(data[7]),
            str(data[8]),
            RecordState(data[9]),
        )


def records_text(install_id: str, install_uid: str, records: Iterable[Record]) -> str:
    """One shard as canonical JSON: equal records give equal bytes."""
    rows = [record.to_json() for record in sorted(records, key=lambda record: record.ref)]
    head = {"format": FORMAT, "install": install_id, "uid": install_uid, "objects": rows}
    return canonical(head).decode()


def records_of(manifest: Mapping[str, Any], install_uid: str) -> tuple[Record, ...]:
    """Reads one shard. Raises InstallError: INVENTORY-NEWER, INVENTORY-DAMAGED, FOREIGN-OWNER."""
    where = f"ConfigMap {manifest['metadata']['name']} in {manifest['metadata']['namespace']}"
    try:
        data = json.loads(manifest["data"]["inventory"])
        version, uid = int(data["format"]), str(data["uid"])
        if version > FORMAT:
            raise InstallError(
                "INVENTORY-NEWER",
                "this install was last changed by a newer version",
                f"{where} has format {version}, this version reads up to {FORMAT}",
                "Use the newer version of matrix-install.",
                exit_code=ExitCode.REFUSED,
            )
        if uid != install_uid:
            raise InstallError(
                "FOREIGN-OWNER",
                "another install has the same id",
                f"{where} belongs to install {uid}, not to {install_uid}",
                "Choose another install id, or work in the directory of the install that owns it.",
                exit_code=ExitCode.REFUSED,
            )
        return tuple(Record.from_json(row) for row in data["objects"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise InstallError(
            "INVENTORY-DAMAGED",
            "the inventory in the cluster cannot be read",
            f"{where}: {type(error).__name__}: {error}",
            "Restore it from a backup of the cluster, or delete it: the next run builds it anew "
            "from what it applies, but forgets what it would have pruned.",
            exit_code=ExitCode.REFUSED,
        ) from error
