"""The product's own client on a real API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from installer.cluster.client import ApiClient
from installer.cluster.kubeconfig import load_target
from installer.core.clock import SystemClock


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[ApiClient]:
    """A client with this access; what it writes lies beside the kubeconfig."""
    scratch = kubeconfig.parent / "scratch"
    target = await load_target(kubeconfig, None, scratch, clock=SystemClock())
    async with ApiClient(target, clock=SystemClock()) as client:
        yield client
