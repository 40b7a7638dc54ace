"""The way to a cluster: credentials, client, informers, and the handle that steps share."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from installer.cluster.client import ApiClient
from installer.cluster.concurrency import RetryBudget
from installer.cluster.handle import ClusterHandle, Consents, open_handle
from installer.cluster.informer import Informers
from installer.cluster.kubeconfig import load_target
from installer.cluster.target import ClusterTarget
from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import ObjectRef
from installer.wiring.target import Target
from installer.wiring.workspace import Workspace

# Somebody who waits for a plan wants to hear soon that the address is wrong; an engine at night
# goes on as soon as the API is back.
VIEW_PATIENCE = 10.0
ENGINE_PATIENCE = 300.0
KUBE_SYSTEM = ObjectRef("v1", "Namespace", "", "kube-system")


@dataclass(frozen=True)
class Link:
    """An open way to one cluster. ``cluster_uid`` is the uid of its ``kube-system``."""

    cluster: ClusterTarget
    client: ApiClient
    handle: ClusterHandle
    cluster_uid: str
    close: Callable[[], Awaitable[None]]


async def open_link(
    target: Target,
    workspace: Workspace,
    clock: Clock,
    *,
    patience: float,
    consents: Consents | None = None,
) -> Link:
    """Connects and looks whether it is the cluster that this directory belongs to.

    ``patience``: seconds for which reads are repeated while the API does not answer.
    Raises InstallError KUBECONFIG-*, the API's failures in words, OTHER-CLUSTER.
    """
    cluster = await load_target(
        target.kubeconfig.expanduser(),
        target.context or None,
        workspace.directory.scratch,
        clock=clock,
    )
    stack = AsyncExitStack()
    try:
        budget = RetryBudget(clock, seconds=patience)
        client = await stack.enter_async_context(ApiClient(cluster, clock=clock, retry=budget))
        informers = await stack.enter_async_context(Informers(client))
        uid = await _cluster_uid(client)
        if target.cluster_uid and uid != target.cluster_uid:
            raise _other_cluster(cluster, target, workspace)
    except BaseException:
        await stack.aclose()
        raise
    handle = open_handle(
        client,
        informers,
        install_id=workspace.settings.install_id,
        install_uid=workspace.sealed.install_uid,
        clock=clock,
        consents=consents,
        retry=budget,
    )
    return Link(cluster, client, handle, uid, stack.aclose)


async def _cluster_uid(client: ApiClient) -> str:
    found = await client.get(KUBE_SYSTEM)
    return str(found["metadata"]["uid"]) if found else ""


def _other_cluster(cluster: ClusterTarget, target: Target, workspace: Workspace) -> InstallError:
    return InstallError(
        code="OTHER-CLUSTER",
        title="This directory belongs to another cluster",
        cause=f"The install in {workspace.directory.root} was made on the cluster whose "
        f"kube-system has the uid {target.cluster_uid}; {cluster.url} is another.",
        remedy="Give the kubeconfig of the right cluster, or another --dir for a new install.",
        exit_code=ExitCode.REFUSED,
    )
