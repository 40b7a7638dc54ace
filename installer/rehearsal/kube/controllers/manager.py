"""Runs the simulated controllers: a queue of objects to look at, and timers."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from installer.rehearsal.faults import FaultBoard
from installer.rehearsal.kube.controllers.cluster import Cluster
from installer.rehearsal.kube.controllers.definitions import Definitions
from installer.rehearsal.kube.controllers.deployments import Deployments, ReplicaSets
from installer.rehearsal.kube.controllers.garbage import Garbage, Namespaces
from installer.rehearsal.kube.controllers.jobs import Jobs
from installer.rehearsal.kube.controllers.nodes import Nodes
from installer.rehearsal.kube.controllers.pods import Pods
from installer.rehearsal.kube.controllers.policy import Budgets, Policy, Quotas
from installer.rehearsal.kube.controllers.services import Services
from installer.rehearsal.kube.controllers.volumes import Claims
from installer.rehearsal.kube.controllers.workload_sets import DaemonSets, StatefulSets
from installer.rehearsal.kube.problems import ApiError
from installer.rehearsal.kube.registry import Registry
from installer.rehearsal.kube.store import Change, Key

RETRY_SECONDS = 1.0
# Real seconds, however fast the clock.
SHORTEST_PAUSE_SECONDS = 0.002
ROUNDS_BETWEEN_YIELDS = 8

_log = logging.getLogger(__name__)


class Controller(Protocol):
    """One control loop."""

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The objects to look at again after this write."""
        ...

    def reconcile(self, key: Key) -> float | None:
        """Bring one object nearer to what is wanted; cluster seconds until the next look."""
        ...


def _nothing() -> None:
    """Stands for what is not there to be stopped yet."""


class ControllerManager:
    """All control loops in one task, so that each look at the cluster is consistent."""

    def __init__(self, registry: Registry, faults: FaultBoard, load_balancer_pool: str) -> None:
        self._store = registry.store
        self._clock = registry.clock
        cluster = Cluster(registry)
        nodes = Nodes(cluster, faults)
        self._controllers: tuple[Controller, ...] = (
            Definitions(cluster),
            Namespaces(cluster),
            Garbage(cluster),
            Claims(cluster),
            Deployments(cluster),
            ReplicaSets(cluster),
            StatefulSets(cluster),
            DaemonSets(cluster),
            Jobs(cluster),
            Pods(cluster, faults),
            Services(cluster, load_balancer_pool),
            Budgets(cluster),
            Quotas(cluster),
            nodes,
            Policy(cluster, faults),
        )
        self._queue: dict[tuple[Controller, Key], None] = {}
        self._timers: dict[tuple[Controller, Key], asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stop_listening: Callable[[], None] = _nothing

    def start(self) -> None:
        """Look at everything once, then at what changes."""
        self._stop_listening = self._store.listen(self._changed)
        self.look_at_all()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop all loops and timers."""
        self._stop_listening()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def look_at_all(self) -> None:
        """Queue every object for every controller that cares."""
        for key in list(self._store.places()):
            stored = self._store.get(key)
            self._changed(Change(self._store.version, key, None, stored))

    def fault_changed(self, name: str, on: bool) -> None:
        """A fault began or was healed: everything may look different."""
        if self._task is not None:
            self.look_at_all()

    def _changed(self, change: Change) -> None:
        for controller in self._controllers:
            for key in controller.keys_for(change):
                self._queue[(controller, key)] = None
        self._wake.set()

    async def _run(self) -> None:
        rounds = 0
        while True:
            while self._queue:
                item = next(iter(self._queue))
                del self._queue[item]
                self._look(*item)
                rounds += 1
                if rounds % ROUNDS_BETWEEN_YIELDS == 0:
                    await asyncio.sleep(0)
            self._wake.clear()
            await self._wake.wait()

    def _look(self, controller: Controller, key: Key) -> None:
        timer = self._timers.pop((controller, key), None)
        if timer is not None:
            timer.cancel()
        try:
            after = controller.reconcile(key)
        except ApiError as refusal:
            _log.debug("%s: %s", key, refusal)
            after = RETRY_SECONDS
        except Exception:
            # As in the real controller manager: one object's trouble must not stop the others.
            _log.exception("%s: %s", type(controller).__name__, key)
            after = RETRY_SECONDS
        if after is not None:
            self._later(controller, key, after)

    def _later(self, controller: Controller, key: Key, seconds: float) -> None:
        def due() -> None:
            self._timers.pop((controller, key), None)
            self._queue[(controller, key)] = None
            self._wake.set()

        # Never at once: a control loop that waits for somebody else must let it run.
        delay = max(self._clock.scaled(seconds), SHORTEST_PAUSE_SECONDS)
        loop = asyncio.get_running_loop()
        self._timers[(controller, key)] = loop.call_later(delay, due)
