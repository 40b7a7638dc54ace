"""An operator with a workstation: runs the command line against a lab cluster, as people do.

After each run it is asked of kube-apiserver's own record that nothing was written that the plan of
that run does not name.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyrage
import yaml

from installer.engine import locks
from tests.cluster.wire import MutationLog, Request, outside
from tests.lab.control_plane import ControlPlane
from tests.lab.credentials import OPERATORS

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "small.yaml"
DIE_AT = "MATRIX_INSTALL_DIE_AT"
_SECONDS = 90.0
_KILLED_ENGINE = ("ENGINE-GONE", "NO-ENGINE")
Line = dict[str, Any]


def disk_folder() -> Path:
    """A new folder on disk: an install refuses to live on tmpfs, which /tmp may be."""
    return Path(tempfile.mkdtemp(prefix="matrix-install-test-", dir="/var/tmp"))


@dataclass(frozen=True)
class Ran:
    """What a command line came to. `lines` are those of `--json`."""

    code: int
    out: str
    err: str
    lines: tuple[Line, ...]
    mutations: tuple[Request, ...] = ()

    @property
    def plan(self) -> Line:
        return next(line for line in self.lines if line["type"] == "plan")

    @property
    def events(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line["type"] == "event")

    def of(self, *events: str) -> tuple[Line, ...]:
        return tuple(line for line in self.events if line["event"] in events)

    def steps(self, event: str) -> tuple[str, ...]:
        """The steps for which there was this event, in order."""
        return tuple(line["data"]["step"] for line in self.of(event))

    @property
    def problem(self) -> Line:
        """The error that ended it outside of any step."""
        found = next(line for line in reversed(self.lines) if line["type"] == "problem")
        error: Line = found["error"]
        return error

    @property
    def failure(self) -> Line:
        """The error of the step that failed last."""
        error: Line = self.of("step-failed")[-1]["data"]["error"]
        return error

    @property
    def killed(self) -> bool:
        """Whether the engine went away in the middle."""
        problems = [line["error"]["code"] for line in self.lines if line["type"] == "problem"]
        return bool(problems) and problems[-1] in _KILLED_ENGINE

    @property
    def text(self) -> str:
        return self.out + self.err


class Running:
    """A command line at work whose lines can be waited for."""

    def __init__(
        self,
        process: "subprocess.Popen[str]",
        errors: Path,
        done: Callable[["Running"], Ran],
    ) -> None:
        self._process = process
        self._errors = errors
        self._done = done
        self._news: queue.Queue[str | None] = queue.Queue()
        self.lines: list[Line] = []
        self.out = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for line in out:
                self._news.put(line)
        self._news.put(None)

    def until(self, wanted: Callable[[Line], bool], seconds: float = _SECONDS) -> Line:
        """The first line, of those not seen yet, that is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._told(deadline)
            if line is not None and wanted(line):
                return line

    def until_text(self, words: str, seconds: float = _SECONDS) -> None:
        """Of a `--plain` view: until these words were printed."""
        deadline = time.monotonic() + seconds
        while words not in self.out:
            self._told(deadline)

    def _next(self, deadline: float) -> str | None:
        """What it printed next; None when it has ended."""
        try:
            return self._news.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"nothing more in time:\n{self.out[-3000:]}") from None

    def _told(self, deadline: float) -> Line | None:
        text = self._next(deadline)
        if text is None:
            raise AssertionError(f"ended before it was told:\n{self.out[-3000:]}")
        return self._take(text)

    def _take(self, text: str) -> Line | None:
        self.out += text
        if not text.startswith("{"):
            return None
        line: Line = json.loads(text)
        self.lines.append(line)
        return line

    def finish(self, seconds: float = _SECONDS) -> Ran:
        """Waits for the end of the command."""
        deadline = time.monotonic() + seconds
        while (text := self._next(deadline)) is not None:
            self._take(text)
        self._process.wait(timeout=10)
        return self._done(self)

    def read_errors(self) -> str:
        return self._errors.read_text()

    @property
    def code(self) -> int:
        return self._process.returncode

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=10)
        self._reader.join(timeout=10)


