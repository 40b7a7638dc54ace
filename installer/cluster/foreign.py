"""Whose an object is that stands where we want to put ours.

Each tool's marks, from its documentation: Helm (helm.sh/docs/topics/charts_tips_and_tricks),
Argo CD (argo-cd.readthedocs.io, resource tracking), Flux (fluxcd.io, kustomize and helm
controllers), kapp (carvel.dev/kapp), kluctl (kluctl.io, discriminator), OLM
(olm.operatorframework.io), the addon manager (k8s.io/kubernetes cluster/addons/addon-manager).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from installer.core.objects import ANNOTATION_OWNER, FIELD_MANAGER, LABEL_INSTALL, Manifest


class Claimant(StrEnum):
    ANOTHER_INSTALL = "another-install"
    HELM = "helm"
    ARGO = "argo"
    FLUX = "flux"
    OTHER_TOOL = "other-tool"
    CONTROLLER = "controller"  # a controller made it for another object
    FIELD_MANAGER = "field-manager"  # a person or program, by the name it wrote under
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Claim:
    """Who owns an object; ``words`` complete "It belongs to ..."."""

    claimant: Claimant
    words: str


def claim_on(found: Manifest, *, install_uid: str) -> Claim | None:
    """The claim of somebody else on an existing object; None where it is this install's.

    Only our own uid makes an object ours: two installs may share an id, and Helm or a person may
    have copied our labels.
    """
    meta = found.get("metadata") or {}
    labels: Mapping[str, str] = meta.get("labels") or {}
    annotations: Mapping[str, str] = meta.get("annotations") or {}
    if annotations.get(ANNOTATION_OWNER) == install_uid:
        return None
    for mark in _MARKS:
        claim = mark(labels, annotations)
        if claim is not None:
            return claim
    return _controller(meta) or _managed_by(labels) or _writer(meta)


def _another_install(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Claim | None:
    uid, name = annotations.get(ANNOTATION_OWNER, ""), labels.get(LABEL_INSTALL, "")
    if not uid and not name:
        return None
    words = f"the install {name!r}" if name else "another install"
    return Claim(Claimant.ANOTHER_INSTALL, f"{words} of this installer (uid {uid or 'unknown'})")


def _helm(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Claim | None:
    release = annotations.get("meta.helm.sh/release-name", "")
    namespace = annotations.get("meta.helm.sh/release-namespace", "")
    if not release:
        return None
    return Claim(Claimant.HELM, f"the Helm release {release!r} in namespace {namespace!r}")


def _argo(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Claim | None:
    tracking = annotations.get("argocd.argoproj.io/tracking-id", "")
    name = tracking.partition(":")[0] or labels.get("argocd.argoproj.io/instance", "")
    return Claim(Claimant.ARGO, f"the Argo CD application {name!r}") if name else None


def _flux(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Claim | None:
    for group, kind in (("kustomize", "Kustomization"), ("helm", "HelmRelease")):
        name = labels.get(f"{group}.toolkit.fluxcd.io/name", "")
        namespace = labels.get(f"{group}.toolkit.fluxcd.io/namespace", "")
        if name:
            return Claim(Claimant.FLUX, f"the Flux {kind} {name!r} in namespace {namespace!r}")
    return None


# Label or annotation -> what its value names.
_OTHER_TOOLS = {
    "kapp.k14s.io/app": "the kapp application",
    "kluctl.io/discriminator": "the kluctl deployment",
    "olm.owner": "the OLM operator",
    "addonmanager.kubernetes.io/mode": "the cluster's addon manager, mode",
}


def _other_tool(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Claim | None:
    for mark, words in _OTHER_TOOLS.items():
        value = labels.get(mark) or annotations.get(mark)
        if value:
            return Claim(Claimant.OTHER_TOOL, f"{words} {value!r}")
    return None


_MARKS: tuple[Callable[[Mapping[str, str], Mapping[str, str]], Claim | None], ...] = (
    _another_install,
    _argo,  # before Helm: Argo renders charts and keeps their marks
    _flux,  # likewise, Flux' HelmRelease
    _helm,
    _other_tool,
)


def _controller(meta: Mapping[str, Any]) -> Claim | None:
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            return Claim(Claimant.CONTROLLER, f"the {owner['kind']} {owner['name']}")
    return None


def _managed_by(labels: Mapping[str, str]) -> Claim | None:
    manager = labels.get("app.kubernetes.io/managed-by", "")
    if not manager or manager == FIELD_MANAGER:
        return None
    return Claim(Claimant.OTHER_TOOL, f"{manager} (app.kubernetes.io/managed-by)")


def _writer(meta: Mapping[str, Any]) -> Claim:
    entries = [
        entry
        for entry in meta.get("managedFields") or ()
        if entry.get("manager") != FIELD_MANAGER and not entry.get("subresource")
    ]
    if not entries:
        return Claim(Claimant.UNKNOWN, "somebody who left no name")
    last = max(entries, key=lambda entry: str(entry.get("time", "")))
    when = f" at {last['time']}" if last.get("time") else ""
    return Claim(Claimant.FIELD_MANAGER, f"somebody who wrote it with {last.get('manager')}{when}")
