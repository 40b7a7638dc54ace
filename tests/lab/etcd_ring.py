"""etcd members of a lab cluster, over plain HTTP on loopback.

Requests go to etcd's own JSON gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/),
where 64-bit numbers are strings.
"""

import base64
import signal
from pathlib import Path
from typing import Any

import httpx

from tests.lab.ports import ReservedPort
from tests.lab.supervisor import Supervisor

_STOP_SECONDS = 20.0


class EtcdRing:
    """One or more members that share their data; `names` are those of its programs."""

    def __init__(
        self, program: Path, folder: Path, logs: Path, supervisor: Supervisor, members: int
    ) -> None:
        self._program, self._folder, self._logs = program, folder, logs
        self._supervisor = supervisor
        self.names = [f"etcd-{number}" for number in range(members)]
        self._client_ports = {name: ReservedPort() for name in self.names}
        self._peer_ports = {name: ReservedPort() for name in self.names}

    @property
    def urls(self) -> list[str]:
        return [self.url(name) for name in self.names]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._client_ports[name].number}"

    def start(self, name: str) -> None:
        """Starts one member, anew or with what it had stored; does not wait for it."""
        self._supervisor.spawn(name, self._argv(name), log=self._logs / f"{name}.log")

    def stop(self, name: str, signum: signal.Signals = signal.SIGTERM) -> None:
        self._supervisor.signal(name, signum)
        if self._supervisor.wait(name, _STOP_SECONDS) is None:
            self._supervisor.signal(name, signal.SIGKILL)
            self._supervisor.wait(name, _STOP_SECONDS)

    def leader(self) -> str:
        """The name of the member that leads now. Raises LookupError when none does."""
        for name in self.names:
            try:
                status = self._call(name, "maintenance/status", {})
            except httpx.HTTPError:
                continue
            if status.get("leader", "0") == status["header"]["member_id"]:
                return name
        raise LookupError("no etcd member leads")

    def revision(self) -> int:
        """The store's newest revision, which is also the newest resourceVersion."""
        return int(self._ask_any("kv/range", {"key": "AA=="})["header"]["revision"])

    def advance(self) -> bool:
        """Makes a revision more, by a key that Kubernetes does not look at.

        False when no member answers (yet).
        """
        body = {"key": base64.b64encode(b"/lab").decode(), "value": ""}
        try:
            self._ask_any("kv/put", body)
        except httpx.HTTPError:
            return False
        return True

    def compact(self) -> int:
        """Drops the history before now; returns the revision it was cut at."""
        revision = self.revision()
        self._ask_any("kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def release(self) -> None:
        for port in (*self._client_ports.values(), *self._peer_ports.values()):
            port.release()

    def _argv(self, name: str) -> list[str]:
        peers = {n: f"http://127.0.0.1:{self._peer_ports[n].number}" for n in self.names}
        url, peer = self.url(name), peers[name]
        return [
            str(self._program),
            f"--name={name}",
            f"--data-dir={self._folder / name}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            "--initial-cluster=" + ",".join(f"{n}={u}" for n, u in peers.items()),
            "--socket-reuse-port",
            # A killed process loses nothing that it wrote; only a power cut would.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _ask_any(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        problem: Exception = LookupError("the ring has no members")
        for name in self.names:
            try:
                return self._call(name, call, body)
            except httpx.HTTPError as error:
                problem = error
        raise problem

    def _call(self, name: str, call: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.url(name)}/v3/{call}"
        answer = httpx.post(url, json=body, timeout=5, trust_env=False)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content
