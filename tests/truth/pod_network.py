"""A network of pods without Kubernetes: one network, mount and PID namespace a pod.

The test makes the namespaces itself and they vanish with it: a holder process keeps each, dies
with the test, and takes everything in its PID namespace along. Needs root, ``unshare``,
``nsenter`` (util-linux) and ``ip`` (iproute2).
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000
TOOLS = ("unshare", "nsenter", "setpriv", "ip", "mount")


def require_tools() -> None:
    """Fails, saying what is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    assert not missing, f"apt-get install util-linux iproute2 (missing: {', '.join(missing)})"
    assert os.geteuid() == 0, "network namespaces need root: run the truth tests as root"


def die_with_parent() -> None:
    """For ``preexec_fn``: the child is killed when the thread that made it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Namespaces:
    """A holder process with network, mount and PID namespaces of its own."""

    def __init__(self) -> None:
        flags = ("--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
        self._holder = subprocess.Popen(
            ["unshare", *flags, "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "up\n", "namespaces could not be made"
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(children.read_text().split()[0])

    def command(self, *words: str) -> list[str]:
        """The words as a command inside."""
        target = f"--target={self.pid}"
        return ["nsenter", target, "--net", "--mount", "--pid", "--", *words]

    def run(self, *words: str) -> str:
        """Runs to its end inside. Raises CalledProcessError."""
        done = subprocess.run(
            self.command(*words), check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """A connection from inside, for use anywhere. Raises OSError."""
        return self._inside(lambda: socket.create_connection((address, port), timeout))

    def _inside(self, make: Callable[[], T]) -> T:
        """Calls ``make`` in a thread that has moved into the network namespace."""
        result: list[T] = []
        failure: list[BaseException] = []

        def work() -> None:
            handle = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            try:
                if _libc.setns(handle, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result.append(make())
            except BaseException as error:
                failure.append(error)
            finally:
                os.close(handle)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()


class PodNetwork:
    """A bridge that pods are plugged into."""

    def __init__(self) -> None:
        require_tools()
        self.hub = Namespaces()
        self._next = 10
        self.hub.run("ip", "link", "add", "br0", "type", "bridge")
        self.hub.run("ip", "addr", "add", "10.77.0.1/16", "dev", "br0")
        self.hub.run("ip", "link", "set", "br0", "up")

    def plug(self, pod: Namespaces, service: int | None = None) -> tuple[str, str]:
        """Gives the pod a new address; returns it and the name of its port at the bridge.

        ``service`` numbers a Service that stands for this pod alone: its address is the pod's too,
        in place of the translation that kube-proxy does. The link address goes with it, so that
        nobody's neighbour table outlives a pod, as none is behind a real Service.
        """
        self._next += 1
        address, port = f"10.77.0.{self._next}", f"port{self._next}"
        link = f"02:00:00:00:{0 if service is None else 1:02x}:{service or self._next:02x}"
        ends = ("type", "veth", "peer", "name", "eth0", "address", link)
        self.hub.run("ip", "link", "add", port, *ends)
        self.hub.run("ip", "link", "set", port, "master", "br0", "up")
        # The peer is moved from outside: the pod's PID has no meaning inside the hub.
        enter = ["nsenter", f"--target={self.hub.pid}", "--net", "--"]
        move = ["ip", "link", "set", "eth0", "netns", str(pod.pid)]
        subprocess.run([*enter, *move], check=True, timeout=30)
        pod.run("ip", "addr", "add", f"{address}/16", "dev", "eth0")
        if service is not None:
            pod.run("ip", "addr", "add", f"{service_address(service)}/16", "dev", "eth0")
        pod.run("ip", "link", "set", "eth0", "up")
        return address, port

    def set_link(self, port: str, state: str) -> None:
        """``down`` cuts a pod off from all others, ``up`` mends it."""
        self.hub.run("ip", "link", "set", port, state)

    def close(self) -> None:
        self.hub.close()


def service_address(service: int) -> str:
    """The address of a numbered Service."""
    return f"10.77.1.{service}"
