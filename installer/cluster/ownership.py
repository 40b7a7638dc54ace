"""Whose object is it? Ours carries our install's uid; of any other the owner is told in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster.owners import managers
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import (
    ANNOTATION_OWNER,
    FIELD_MANAGER,
    LABEL_INSTALL,
    ObjectRef,
)


@dataclass(frozen=True)
class ForeignObject:
    """An object of a name that we want and that is not ours."""

    ref: ObjectRef
    owner: str
    evidence: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        return f"{self.ref}: {self.owner}"


def is_ours(live: Mapping[str, Any], install_uid: str) -> bool:
    annotations = live["metadata"].get("annotations") or {}
    return bool(annotations.get(ANNOTATION_OWNER) == install_uid)


# Marks that tools leave on what they manage: (annotation or label, words before its value).
_MARKS = (
    ("argocd.argoproj.io/tracking-id", "Argo CD application"),
    ("argocd.argoproj.io/instance", "Argo CD application"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux kustomization"),
    ("helm.toolkit.fluxcd.io/name", "Flux Helm release"),
    ("kluctl.io/discriminator", "kluctl deployment"),
    ("kapp.k14s.io/app", "kapp app"),
    ("olm.owner", "Operator Lifecycle Manager"),
    ("addonmanager.kubernetes.io/mode", "the cluster's addon manager, mode"),
)
_PEOPLE = ("kubectl", "k9s", "lens", "dashboard", "Mozilla", "headlamp")


def owner_in_words(live: Mapping[str, Any]) -> str:
    """The most telling sign of an owner, in words."""
    meta = live["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if annotations.get(ANNOTATION_OWNER):
        install = labels.get(LABEL_INSTALL, "?")
        return f"another matrix-install, id {install}, uid {annotations[ANNOTATION_OWNER]}"
    for owner in meta.get("ownerReferences") or ():
        return f"{owner.get('kind')} {owner.get('name')} (it made this object)"
    marks = {**labels, **annotations}
    for name, words in _MARKS:
        if marks.get(name):
            return f"{words} {marks[name]}"
    release = annotations.get("meta.helm.sh/release-name")
    if release:
        where = annotations.get("meta.helm.sh/release-namespace", "")
        return f"Helm release {release} in {where}"
    return _by_manager(live, labels.get("app.kubernetes.io/managed-by", ""))


def _by_manager(live: Mapping[str, Any], managed_by: str) -> str:
    writers = [owner for owner in managers(live) if not owner.subresource]
    last = writers[-1] if writers else None
    if managed_by and managed_by != FIELD_MANAGER:
        return f"{managed_by} (label app.kubernetes.io/managed-by)"
    if last is None:
        return "unknown: it carries no sign of who made it"
    if last.manager.lower().startswith(tuple(name.lower() for name in _PEOPLE)):
        return f"a person, with {last}"
    return f"field manager {last}"


def foreign(live: Mapping[str, Any]) -> ForeignObject:
    meta = live["metadata"]
    evidence = [f"created {meta.get('creationTimestamp', '?')}, uid {meta.get('uid', '?')}"]
    evidence += [f"written by {owner}" for owner in managers(live)][-3:]
    return ForeignObject(ObjectRef.of(live), owner_in_words(live), tuple(evidence))


def refusal(problems: Iterable[ForeignObject]) -> InstallError:
    """FOREIGN-OWNER for all of them at once."""
    found = tuple(problems)
    first, more = found[0], len(found) - 1
    others = f" and {more} more" if more else ""
    return InstallError(
        "FOREIGN-OWNER",
        f"{first.ref}{others} already exist and are not ours",
        "; ".join(problem.line for problem in found[:10]),
        "Choose another install id, remove them, or accept each by its name to adopt it.",
        evidence=tuple(line for problem in found[:10] for line in problem.evidence),
        exit_code=ExitCode.REFUSED,
    )
