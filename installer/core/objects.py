"""Kubernetes objects as data, and how the rooms name them to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]  # one Kubernetes object as plain JSON data

LABEL_INSTALL = "matrix-install.io/install"  # install id: whose object this is
LABEL_COMPONENT = "app.kubernetes.io/part-of"  # component's name
ANNOTATION_HASH = "matrix-install.io/content-hash"  # keyed digest of what we declared
ANNOTATION_OWNER = "matrix-install.io/install-uid"  # tells two installs with one id apart
FIELD_MANAGER = "matrix-install"


@dataclass(frozen=True, order=True)
class ObjectRef:
    """Names one object. ``namespace`` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "ObjectRef":
        meta = manifest["metadata"]
        return cls(
            manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"]
        )

    @property
    def group_kind(self) -> str:
        """``kind.group`` in lower case, as kubectl prints it (``deployment.apps``)."""
        group = self.api_version.rpartition("/")[0]
        return f"{self.kind.lower()}.{group}" if group else self.kind.lower()

    @property
    def key(self) -> str:
        """Stable text form, used as a mutation's target: ``deployment.apps/ns/name``."""
        return f"{self.group_kind}/{self.namespace or '-'}/{self.name}"

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{where}"


@dataclass(frozen=True)
class Gate:
    """A condition that must hold before dependants start.

    ``kind`` names an implementation in ``installer.cluster`` or ``installer.health``; ``ready``
    (the kind's own readiness rule) is the default gate of every applied object.
    """

    kind: str
    ref: ObjectRef
    waits_for: str  # in words, as shown while waiting
    timeout: float = 600.0  # seconds
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectWave:
    """Objects applied side by side, then the gates that must hold.

    ``objects`` carry keyed digests where secrets stand; only the engine ever renders the values.
    """

    id: str  # unique within the install: "redis/2-workloads"
    component: str
    title: str
    phase: str
    needs: tuple[str, ...]  # ids of waves
    objects: tuple[Manifest, ...]
    gates: tuple[Gate, ...] = ()
    settings_read: tuple[str, ...] = ()
