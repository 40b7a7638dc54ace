"""Start the simulated API server beside us and talk to its control address."""

import json
import math
import os
import selectors
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 30.0
CONTROL_SECONDS = 10.0
FOLDER = "rehearsal"


class RehearsalError(Exception):
    """The simulated server did not start or did not do as told."""


@dataclass
class RehearsalProcess:
    """A running simulated API server; `folder` is the rehearsal's own, inside the install's."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the simulated cluster, mode 0600."""
        return self.folder / "kubeconfig"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def heal(self, fault: str) -> None:
        """End a fault."""
        control(self.folder, "DELETE", f"/faults/{fault}")

    def stop(self) -> None:
        """End the process and wait for it; the cluster stays on disk."""
        if self.running:
            self.process.terminate()
        try:
            self.process.wait(CONTROL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.kill()
        self.process.wait()


def spawn(
    directory: Path,
    *,
    speed: float = 1.0,
    faults: Iterable[str] = (),
    idle: float = 120.0,
    nodes: Iterable[str] = (),
    load_balancer_pool: str = "",
) -> RehearsalProcess:
    """Start (or go on with) the simulated cluster of an install's directory.

    Blocks until clients can connect. `nodes` are `NAME:CPU:MEMORY[:DISK[:ROLE]]`. The process is
    in a session of its own and ends `idle` seconds after its last client. Raises RehearsalError.
    """
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    arguments = [sys.executable, "-m", "installer.rehearsal.server_main", "--dir", str(folder)]
    arguments += ["--speed", "inf" if math.isinf(speed) else str(speed), "--idle", str(idle)]
    for fault in faults:
        arguments += ["--fault", fault]
    for node in nodes:
        arguments += ["--node", node]
    if load_balancer_pool:
        arguments += ["--load-balancer-pool", load_balancer_pool]
    log = os.open(folder / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    _await_ready(process, folder)
    return RehearsalProcess(folder, process)


def _await_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    said = b""
    with selectors.DefaultSelector() as selector, process.stdout:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in said:
            if not selector.select(max(deadline - time.monotonic(), 0.0)):
                process.kill()
                break
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                break
            said += piece
    if not said.startswith(b"ready "):
        process.wait()
        told = (folder / "server.log").read_text(errors="replace")[-2000:]
        raise RehearsalError(f"the simulated API server did not start: {told}")


def control(folder: Path, method: str, path: str) -> dict[str, object]:
    """One request to the control address of the server in `folder`; its state afterwards."""
    port = json.loads((folder / "server.json").read_bytes())["control"]
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    request = urllib.request.Request(
        f"https://127.0.0.1:{port}{path}",
        method=method,
        headers={"Authorization": f"Bearer {(folder / 'token').read_text()}"},
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=CONTROL_SECONDS) as response:
            state: dict[str, object] = json.loads(response.read())
            return state
    except OSError as error:
        raise RehearsalError(f"{method} {path}: {error}") from error
