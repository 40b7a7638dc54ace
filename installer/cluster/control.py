"""The control namespace: where the installer keeps its lease and its inventory."""

from collections.abc import Callable
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

GOING_PATIENCE = 120.0  # seconds for a namespace of ours that was deleted; usually about six
GOING_LOOK = 1.0


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


async def ensure_control_namespace(
    client: ApiClient,
    install_id: str,
    install_uid: str,
    on_wait: Callable[[str], None] = lambda _: None,
) -> None:
    """Makes the namespace if it is not there; one of ours that is going is waited out first.

    It goes when a run that destroys the install was killed before its end. It is created, not
    applied: two installs of one id that start together would both apply it under the same field
    manager, and the later would take it over without a conflict. ``on_wait`` is told in words
    what is waited for. Raises InstallError FOREIGN-OWNER if it is not this install's,
    NAMESPACE-TERMINATING if it does not go.
    """
    ref = control_namespace_ref(install_id)
    found = await client.get(ref)
    deadline = client.clock.monotonic() + GOING_PATIENCE
    while _going(found, install_uid) and client.clock.monotonic() < deadline:
        on_wait(f"{ref} to be gone, which an earlier run deleted")
        await client.clock.sleep(GOING_LOOK)
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


def _going(found: Manifest | None, install_uid: str) -> bool:
    if found is None or not found["metadata"].get("deletionTimestamp"):
        return False
    return claim_on(found, install_uid=install_uid) is None


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
            cause="The installer's own namespace was deleted, and something keeps it from going.",
            remedy=f"See what does (kubectl describe namespace {name}), and try again when it is "
            "gone.",
            retryable=True,
        )
