"""The simulated API server: store, API, controllers and faults behind one loopback address."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from installer.rehearsal.faults import FaultBoard
from installer.rehearsal.kube.bootstrap import ClusterShape, bootstrap
from installer.rehearsal.kube.clock import Clock
from installer.rehearsal.kube.control import Control
from installer.rehearsal.kube.controllers.manager import ControllerManager
from installer.rehearsal.kube.handlers import MUTATING, Handlers, refused
from installer.rehearsal.kube.http import Listener, Request, Response
from installer.rehearsal.kube.problems import shutting_down, too_many_requests, untyped_failure
from installer.rehearsal.kube.registry import Registry
from installer.rehearsal.kube.resources import Catalogue
from installer.rehearsal.kube.rules import Rules
from installer.rehearsal.kube.store import Store, encode, replace_file
from installer.rehearsal.kube.tls import identity, write_kubeconfig

RESTART_SECONDS = 7.0
STALL_SECONDS = 12.0
OVERLOADED_WRITE_SECONDS = 0.02
# Where in a run the faults that show once begin: late enough to be in the middle of something.
RESTART_AT_WRITE = 12
STORM_AT_WRITE = 4
STALL_AT_PATCH = 5
REFUSALS_OF_A_STORM = 40


def changes_something(request: Request) -> bool:
    """Whether a mutating request is more than a question (dry run, access review)."""
    asks = request.path.endswith("/selfsubjectaccessreviews")
    return not asks and request.query.get("dryRun") != "All"


@dataclass(frozen=True)
class Options:
    """How a simulated cluster is to behave."""

    speed: float = 1.0
    faults: tuple[str, ...] = ()
    shape: ClusterShape = field(default_factory=ClusterShape)
    rules: Rules = field(default_factory=Rules)


class SimulatedApi:
    """One simulated cluster in `folder`; a second one there goes on where the first stopped."""

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        self.options = options or Options()
        self.folder = folder
        self.rules = self.options.rules
        self.identity = identity(folder)
        self.clock = Clock(self.options.speed)
        self.faults = FaultBoard(folder, self.options.faults)
        self.store = Store(folder, durable=self.rules.writes_survive_a_crash)
        self.catalogue = Catalogue()
        self.registry = Registry(self.store, self.catalogue, self.clock, self.rules)
        self.controllers = ControllerManager(
            self.registry, self.faults, self.options.shape.load_balancer_pool
        )
        self._handlers = Handlers(self.registry, self.identity.token)
        context = self.identity.server_context()
        graceful = not self.rules.shutdown_drops_connections
        self.listener = Listener(self._handle, context, graceful=graceful)
        self._control = Listener(Control(self).handle, context)
        self._etcd = asyncio.Event()
        self._etcd.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wire = -1
        self._writing = 0
        self._writes = 0
        self._patches = 0
        self._refusals = 0
        self.overloaded = False
        self._stopping = False
        self.ended = asyncio.Event()
        self.last_used = time.monotonic()

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"https://127.0.0.1:{self.listener.port}"

    @property
    def kubeconfig(self) -> Path:
        """The file through which clients find address, CA and token."""
        return self.folder / "kubeconfig"

    def busy(self) -> bool:
        """Whether anybody is connected."""
        return self.listener.connections > 0 or self._control.connections > 0

    async def start(self) -> None:
        """Open both addresses (the ones of last time where they are free) and the controllers."""
        ports = self._last_ports()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._wire = os.open(self.folder / "wire.jsonl", flags, 0o600)
        bootstrap(self.registry, self.options.shape)
        self.faults.listen(self._fault_changed)
        for name in self.faults.active():
            self._fault_changed(name, True)
        self.controllers.start()
        self.listener.open(ports.get("api", 0))
        self._control.open(ports.get("control", 0))
        saved = {"api": self.listener.port, "control": self._control.port, "pid": os.getpid()}
        replace_file(self.folder / "server.json", encode(saved))
        write_kubeconfig(self.kubeconfig, self.url, self.identity)

    async def stop(self) -> None:
        """End at once, as a killed process does; what was answered is on disk."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.controllers.stop()
        await self.listener.close()
        await self._control.close()
        self.store.close()
        if self._wire >= 0:
            os.close(self._wire)
            self._wire = -1

    def _last_ports(self) -> dict[str, int]:
        with contextlib.suppress(FileNotFoundError, ValueError):
            held = json.loads((self.folder / "server.json").read_bytes())
            return {"api": held["api"], "control": held["control"]}
        return {}

    def end(self) -> None:
        """Ask whoever runs the server to stop it."""
        self.ended.set()

    # Faults

    def freeze(self) -> None:
        """Answer nothing until `thaw`."""
        if self.rules.frozen_api_is_silent:
            self.listener.freeze()

    def thaw(self) -> None:
        """Answer again."""
        self.listener.thaw()

    def freeze_etcd(self) -> None:
        """Let writes wait until `thaw_etcd`."""
        self._etcd.clear()

    def thaw_etcd(self) -> None:
        """Let waiting writes go on."""
        self._etcd.set()

    @contextlib.contextmanager
    def occupied(self) -> Iterator[None]:
        """As if one slow write were under way: an overloaded server then refuses all others."""
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    async def restart(self, seconds: float) -> None:
        """Cut all connections, be away for a while, come back without watch history."""
        await self.listener.close()
        await self.clock.sleep(seconds)
        self.store.compact()
        self._stopping = False
        self.listener.open(self.listener.port)

    def _fault_changed(self, name: str, on: bool) -> None:
        if name == "api-frozen":
            self.freeze() if on else self.thaw()
        elif name == "too-many-requests":
            self._refusals = 0
        self.controllers.fault_changed(name, on)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Requests

    async def _handle(self, request: Request) -> Response:
        self.last_used = time.monotonic()
        if self._stopping:
            return refused(shutting_down())
        if request.method not in MUTATING:
            return await self._handlers.handle(request)
        self._writes += changes_something(request)
        if self.faults.is_on("api-restart") and self._writes >= RESTART_AT_WRITE:
            self._stopping = True
            self.faults.heal("api-restart")
            self._spawn(self.restart(RESTART_SECONDS))
            return refused(shutting_down())
        response = await self._write(request)
        self._record(request, response.status)
        return response

    async def _write(self, request: Request) -> Response:
        storm = self.faults.is_on("too-many-requests") and self._writes >= STORM_AT_WRITE
        if (self.overloaded or storm) and self.rules.overload_is_429_with_retry_after:
            if self._writing:
                return self._overload()
            self._writing += 1
            try:
                await asyncio.sleep(OVERLOADED_WRITE_SECONDS)
                return await self._handlers.handle(request)
            finally:
                self._writing -= 1
        waited = await self._stall(request)
        if waited and not self.rules.slow_write_succeeds:
            return refused(untyped_failure("etcdserver: request timed out"))
        return await self._handlers.handle(request)

    def _overload(self) -> Response:
        self._refusals += 1
        if self.faults.is_on("too-many-requests") and self._refusals >= REFUSALS_OF_A_STORM:
            self.faults.heal("too-many-requests")
        return refused(too_many_requests())

    async def _stall(self, request: Request) -> bool:
        waited = not self._etcd.is_set()
        await self._etcd.wait()
        if request.method == "PATCH":
            self._patches += changes_something(request)
            if self.faults.is_on("slow-etcd") and self._patches >= STALL_AT_PATCH:
                self.faults.heal("slow-etcd")
                await self.clock.sleep(STALL_SECONDS)
                waited = True
        return waited

    def _record(self, request: Request, status: int) -> None:
        """Write down the mutation (never its body): tests hold the wire against the plan."""
        if self._wire < 0:
            return
        entry = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "agent": request.headers.get("user-agent", ""),
            "status": status,
        }
        os.write(self._wire, encode(entry) + b"\n")
