"""Whose an object is, by the marks that each tool leaves."""

from typing import Any

import pytest

from installer.cluster.foreign import Claimant, claim_on
from installer.core.objects import ANNOTATION_OWNER, LABEL_INSTALL, Manifest

UID = "our-uid"
MANAGED_BY = "app.kubernetes.io/managed-by"


def thing(**meta: Any) -> Manifest:
    return {"kind": "Deployment", "metadata": {"name": "a", **meta}}


def writer(manager: str, time: str, **more: str) -> dict[str, str]:
    return {"manager": manager, "time": time, **more}


HELM = {"meta.helm.sh/release-name": "pg", "meta.helm.sh/release-namespace": "db"}


@pytest.mark.parametrize(
    ("meta", "claimant", "words"),
    [
        (
            {"labels": {LABEL_INSTALL: "mx"}, "annotations": {ANNOTATION_OWNER: "uid-2"}},
            Claimant.ANOTHER_INSTALL,
            ["'mx'", "uid-2"],
        ),
        ({"labels": {LABEL_INSTALL: "mx"}}, Claimant.ANOTHER_INSTALL, ["'mx'"]),
        ({"labels": {MANAGED_BY: "Helm"}, "annotations": HELM}, Claimant.HELM, ["'pg'", "'db'"]),
        (
            {"annotations": {**HELM, "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:x/a"}},
            Claimant.ARGO,
            ["'shop'"],
        ),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, Claimant.ARGO, ["'shop'"]),
        (
            {
                "labels": {
                    "kustomize.toolkit.fluxcd.io/name": "infra",
                    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
                }
            },
            Claimant.FLUX,
            ["Kustomization 'infra'", "flux-system"],
        ),
        (
            {"labels": {"helm.toolkit.fluxcd.io/name": "pg"}, "annotations": HELM},
            Claimant.FLUX,
            ["HelmRelease 'pg'"],
        ),
        ({"labels": {"kapp.k14s.io/app": "1700"}}, Claimant.OTHER_TOOL, ["kapp", "1700"]),
        ({"labels": {MANAGED_BY: "pulumi"}}, Claimant.OTHER_TOOL, ["pulumi"]),
        (
            {"ownerReferences": [{"kind": "Cluster", "name": "db", "controller": True}]},
            Claimant.CONTROLLER,
            ["Cluster db"],
        ),
        (
            {
                "managedFields": [
                    writer("kubectl-create", "2026-01-01T00:00:00Z"),
                    writer("kubectl-edit", "2026-02-01T00:00:00Z"),
                    writer("kube-controller-manager", "2026-03-01T00:00:00Z", subresource="status"),
                    writer("matrix-install", "2026-04-01T00:00:00Z"),
                ]
            },
            Claimant.FIELD_MANAGER,
            ["kubectl-edit", "2026-02-01"],
        ),
        ({}, Claimant.UNKNOWN, ["no name"]),
    ],
)
def test_each_mark(meta: dict[str, Any], claimant: Claimant, words: list[str]) -> None:
    claim = claim_on(thing(**meta), install_uid=UID)
    assert claim is not None
    assert claim.claimant is claimant
    assert all(word in claim.words for word in words)


def test_our_own_uid_and_nothing_else_makes_an_object_ours() -> None:
    ours = thing(annotations={ANNOTATION_OWNER: UID}, labels={MANAGED_BY: "Helm"})
    assert claim_on(ours, install_uid=UID) is None
    copied = thing(labels={LABEL_INSTALL: "mx", MANAGED_BY: "matrix-install"})
    assert claim_on(copied, install_uid=UID) is not None
