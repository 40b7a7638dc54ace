"""A real Kubernetes control plane of plain processes on loopback, with simulated nodes.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real programs; kwok
stands for the kubelets (no container runs). Everything ends with the test process, however that
ends. The calls block; from an asyncio test use `asyncio.to_thread`.
"""

import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import yaml

from tests.lab import flags
from tests.lab.access import Access
from tests.lab.api import Api, ApiError
from tests.lab.builds import Programs, programs
from tests.lab.credentials import OPERATOR, OPERATORS, Credentials
from tests.lab.etcd_ring import EtcdRing
from tests.lab.inflight import mutations
from tests.lab.node_faults import Nodes
from tests.lab.nodes import NodeShape, node_manifests, operators_binding, storage_classes
from tests.lab.pod_faults import injected
from tests.lab.ports import ReservedPort, unreserved_port
from tests.lab.stages import PodFault, kwok_documents
from tests.lab.supervisor import Supervisor

APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL = 0.05
_KWOK_ATTEMPTS = 3


class StartError(Exception):
    """A program of the control plane ended or never became ready; the text has its last lines."""


class ControlPlane:
    """One cluster. `directory` (made if absent) keeps logs; data and keys go when it closes.

    Args:
        nodes: shapes of the simulated nodes.
        etcd_members: 1 or 3.
        controllers: with kube-controller-manager and kube-scheduler.
        kubelets: with kwok; without it nodes are listed, but nothing on them ever happens.
        apiserver_flags, controller_manager_flags: come after, and so win over, the lab's own.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nodes: Sequence[NodeShape] = (NodeShape(),),
        etcd_members: int = 1,
        controllers: bool = True,
        kubelets: bool = True,
        apiserver_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        self._data = directory / "data"
        self._log = directory / "pod.log"
        self._previous_log = directory / "pod-previous.log"
        self._shapes = tuple(nodes)
        self._etcd_members = etcd_members
        self._controllers, self._kubelets = controllers, kubelets
        self._apiserver_flags = tuple(apiserver_flags)
        self._controller_manager_flags = tuple(controller_manager_flags)
        self._extra_flags: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts all and waits until nodes are Ready. Raises StartError, builds.BuildError."""
        self._programs: Programs = programs()
        shutil.rmtree(self._data, ignore_errors=True)
        for folder in (self.logs, self._data):
            folder.mkdir(parents=True, exist_ok=True)
        self._data.chmod(0o700)
        self._supervisor = Supervisor(remove=[self._data])
        self._port = ReservedPort()
        self.credentials = Credentials(self._data / "pki", f"https://127.0.0.1:{self._port.number}")
        self.etcd = EtcdRing(
            self._programs.etcd, self._data, self.logs, self._supervisor, self._etcd_members
        )
        authority = self.credentials.authority_file
        self.api = Api(self.server, authority, self.credentials.admin_token)
        self.operator_api = Api(self.server, authority, self.credentials.operator_token)
        self.access = Access(self.credentials, self.api)
        self.nodes = Nodes(self.api, tainted=self._controllers)
        try:
            self._start_programs()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all programs at once and removes their data and keys; logs stay."""
        self.api.close()
        self.operator_api.close()
        self._supervisor.close()
        self._port.release()
        self.etcd.release()

    def _start_programs(self) -> None:
        for name in self.etcd.names:
            self.etcd.start(name)
        # kube-apiserver's caches begin later than 1, so that version 1 is too old ever after.
        self._await_ready(self.etcd.names[0], self.etcd.advance)
        self.start_apiserver()
        for manifest in (operators_binding(OPERATORS), *storage_classes()):
            self.api.apply(manifest)
        if self._controllers:
            self._spawn(CONTROLLER_MANAGER)
            self._spawn(SCHEDULER)
        for manifest in node_manifests(self._shapes):
            self.api.request("POST", "/api/v1/nodes", manifest)
        if self._kubelets:
            self._start_kwok()
        self._await_cluster()

    def _await_cluster(self) -> None:
        if self._controllers:
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            self.api.wait_for(path, lambda seen: seen is not None, seconds=_READY_SECONDS)
        if self._kubelets:
            for manifest in node_manifests(self._shapes):
                self.nodes.wait_for(manifest["metadata"]["name"], ready=True)

    @property
    def server(self) -> str:
        """https://127.0.0.1:PORT, the same for the cluster's life."""
        return self.credentials.endpoint.server

    def admin_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig (0600) with all rights but not system:masters, by client certificate."""
        return self.access.certificate_kubeconfig(path, OPERATOR, groups=[OPERATORS])

    # -- what can go wrong -----------------------------------------------------------------

    def stop_apiserver(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Ends kube-apiserver and waits for its end; the port then refuses connections."""
        self.stop(APISERVER, signum)

    def start_apiserver(self, *extra_flags: str) -> None:
        """Starts kube-apiserver on the same port and waits for /readyz.

        `extra_flags` hold for this start only: the next one without them takes them away.
        """
        self._extra_flags = extra_flags
        self._spawn(APISERVER)
        self._await_ready(APISERVER, self._apiserver_ready)

    def restart_apiserver(self, *extra_flags: str, signum: signal.Signals = signal.SIGTERM) -> None:
        self.stop_apiserver(signum)
        self.start_apiserver(*extra_flags)

    def stop(self, name: str, signum: signal.Signals = signal.SIGTERM) -> None:
        """Ends a program by name; by SIGKILL after 30 s if it does not go."""
        self._supervisor.signal(name, signum)
        if self._supervisor.wait(name, _STOP_SECONDS) is None:
            self._supervisor.signal(name, signal.SIGKILL)
            self._supervisor.wait(name, _STOP_SECONDS)

    def start_program(self, name: str) -> None:
        """Starts a program that was stopped, other than kube-apiserver; does not wait."""
        if name in self.etcd.names:
            self.etcd.start(name)
        elif name == KWOK:
            self._start_kwok()
        else:
            self._spawn(name)

    def freeze(self, name: str) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._supervisor.signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGCONT)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        self.freeze(name)
        try:
            yield
        finally:
            self.thaw(name)

    def compact_etcd(self) -> int:
        """Drops etcd's history; returns the revision it was cut at.

        Alone this is seen by nobody but a server with --watch-cache=false: watches and also
        `continue` tokens are served out of kube-apiserver's memory. See `expire_versions`.
        """
        return self.etcd.compact()

    def expire_versions(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Ends every watch, and makes 410 of all resourceVersions and `continue` tokens so far."""
        self.stop_apiserver(signum)
        # The new server's memory begins at this revision, which no client can have seen.
        self.etcd.advance()
        self.compact_etcd()
        self.start_apiserver()

    @contextmanager
    def mutations_in_flight(self, count: int = 1) -> Iterator[None]:
        """Holds that many writes open; with it 429 can be had without a race.

        To be used after `restart_apiserver("--enable-priority-and-fairness=false",
        f"--max-mutating-requests-inflight={count}")`: every other write is then refused.
        """
        token = self.credentials.operator_token
        with mutations(self.operator_api, self.access.ssl_context(), token, count):
            yield

    @contextmanager
    def pod_fault(
        self, fault: PodFault, namespace: str, labels: Mapping[str, str]
    ) -> Iterator[None]:
        """Pods created in the namespace with these labels in the meantime get this fault."""
        with injected(self.api, fault, namespace, labels):
            yield

    def write_pod_log(self, lines: Sequence[str], *, previous: bool = False) -> None:
        """What every container of every pod has logged, from now on (or before it restarted)."""
        text = "".join(f"2026-01-01T00:00:00.000000000Z stdout F {line}\n" for line in lines)
        (self._previous_log if previous else self._log).write_text(text)

    # -- programs --------------------------------------------------------------------------

    def _spawn(self, name: str) -> None:
        paths = self._programs
        argv = {
            APISERVER: lambda: [
                str(paths.kube_apiserver),
                *flags.apiserver(self.credentials, self._port.number, self.etcd.urls),
                *self._apiserver_flags,
                *self._extra_flags,
            ],
            CONTROLLER_MANAGER: lambda: [
                str(paths.kube_controller_manager),
                *flags.controller_manager(self.credentials),
                *self._controller_manager_flags,
            ],
            SCHEDULER: lambda: [str(paths.kube_scheduler), *flags.scheduler(self.credentials)],
        }[name]()
        self._supervisor.spawn(name, argv, log=self.logs / f"{name}.log")

    def _start_kwok(self) -> None:
        """kwok cannot share a port: should another program be quicker, it gets a new one."""
        config = self._data / "kwok.yaml"
        for path in (self._log, self._previous_log):
            path.touch()
        documents = kwok_documents(self._programs.kwok_stages, self._log, self._previous_log)
        config.write_text(yaml.safe_dump_all(documents))
        for _ in range(_KWOK_ATTEMPTS):
            port = unreserved_port()
            argv = [str(self._programs.kwok), *flags.kwok(self.credentials, port, config)]
            self._supervisor.spawn(KWOK, argv, log=self.logs / f"{KWOK}.log")
            with suppress(StartError):
                self._await_ready(KWOK, partial(_answers, f"http://127.0.0.1:{port}/healthz"))
                return
        raise StartError(f"{KWOK} did not start:\n{self._tail(KWOK)}")

    def _apiserver_ready(self) -> bool:
        try:
            return self.api.text("/readyz", timeout=5) == "ok"
        except (ApiError, httpx.HTTPError):
            return False

    def _await_ready(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not ready():
            code = self._supervisor.wait(name, _POLL)
            if code is not None:
                raise StartError(f"{name} ended with {code}:\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise StartError(f"{name} is not ready:\n{self._tail(name)}")

    def pids(self) -> list[int]:
        """Process ids of all programs started, the supervisor's first."""
        return self._supervisor.pids()

    def _tail(self, name: str, lines: int = 15) -> str:
        text = (self.logs / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False
