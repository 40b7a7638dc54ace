"""The engine as a process: what it inherits, what it ignores, who may be beside it, how it ends."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.core import events as ev
from installer.core.clock import SystemClock
from installer.core.commands import Reply, Verb
from installer.core.errors import ExitCode, InstallError
from installer.core.state import RunState, RunStatus, StepStatus
from installer.engine import locks, process, sockets
from installer.engine.client import Ended, EngineClient, News
from installer.engine.journal import Journal
from tests.unit.engine.world import FarEnd

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0
SECRET = "correct-horse-canary"

# Hands its terminal (file 3) to a session of its own, starts an engine, and waits to be hung up.
SHELL = """
import json, os, signal, sys
from pathlib import Path
from installer.engine import process
os.login_tty(3)
engine = process.spawn(json.loads(sys.argv[1]), Path(sys.argv[2]))
os.write(1, b"pid %d\\n" % engine.pid)
signal.pause()
"""


class Install:
    """A directory, its far end, and the engines started on it."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "dir"
        self.directory.mkdir()
        self.far = FarEnd(root / "far")
        self.hold = root / "hold"
        os.mkfifo(self.hold)
        self.engines: list[subprocess.Popen[bytes]] = []

    def argv(self, held: bool = False, **job: object) -> list[str]:
        made = {"dir": str(self.directory), "far": str(self.far.folder), **job}
        made["hold"] = str(self.hold) if held else ""
        return [sys.executable, "-m", "tests.unit.engine.small_engine", json.dumps(made)]

    async def engine(self, held: bool = False, **job: object) -> EngineClient:
        self.engines.append(process.spawn(self.argv(held, **job), self.directory))
        return await process.started(self.engines[-1], self.directory, within=PATIENCE)

    def release(self) -> None:
        with self.hold.open("wb", buffering=0) as fifo:
            fifo.write(b"x")

    @property
    def pid(self) -> int:
        return self.engines[-1].pid

    def exit_code(self) -> int:
        return self.engines[-1].wait(timeout=PATIENCE)

    @property
    def state(self) -> RunState:
        return Journal.open(self.directory, SystemClock())[1]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Install(tmp_path)
    yield made
    for engine in made.engines:
        if engine.poll() is None:
            engine.kill()
        engine.wait(timeout=PATIENCE)


async def ask(client: EngineClient, verb: Verb, step: str = "") -> Reply:
    return await asyncio.wait_for(client.command(verb, by="anna", step=step), PATIENCE)


async def begin(client: EngineClient, **params: object) -> None:
    unlocked = await asyncio.wait_for(
        client.command(Verb.UNLOCK, params={"secret": SECRET}), PATIENCE
    )
    given = {"digest": unlocked.data["digest"], **params}
    reply = await asyncio.wait_for(client.command(Verb.START, by="anna", params=given), PATIENCE)
    assert reply.refused == ""


async def rest(client: EngineClient) -> list[News]:
    async with asyncio.timeout(PATIENCE):
        news = [item async for item in client.news()]
    await client.close()
    return news


