"""The control namespace: where the installer keeps its lease and its inventory."""

from typing import Any

from installer.cluster.client import ApiClient
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.foreign import claim_on
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import (
    ANNOTATION_OWNER,
    LABEL_COMPONENT,
    LABEL_INSTALL,
    Manifest,
    ObjectRef,
)


def control_namespace(install_id: str) -> str:
    return f"{install_id}-install"


def control_namespace_ref(install_id: str) -> ObjectRef:
    return ObjectRef("v1", "Namespace", "", control_namespace(install_id))


def control_labels(install_id: str) -> dict[str, str]:
    return {
        LABEL_INSTALL: install_id,
        LABEL_COMPONENT: "install",
        "app.kubernetes.io/managed-by": "matrix-install",
    }


def control_namespace_manifest(install_id: str, install_uid: str) -> Manifest:
    labels: dict[str, Any] = control_labels(install_id)
    # No pod ever runs there.
    labels["pod-security.kubernetes.io/enforce"] = "restricted"
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": control_namespace(install_id),
            "labels": labels,
            "annotations": {ANNOTATION_OWNER: install_uid},
        },
    }


async def ensure_control_namespace(client: ApiClient, install_id: str, install_uid: str) -> None:
    """Makes the namespace if it is not there.

    It is created, not applied: two installs of one id that start together would both apply it
    under the same field manager, and the later would take it over without a conflict. Raises
    InstallError FOREIGN-OWNER if it is not this install's.
    """
    ref = control_namespace_ref(install_id)
    found = await client.get(ref)
    if found is None:
        try:
            await client.create(control_namespace_manifest(install_id, install_uid))
            return
        except ApiFailure as failure:
            if failure.kind is not FailureKind.ALREADY_EXISTS:
                raise
            found = await client.get(ref)
    check_control_namespace(found, install_id, install_uid)


def check_control_namespace(found: Manifest | None, install_id: str, install_uid: str) -> None:
    """Raises InstallError if the namespace is another's or on its way out."""
    name = control_namespace(install_id)
    claim = claim_on(found, install_uid=install_uid) if found is not None else None
    if claim is not None:
        raise InstallError(
            code="FOREIGN-OWNER",
            title=f"The namespace {name} is not of this install",
            cause=f"It belongs to {claim.words}; our own uid is {install_uid}.",
            remedy="Choose another install id in the settings, or use the directory of the install "
            "that owns it.",
            exit_code=ExitCode.REFUSED,
        )
    if found is None or found["metadata"].get("deletionTimestamp"):
        raise InstallError(
            code="NAMESPACE-TERMINATING",
            title=f"The namespace {name} is being deleted",
            cause="Somebody deleted the installer's own namespace, and it is not gone yet.",
            remedy="Wait until it is gone (kubectl get namespace) and try again.",
            retryable=True,
        )
