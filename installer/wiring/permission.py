"""Asks before a run whether all of it is allowed, so that none of it stops half way."""

from collections.abc import Iterable

from installer.cluster.client import ApiClient
from installer.cluster.control import control_namespace
from installer.cluster.rights import Right, missing_rights
from installer.core.errors import ExitCode, InstallError
from manifests.component import Right as NeededRight

_SHOWN = 12


async def refuse_missing_rights(
    client: ApiClient, install_id: str, needed: Iterable[NeededRight]
) -> None:
    """Raises InstallError RIGHTS-MISSING naming what is not allowed."""
    rights = [
        Right(verb, right.group, right.resource, right.namespace)
        for right in needed
        for verb in right.verbs
    ]
    missing = await missing_rights(client, (*rights, *_own(install_id)))
    if not missing:
        return
    shown = [str(item.right) for item in missing[:_SHOWN]]
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    raise InstallError(
        code="RIGHTS-MISSING",
        title="The kubeconfig's user may not do all that the plan needs",
        cause=f"Not allowed: {', '.join(shown)}{more}.",
        remedy="Use a kubeconfig with these rights, or have an administrator grant them.",
        retryable=True,
        evidence=tuple(item.reason for item in missing[:_SHOWN] if item.reason),
        exit_code=ExitCode.REFUSED,
    )


def _own(install_id: str) -> tuple[Right, ...]:
    """For the lease and the inventory."""
    namespace = control_namespace(install_id)
    kept = [("", "configmaps"), ("coordination.k8s.io", "leases")]
    return (
        *(Right(verb, "", "namespaces") for verb in ("get", "list", "create", "delete")),
        *(
            Right(verb, group, resource, namespace)
            for group, resource in kept
            for verb in ("get", "list", "create", "update", "delete")
        ),
    )
