"""Whose object is this: labels and annotations that every object carries."""

from typing import Any

from installer.core.objects import (
    ANNOTATION_OWNER,
    LABEL_COMPONENT,
    LABEL_INSTALL,
    Manifest,
)
from manifests.component import Component
from manifests.context import LABEL_NAME
from manifests.derive.podtemplates import pod_template
from manifests.pods import PodSet

LABEL_ROLE = "app.kubernetes.io/component"
LABEL_MANAGER = "app.kubernetes.io/managed-by"
MANAGER = "matrix-install"


def stamp(manifest: Manifest, component: Component, install_id: str, install_uid: str) -> None:
    """Adds the labels and the owner's annotation; a template's own labels stay."""
    meta = manifest["metadata"]
    own: dict[str, Any] = meta.get("labels") or {}
    meta["labels"] = {
        LABEL_INSTALL: install_id,
        LABEL_NAME: meta["name"],
        LABEL_COMPONENT: component.name,
        LABEL_MANAGER: MANAGER,
        **own,
    }
    meta["annotations"] = {**(meta.get("annotations") or {}), ANNOTATION_OWNER: install_uid}


def stamp_pods(manifest: Manifest, pods: PodSet) -> None:
    """Labels a workload and its pods with their pod set's role. Selectors stay as they are."""
    template = pod_template(manifest)
    labels = {LABEL_ROLE: pods.role, LABEL_MANAGER: MANAGER}
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**labels, **(meta.get("labels") or {}), **pods.selector}
    manifest["metadata"].setdefault("labels", {}).update({**labels, **pods.selector})
