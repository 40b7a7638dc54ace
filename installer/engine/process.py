"""The engine as a process of its own: it outlives the terminal that started it."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from installer.core.clock import Clock, SystemClock
from installer.core.errors import ErrorReport, ExitCode, InstallError
from installer.core.redaction import redact
from installer.core.state import exit_code
from installer.engine import locks, reports, sockets
from installer.engine.board import Board
from installer.engine.client import EngineClient
from installer.engine.crash import CrashPoints
from installer.engine.journal import Journal
from installer.engine.recorder import Recorder
from installer.engine.runner import PARALLEL
from installer.engine.server import Server
from installer.engine.service import Engine
from installer.engine.work import Build

LOG = Path("logs") / "engine.log"
PATIENCE = 60.0  # seconds that an engine whose run was not started waits for a view
POLL = 0.02  # seconds between looks whether the new engine listens


async def serve(
    directory: Path,
    build: Build,
    *,
    clock: Clock | None = None,
    crash: CrashPoints | None = None,
    parallel: int = PARALLEL,
    patience: float = PATIENCE,
) -> ExitCode:
    """Runs an engine on ``directory`` (absolute, existing) until its run is over.

    Must be the main thread of its own process: it sets the umask and signal dispositions (SIGTERM
    pauses; SIGHUP and SIGINT do nothing). Views still connected get the last records first; with
    a failed step it stays, unless the run was started unattended.
    Raises InstallError LOCKED, JOURNAL-DAMAGED, JOURNAL-NEWER, JOURNAL-UNREADABLE; nothing was
    written then.
    """
    os.umask(0o077)
    clock = clock or SystemClock()
    crash = crash or CrashPoints.from_environment(os.environ)
    lock = locks.DirectoryLock(directory, clock)
    await lock.take()
    try:
        journal, state, repairs = Journal.open(directory, clock)
        try:
            recorder = Recorder(journal, state, crash)
            engine = Engine(
                directory, build, recorder, Board(clock), clock, crash, repairs, parallel
            )
            await _attend(directory, engine, patience)
            return _outcome(engine)
        finally:
            journal.close()
    finally:
        lock.free()


async def _attend(directory: Path, engine: Engine, patience: float) -> None:
    _heed_signals(engine)
    server = Server(engine, sockets.listening(directory))
    try:
        await server.open()
        while not engine.over.is_set():
            await _next(engine, server, patience)
        await server.close()
        await engine.close()
    finally:
        (directory / sockets.NAME).unlink(missing_ok=True)


async def _next(engine: Engine, server: Server, patience: float) -> None:
    """Returns at a change of views or at the end; nobody there for long and no run: the end."""
    server.changed.clear()
    alone = not engine.started and not server.views
    waits = [
        asyncio.create_task(engine.over.wait()),
        asyncio.create_task(server.changed.wait()),
    ]
    timeout = patience if alone else None
    done, _ = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if not done:
        engine.over.set()


def _heed_signals(engine: Engine) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.terminate)


def _outcome(engine: Engine) -> ExitCode:
    if engine.error:
        return engine.error.exit_code
    if not engine.started:
        return ExitCode.OK
    return exit_code(engine.recorder.state)


def run_engine(directory: Path, build: Build, patience: float = PATIENCE) -> int:
    """The main function of an engine's process; returns its exit code.

    What keeps it from starting goes to stderr, as the JSON line that :func:`started` reads.
    """
    _redact_log()
    try:
        return int(asyncio.run(serve(directory, build, patience=patience)))
    except InstallError as error:
        report = error.report()
    except Exception as error:
        sys.stderr.write(redact(traceback.format_exc()))
        known = reports.internal(directory, error, "serving", SystemClock().now())
        report = known.report()
    sys.stderr.write(json.dumps({"engine-error": report.to_json()}) + "\n")
    return int(report.exit_code)


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _redact_log() -> None:
    """What libraries and asyncio have to say goes to the log, but no secret with it."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def spawn(argv: Sequence[str], directory: Path) -> "subprocess.Popen[bytes]":
    """Starts ``argv`` in its own session: no terminal, no inherited files, umask 077, cwd ``/``.

    Its output goes to ``directory/logs/engine.log``. ``argv`` must hold no secret; the passphrase
    goes over the socket.
    """
    log = directory / LOG
    log.parent.mkdir(mode=0o700, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            close_fds=True,
            umask=0o077,
            cwd="/",
        )
    finally:
        os.close(file)


async def started(
    process: "subprocess.Popen[bytes]", directory: Path, *, after: int = 0, within: float = 30
) -> EngineClient:
    """Waits up to ``within`` seconds until the process of :func:`spawn` listens, and attaches.

    Raises the InstallError with which it ended instead (LOCKED, JOURNAL-DAMAGED, …).
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while loop.time() < deadline:
        if process.poll() is not None:
            raise _early_end(directory)
        try:
            client = await EngineClient.connect(directory, after=after)
        except InstallError as error:
            if error.code != "NO-ENGINE":
                raise
        else:
            if client.hello.pid == process.pid:
                return client
            await client.close()  # another engine's: ours is about to find the lock taken
        await asyncio.sleep(POLL)
    raise _early_end(directory)


def _early_end(directory: Path) -> InstallError:
    """What the engine wrote as its last words."""
    lines = _log_tail(directory / LOG)
    for line in reversed(lines):
        try:
            report = ErrorReport.from_json(json.loads(line)["engine-error"])
        except (ValueError, KeyError, TypeError):
            continue
        return InstallError.reported(report)
    return InstallError(
        "ENGINE-GONE",
        "The engine did not come up",
        f"It ended, or did not listen in time. Its log is {directory / LOG}.",
        "Look at the log, then try again.",
        retryable=True,
        evidence=tuple(lines[-5:]),
        exit_code=ExitCode.INTERNAL,
    )


def _log_tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def killed_at_logout() -> bool:
    """Whether logind ends this user's processes when the session closes (``KillUserProcesses``,
    logind.conf(5)): a session of our own does not escape that, a scope of systemd does.

    Asks ``loginctl``; False where there is no logind. Takes up to two seconds.
    """
    try:
        answer = subprocess.run(
            ["loginctl", "show-session", "--property=KillUserProcesses,KillExcludeUsers"],
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    found = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    spared = found.get("KillExcludeUsers", "").split()
    return found.get("KillUserProcesses") == "yes" and locks.user_name() not in spared


KEPT_ALIVE_BY = ("systemd-run", "--user", "--scope", "--quiet", "--collect")
"""Put in front of ``matrix-install`` where :func:`killed_at_logout`; needs `loginctl
enable-linger` to outlive the last session (systemd-run(1), loginctl(1))."""
