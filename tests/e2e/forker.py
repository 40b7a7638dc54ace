"""Starts command lines without waiting for their imports: a process that has done them forks.

What is forked is the product as it runs for an operator: a process and session of its own, with
its own standard streams, arguments and environment. The engine and the simulated cluster that it
starts are programs of their own and import what they need themselves.
"""

import array
import contextlib
import fcntl
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

REPOSITORY = Path(__file__).parents[2]
_LARGEST = 1 << 20  # bytes of one request


class Forker:
    """The test's end. One request at a time."""

    def __init__(self) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.forker", str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
            )
        self._socket = mine

    def start(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        streams: tuple[int, int, int],
        terminal: bool,
    ) -> int:
        """The pid of a new command line. ``terminal``: the first stream is to be its terminal."""
        request = {
            "argv": list(argv),
            "environment": dict(environment),
            "folder": str(folder),
            "terminal": terminal,
        }
        fds = array.array("i", streams)
        answer = self._ask(request, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds.tobytes())])
        return int(answer["pid"])

    def wait(self, pid: int, seconds: float) -> int:
        """Its exit code, minus the signal's number where one killed it. Raises TimeoutError."""
        with contextlib.closing(_Pidfd(pid)) as watched:
            if not watched.ended(seconds):
                raise TimeoutError(f"process {pid} still runs after {seconds:g} s")
        return int(self._ask({"reap": pid}, [])["code"])

    def close(self) -> None:
        """Ends it. Command lines that it started are the caller's to end before."""
        self._socket.close()
        self._process.wait(timeout=10)

    def _ask(self, request: dict[str, Any], more: list[tuple[int, int, bytes]]) -> dict[str, Any]:
        self._socket.sendmsg([json.dumps(request).encode()], more)
        answer: dict[str, Any] = json.loads(self._socket.recv(_LARGEST))
        return answer


class _Pidfd:
    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def ended(self, seconds: float) -> bool:
        return bool(select.select([self._fd], [], [], seconds)[0])

    def close(self) -> None:
        os.close(self._fd)


def _serve(control: socket.socket) -> None:
    while True:
        data, fds, _, _ = socket.recv_fds(control, _LARGEST, 3)
        if not data:
            return
        request = json.loads(data)
        if "reap" in request:
            _, status = os.waitpid(request["reap"], 0)
            control.send(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            _become(request, fds)
        for fd in fds:
            os.close(fd)
        control.send(json.dumps({"pid": pid}).encode())


def _become(request: dict[str, Any], fds: Sequence[int]) -> NoReturn:
    """The command line, from here to its end."""
    code = 1
    try:
        os.setsid()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        if request["terminal"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = ["matrix-install", *request["argv"]]
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
        sys.stdout, sys.stderr = _stream(1), _stream(2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from installer.cli import main

        code = main(request["argv"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _stream(number: int) -> io.TextIOWrapper:
    return open(number, "w", buffering=1 if os.isatty(number) or number == 2 else -1, closefd=False)


if __name__ == "__main__":
    import installer.cli
    import installer.views.command  # noqa: F401 - imported so that forks have it

    _serve(socket.socket(fileno=int(sys.argv[1])))