@dataclass
class Operator:
    """One workstation: settings, identity, kubeconfig and the directory of one install.

    `folder` is new or empty, on a disk; `user` is whom the cluster sees, and whose writes count.
    """

    cluster: ControlPlane
    wire: MutationLog
    folder: Path
    install_id: str
    user: str = ""  # one of the cluster's operators; by default one of our own
    changes: dict[str, Any] = field(default_factory=dict)
    _running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.user = self.user or f"operator-{self.install_id}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.directory = self.folder / "install"
        self.kubeconfig = self.make_kubeconfig()
        identity = pyrage.x25519.Identity.generate()
        self.identity = self.folder / "identity.txt"
        self.identity.touch(mode=0o600)
        self.identity.write_text(f"{identity}\n")
        self.recipient = str(identity.to_public())
        self.answers = self.folder / "settings.yaml"
        self.write_settings()

    def make_kubeconfig(self) -> Path:
        return self.cluster.access.certificate_kubeconfig(
            self.folder / "kubeconfig", self.user, groups=[OPERATORS]
        )

    @property
    def namespaces(self) -> tuple[str, str]:
        return f"{self.install_id}-redis", f"{self.install_id}-install"

    def write_settings(self, **changes: Any) -> None:
        """The small example under our own id, with changes by dotted name (`a__b` for a.b)."""
        settings = yaml.safe_load(EXAMPLE.read_text())
        settings["install"] = {"id": self.install_id}
        settings["secrets"] = {"seal": "recipients", "recipients": [self.recipient]}
        self.changes.update(changes)
        for name, value in self.changes.items():
            *parents, last = name.split("__")
            section = settings
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        self.answers.write_text(yaml.safe_dump(settings, sort_keys=False))

    # -- running ------------------------------------------------------------------------------

    def install(self, *words: str, **how: Any) -> Ran:
        return self.run("--answers", str(self.answers), "--yes", *words, **how)

    def resume(self, *words: str, **how: Any) -> Ran:
        return self.run("--resume", "--yes", *words, **how)

    def uninstall(self, mode: str = "", *words: str, **how: Any) -> Ran:
        return self.run("--uninstall", *([mode] if mode else []), "--yes", *words, **how)

    def run(
        self, *words: str, die_at: str = "", seconds: float = _SECONDS, code: int | None = 0
    ) -> Ran:
        """Runs to the end. `code` is asserted unless it is None or the engine was killed.

        A run that has fewer boundaries than `die_at` says is not killed: see `Ran.killed`.
        """
        ran = self.begin(*words, die_at=die_at).finish(seconds)
        if die_at and ran.killed:
            return ran
        if code is not None:
            assert ran.code == code, ran.text[-5000:]
        return ran

    def begin(
        self, *words: str, die_at: str = "", view: str = "--json", key: Sequence[str] = ()
    ) -> Running:
        """Starts the command line. `key` says what opens the secrets, if not our identity."""
        environment = {key: value for key, value in os.environ.items() if key != DIE_AT}
        if die_at:
            environment[DIE_AT] = die_at
        base = ["--dir", str(self.directory), *(key or ("--identity-file", str(self.identity)))]
        mark, before = self.wire.mark(), len(self.records())
        errors = self.folder / f"errors-{len(self._running)}.txt"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "installer.cli", *base, view, *self._cluster(words), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=self.folder,
                env=environment,
            )
        running = Running(process, errors, lambda done: self._ran(done, mark, before))
        self._running.append(running)
        return running

    def _cluster(self, words: Sequence[str]) -> list[str]:
        """The directory remembers its cluster from the first run on."""
        first = "--answers" in words
        return ["--kubeconfig", str(self.kubeconfig)] if first else []

    def _ran(self, running: Running, mark: int, before: int) -> Ran:
        mutations = tuple(self.wire.mutations(self.user, mark))
        stray = outside(mutations, self.approved(before))
        assert not stray, f"written, but in no approved plan: {stray}"
        return Ran(
            running.code, running.out, running.read_errors(), tuple(running.lines), mutations
        )

    def copied(self, name: str) -> "Operator":
        """The same install on another workstation: another directory with all of its files."""
        twin = Operator(
            self.cluster,
            self.wire,
            self.folder / name,
            self.install_id,
            user=f"{self.user}-{name}",
            changes=dict(self.changes),
        )
        twin.identity.write_text(self.identity.read_text())
        twin.recipient = self.recipient
        twin.write_settings()
        left_out = shutil.ignore_patterns("engine.sock")
        shutil.copytree(self.directory, twin.directory, ignore=left_out)
        return twin

    # -- looking ------------------------------------------------------------------------------

    def records(self) -> list[Line]:
        """Every whole line of the journal."""
        found = []
        for path in sorted((self.directory / "journal").glob("run-*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    found.append(json.loads(line))
        return found

    def approved(self, since_record: int = 0) -> set[str]:
        """What the plans allow that were approved from the given record on."""
        allowed: set[str] = set()
        for record in self.records()[since_record:]:
            if record["type"] == "plan-approved":
                plan = record["data"]["plan"]
                allowed.update(plan["standing"])
                allowed.update(t for step in plan["steps"] for t in step["targets"])
        return allowed

    def engine(self) -> locks.Holder | None:
        return locks.holder(self.directory) if self.directory.is_dir() else None

    def pause(self, running: Running) -> Ran:
        """As systemd or an operator in a hurry would: SIGTERM, and again once it was taken."""
        pid = self.engine_pid()
        os.kill(pid, signal.SIGTERM)
        running.until(lambda line: line.get("event") == "command-taken")
        os.kill(pid, signal.SIGTERM)
        return running.finish()

    def engine_pid(self) -> int:
        holder = self.engine()
        assert holder is not None, "no engine is at work"
        return holder.pid

    def assert_quiet(self) -> None:
        """No engine, socket or lease is left over."""
        assert self.engine() is None
        assert not (self.directory / "engine.sock").exists()
        space = self.namespaces[1]
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases"
        assert self.cluster.api.items(leases) == []

    # -- leaving ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            running.kill()
        holder = self.engine()
        if holder is not None and holder.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def sweep(cluster: ControlPlane, install_id: str) -> None:
    """Asks for the end of what an install left in the cluster, without waiting for it."""
    paths = [f"/api/v1/namespaces/{install_id}-{suffix}" for suffix in ("redis", "install")]
    paths.append(f"/apis/scheduling.k8s.io/v1/priorityclasses/{install_id}-infrastructure")
    for path in paths:
        if cluster.api.exists(path):
            cluster.api.delete(path)


@contextlib.contextmanager
def operator(
    cluster: ControlPlane,
    wire: MutationLog,
    install_id: str,
    changes: Mapping[str, Any] | None = None,
) -> Iterator[Operator]:
    """An operator for one test; whatever is left of the install goes at the end."""
    with Operator(cluster, wire, disk_folder(), install_id, changes=dict(changes or {})) as made:
        try:
            yield made
        finally:
            sweep(cluster, install_id)