async def until(client: EngineClient, kind: type[ev.Event]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for item in client.news():
            if isinstance(item, ev.Recorded) and isinstance(item.event, kind):
                return
    raise AssertionError(f"no {kind.type}")


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


async def test_it_runs_on_its_own_and_leaves_nothing_behind(install: Install) -> None:
    inherited = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        client = await install.engine(held=True)
    finally:
        os.close(inherited)
    pid = install.pid
    assert os.getsid(pid) == pid != os.getsid(0)
    assert status_of(pid)["Umask"] == "0077"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    files = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert "/dev/zero" not in files
    log = install.directory / "logs" / "engine.log"
    assert os.readlink(f"/proc/{pid}/fd/1") == os.readlink(f"/proc/{pid}/fd/2") == str(log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert client.hello.pid == pid
    await begin(client)
    install.release()
    assert (await rest(client))[-1] == Ended("finished")
    assert install.exit_code() == ExitCode.OK
    assert install.state.status is RunStatus.FINISHED
    (line,) = log.read_text().splitlines()
    assert line.endswith("WARNING library: connected with [secret]")
    assert not (install.directory / sockets.NAME).exists()
    assert locks.holder(install.directory) is None


async def test_the_passphrase_is_found_nowhere(install: Install) -> None:
    client = await install.engine(held=True)
    await begin(client)
    await until(client, ev.StepWaiting)
    assert_nowhere_in_proc(install.pid)
    install.release()
    await rest(client)
    install.exit_code()
    assert_in_no_file(install.directory)


async def test_a_second_engine_is_told_who_is_at_work_since_when(install: Install) -> None:
    client = await install.engine()
    found = locks.holder(install.directory)
    assert found is not None
    assert (found.pid, found.user) == (install.pid, locks.user_name())
    with pytest.raises(InstallError) as caught:
        await install.engine()
    error = caught.value
    assert (error.code, error.exit_code) == ("LOCKED", ExitCode.LOCKED)
    assert f"process {install.engines[0].pid} of {found.user}" in error.cause
    assert f"since {found.since}" in error.cause
    assert install.exit_code() == ExitCode.LOCKED
    assert (await ask(client, Verb.ABORT)).refused == ""  # the first is unharmed
    await client.close()


async def test_hangups_and_ctrl_c_do_nothing_and_sigterm_pauses(install: Install) -> None:
    client = await install.engine(held=True)
    await begin(client)
    await until(client, ev.StepWaiting)
    os.kill(install.pid, signal.SIGHUP)
    os.kill(install.pid, signal.SIGINT)
    os.kill(install.pid, signal.SIGTERM)
    await until(client, ev.CommandTaken)
    install.release()  # the running step ends, the next does not begin
    assert (await rest(client))[-1] == Ended("paused")
    assert install.exit_code() == ExitCode.PAUSED
    state = install.state
    assert (state.of("one").status, state.of("two").status) == (StepStatus.OK, StepStatus.NEXT)
    client = await install.engine()
    await begin(client)
    assert (await rest(client))[-1] == Ended("finished")


async def test_a_second_sigterm_does_not_wait_for_waits(install: Install) -> None:
    client = await install.engine(held=True)
    await begin(client)
    await until(client, ev.StepWaiting)
    os.kill(install.pid, signal.SIGTERM)
    await until(client, ev.CommandTaken)
    os.kill(install.pid, signal.SIGTERM)
    assert (await rest(client))[-1] == Ended("paused")
    assert install.exit_code() == ExitCode.PAUSED
    assert install.state.of("one").status is StepStatus.UNKNOWN


async def test_the_terminal_may_close_and_another_view_attach(install: Install) -> None:
    """A shell with a terminal of its own starts the engine; then the terminal is torn away."""
    master, slave = os.openpty()
    shell = shell_on(slave, install)
    os.close(slave)
    told = b""
    while b"\n" not in told:
        told += os.read(master, 100)
    pid = int(told.split()[1])
    try:
        client = await _attached(install.directory)
        await begin(client)
        await until(client, ev.StepWaiting)
        os.close(master)  # the kernel hangs up the terminal's session
        assert shell.wait(timeout=PATIENCE) == -signal.SIGHUP
        await client.close()
        client = await _attached(install.directory)
        assert client.hello.pid == pid
        install.release()
        assert (await rest(client))[-1] == Ended("finished")
    finally:
        if shell.poll() is None:
            shell.kill()
        shell.wait(timeout=PATIENCE)
        if locks.holder(install.directory):
            os.kill(pid, signal.SIGKILL)


def assert_nowhere_in_proc(pid: int) -> None:
    for name in ("cmdline", "environ"):
        assert SECRET.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def assert_in_no_file(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 2  # the journal and the log
    for path in files:
        assert SECRET.encode() not in path.read_bytes()


def shell_on(terminal: int, install: Install) -> subprocess.Popen[bytes]:
    argv = [json.dumps(install.argv(held=True)), str(install.directory)]
    return subprocess.Popen(
        [sys.executable, "-c", SHELL, *argv],
        cwd=ROOT,
        preexec_fn=lambda: os.dup2(terminal, 3),
        close_fds=False,
        start_new_session=True,
    )


async def _attached(directory: Path) -> EngineClient:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await EngineClient.connect(directory)
            except InstallError:
                await asyncio.sleep(0.02)


async def test_with_a_failed_step_it_stays_until_it_is_answered(install: Install) -> None:
    client = await install.engine(fails=["one"])
    await begin(client)
    await until(client, ev.StepFailed)
    await client.close()
    client = await EngineClient.connect(install.directory)
    await until(client, ev.StepFailed)
    assert install.engines[0].poll() is None
    assert (await ask(client, Verb.RETRY, "one")).refused == ""
    assert (await rest(client))[-1] == Ended("finished")
    assert install.exit_code() == ExitCode.OK


async def test_unattended_it_ends_with_the_failure(install: Install) -> None:
    client = await install.engine(fails=["one"])
    await begin(client, unattended=True)
    assert (await rest(client))[-1] == Ended("stopped")
    assert install.exit_code() == ExitCode.FAILED


async def test_never_started_and_left_alone_it_goes(install: Install) -> None:
    client = await install.engine(patience=0.1)
    await client.close()
    assert install.exit_code() == ExitCode.OK
    assert not (install.directory / "journal").exists()


async def test_sigterm_before_the_start_ends_it(install: Install) -> None:
    client = await install.engine()
    os.kill(install.pid, signal.SIGTERM)
    assert (await rest(client))[-1] == Ended("none")
    assert install.exit_code() == ExitCode.OK


async def test_killed_it_leaves_nothing_that_hinders_the_next(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATRIX_INSTALL_DIE_AT", "call:2:after")
    client = await install.engine()
    await begin(client)
    assert not [item for item in await rest(client) if isinstance(item, Ended)]
    assert install.exit_code() == -signal.SIGKILL
    assert (install.directory / sockets.NAME).exists()
    monkeypatch.delenv("MATRIX_INSTALL_DIE_AT")
    client = await install.engine()
    await begin(client)
    assert (await rest(client))[-1] == Ended("finished")
    assert len(install.far.calls) == 4


async def test_a_damaged_journal_is_told_before_anything_is_done(install: Install) -> None:
    folder = install.directory / "journal"
    folder.mkdir()
    (folder / "run-0001.jsonl").write_bytes(b"nonsense\n" * 2)
    with pytest.raises(InstallError) as caught:
        await install.engine()
    assert (caught.value.code, caught.value.exit_code) == ("JOURNAL-DAMAGED", ExitCode.JOURNAL)
    assert install.exit_code() == ExitCode.JOURNAL
    assert sorted(path.name for path in folder.iterdir()) == ["run-0001.jsonl"]


async def test_a_torn_journal_is_told_and_the_repair_recorded(install: Install) -> None:
    client = await install.engine()
    await begin(client)
    await rest(client)
    install.exit_code()
    path = install.directory / "journal" / "run-0001.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    client = await install.engine()
    (line,) = client.hello.repairs
    assert "run-0001.jsonl" in line
    assert "run-0001.cut" in line
    await begin(client)
    repaired = [i.event for i in await rest(client) if isinstance(i, ev.Recorded)]
    assert [e.kept for e in repaired if isinstance(e, ev.JournalRepaired)] == ["run-0001.cut"]


async def test_what_does_not_come_up_is_told_with_its_log(install: Install) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    install.engines.append(process.spawn(argv, install.directory))
    with pytest.raises(InstallError) as caught:
        await process.started(install.engines[-1], install.directory, within=PATIENCE)
    assert (caught.value.code, caught.value.evidence) == ("ENGINE-GONE", ("no such thing",))


@pytest.mark.parametrize(
    ("answer", "killed"),
    [
        ("KillUserProcesses=yes\nKillExcludeUsers=nobody\n", True),
        ("KillUserProcesses=yes\nKillExcludeUsers={user}\n", False),
        ("KillUserProcesses=no\nKillExcludeUsers=nobody\n", False),
        ("", False),
        (None, False),
    ],
)
def test_whether_logind_would_kill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None, killed: bool
) -> None:
    if answer is not None:
        fake = tmp_path / "loginctl"
        text = answer.format(user=locks.user_name())
        fake.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin" if answer is not None else "/nowhere")
    assert process.killed_at_logout() is killed


def test_it_needs_only_the_standard_library() -> None:
    """The engine's own part must be up in an instant and carry nothing that could fail to load."""
    code = (
        "import sys\n"
        "import installer.engine.process, installer.engine.estimate\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"installer", "__main__"}
    assert foreign == set()
