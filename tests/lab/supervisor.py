"""Child programs that must not outlive the tests that started them.

`Supervisor` (in the test process) talks to one `python supervisor.py FD PARENT_PID` process,
which is the parent of every program of a lab. It ends them all with SIGKILL, and removes the
paths it was given, when the test process closes the connection or ends in any way, SIGKILL
included. The programs in turn ask the kernel for SIGKILL when the supervisor itself ends.
The second half could not be asked for by the test process: PR_SET_PDEATHSIG fires when the
*thread* that forked ends (prctl(2)), and pytest-timeout and asyncio fork from passing threads.

Protocol: one JSON object a line each way over a socket pair, strictly request and answer.
This file imports nothing but the standard library, for it is run as a plain script.
"""

import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_PR_SET_PDEATHSIG = 1
_STOP_GRACE = 10.0


class SupervisorError(Exception):
    """The supervisor refused a request, or is gone."""


class Supervisor:
    """Starts, signals and reaps named programs through a process of its own.

    `remove` are files and folders deleted when the lab ends. Calls may come from any thread.
    """

    def __init__(self, remove: Sequence[Path] = ()) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [sys.executable, "-I", __file__, str(theirs.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                [*argv, *(str(path) for path in remove)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = ours
        self._lines = ours.makefile("rb")
        self._lock = threading.Lock()
        self._pids: dict[str, int] = {}

    def spawn(
        self, name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> int:
        """Starts `argv` with stdout and stderr appended to `log`; returns its process id."""
        request = {"do": "spawn", "name": name, "argv": list(argv), "log": str(log)}
        pid = self._ask({**request, "env": dict(env or {})})
        assert isinstance(pid, int)
        self._pids[name] = pid
        return pid

    def pids(self) -> list[int]:
        """The process ids of the supervisor and of each program, the newest of a name."""
        return [self._process.pid, *self._pids.values()]

    def signal(self, name: str, signum: signal.Signals) -> None:
        """Sends a signal; a program that has already ended is not an error."""
        self._ask({"do": "signal", "name": name, "signum": int(signum)})

    def wait(self, name: str, seconds: float) -> int | None:
        """Waits for the program's end; its return code, or None when it still runs."""
        code = self._ask({"do": "wait", "name": name, "seconds": seconds})
        assert code is None or isinstance(code, int)
        return code

    def close(self) -> None:
        """Ends every program and waits until all are gone and the paths removed."""
        with self._lock:
            self._lines.close()
            self._socket.close()
        self._process.wait(timeout=_STOP_GRACE)

    def _ask(self, request: Mapping[str, object]) -> object:
        with self._lock:
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                line = self._lines.readline()
            except (OSError, ValueError) as error:
                raise SupervisorError(f"the lab's supervisor is gone: {error}") from error
        if not line:
            raise SupervisorError("the lab's supervisor is gone")
        answer: dict[str, object] = json.loads(line)
        if "error" in answer:
            raise SupervisorError(str(answer["error"]))
        return answer["result"]


class _Children:
    def __init__(self, connection: socket.socket, parent: int) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._selector = selectors.DefaultSelector()
        self._connection = connection
        self._selector.register(connection, selectors.EVENT_READ)
        # Also the parent itself: a child it forked may hold the socket's other end open.
        self._selector.register(parent, selectors.EVENT_READ)

    def serve(self, lines: BinaryIO) -> None:
        while self._parent_speaks(None):
            line = lines.readline()
            if not line:
                return
            try:
                answer: dict[str, object] = {"result": self._do(json.loads(line))}
            except (OSError, KeyError) as error:
                answer = {"error": repr(error)}
            self._connection.sendall(json.dumps(answer).encode() + b"\n")

    def _parent_speaks(self, seconds: float | None) -> bool:
        ready = {key.fileobj for key, _ in self._selector.select(seconds)}
        return ready == {self._connection}

    def _do(self, request: dict[str, Any]) -> int | None:
        if request["do"] == "spawn":
            return self._spawn(request)
        process = self._processes[request["name"]]
        if request["do"] == "signal":
            process.send_signal(request["signum"])
            return None
        return self._wait(process, request["seconds"])

    def _spawn(self, request: dict[str, Any]) -> int:
        with open(request["log"], "ab") as log:
            process = subprocess.Popen(
                request["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=request["env"],
                # Safe here: this process has one thread.
                preexec_fn=_die_with_parent,
            )
        self._processes[request["name"]] = process
        return process.pid

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> int | None:
        if (code := process.poll()) is not None:
            return code
        descriptor = os.pidfd_open(process.pid)
        try:
            self._selector.register(descriptor, selectors.EVENT_READ)
            self._selector.select(seconds)
        finally:
            self._selector.unregister(descriptor)
            os.close(descriptor)
        return process.poll()

    def kill_all(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


def _main(arguments: Sequence[str]) -> int:
    connection = socket.socket(fileno=int(arguments[0]))
    try:
        parent = os.pidfd_open(int(arguments[1]))
    except ProcessLookupError:
        return 1
    # A Ctrl-C belongs to the tests; what it means for the lab is told by the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children = _Children(connection, parent)
    try:
        with connection.makefile("rb") as lines:
            children.serve(lines)
    finally:
        children.kill_all()
        for path in arguments[2:]:
            _remove(path)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
