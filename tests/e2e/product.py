"""An operator at a rehearsal: runs the command line, as people do, and looks at what it left.

After every run it is asked of the simulated API server's own record that nothing was written that
no approved plan names, and of the whole directory that no secret lies about.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from installer.engine import locks
from installer.rehearsal.kube.store import Store
from installer.rehearsal.process import RehearsalProcess, spawn
from installer.store.sealed_key import SealKey, read_identity_file
from tests.canaries import Canaries
from tests.e2e.forker import Forker

EXAMPLES = Path(__file__).parents[2] / "examples"
DIE_AT = "MATRIX_INSTALL_DIE_AT"
SECONDS = 40.0
_FAST = ("--rehearse", "--rehearse-speed", "10000")
Line = dict[str, Any]


@dataclass(frozen=True)
class Write:
    """One mutation that the simulated API server answered; no dry run, no review."""

    method: str
    kind: str  # "deployment.apps"
    namespace: str  # "-" for none
    name: str  # "" for a POST: the name is in its body
    status: int

    def is_in(self, targets: Iterable[str]) -> bool:
        """Whether it is of one of these planned targets (``kind.group/namespace/name``)."""
        place = f"{self.kind}/{self.namespace}/"
        return any(
            t.startswith(place) if not self.name else t == place + self.name for t in targets
        )


@dataclass(frozen=True)
class Ran:
    """What a command line came to. ``lines`` are those of ``--json``."""

    code: int
    out: str
    err: str
    writes: tuple[Write, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(json.loads(line) for line in self.out.splitlines() if line.startswith("{"))

    @property
    def text(self) -> str:
        return self.out + self.err

    def of(self, *events: str) -> tuple[Line, ...]:
        return tuple(x["data"] for x in self.lines if x["type"] == "event" and x["event"] in events)

    def steps(self, event: str) -> tuple[str, ...]:
        return tuple(data["step"] for data in self.of(event))

    @property
    def plan(self) -> Line:
        return next(line for line in self.lines if line["type"] == "plan")

    @property
    def problem(self) -> Line:
        error: Line = next(line for line in self.lines if line["type"] == "problem")["error"]
        return error

    @property
    def changes(self) -> tuple[Write, ...]:
        """Writes to other things than the lease."""
        return tuple(write for write in self.writes if not write.kind.startswith("lease."))


class Running:
    """A command line at work, its output going to files."""

    def __init__(self, product: "Product", pid: int, mark: int, files: tuple[Path, Path]) -> None:
        self._product = product
        self._mark = mark
        self._files = files
        self.pid = pid
        self.ended = False

    @property
    def out(self) -> str:
        return self._files[0].read_text(errors="replace")

    def until(self, wanted: Callable[[str], object], seconds: float = SECONDS) -> str:
        """Waits until the output is as wanted; the output."""
        found: str = self._product.until(lambda: self.out if wanted(self.out) else "", seconds)
        return found

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def finish(self, seconds: float = SECONDS) -> Ran:
        code = self._product.forker.wait(self.pid, seconds)
        self.ended = True
        return self._product.ran(code, self._mark, *self._files)


@dataclass
class Product:
    """One operator's workstation: ``folder`` with ``settings.yaml`` and the install's directory."""

    forker: Forker
    folder: Path
    example: str = "small"
    canaries: dict[str, str] = field(default_factory=dict)  # given: to be found nowhere
    spared: list[Path] = field(default_factory=list)  # where secrets lie by right
    sealed_is_whole: bool = True  # a test that damages the sealed file says so
    _running: list[Running] = field(default_factory=list)
    _clusters: list[RehearsalProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.directory = self.folder / "install"
        self.answers = self.folder / "settings.yaml"
        self.settings: Line = yaml.safe_load((EXAMPLES / f"{self.example}.yaml").read_text())
        self.write_settings()

    @property
    def rehearsal(self) -> Path:
        return self.directory / "rehearsal"

    def write_settings(self, **changes: Any) -> None:
        """The example with changes by dotted name (``a__b`` for a.b)."""
        for name, value in changes.items():
            *parents, last = name.split("__")
            section = self.settings
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        self.answers.write_text(yaml.safe_dump(self.settings, sort_keys=False))

    # -- running ------------------------------------------------------------------------------

    def install(self, *words: str, **how: Any) -> Ran:
        return self.run(*self.fast_install(*words), **how)

    def fast_install(self, *words: str) -> tuple[str, ...]:
        """The words of an install on a simulated cluster that does everything at once."""
        return (*_FAST, "--answers", str(self.answers), "--yes", *words)

    def resume(self, *words: str, **how: Any) -> Ran:
        return self.run("--resume", "--yes", *words, **how)

    def uninstall(self, mode: str, *words: str, **how: Any) -> Ran:
        return self.run("--uninstall", mode, "--yes", *words, **how)

    def run(self, *words: str, code: int | None = 0, seconds: float = SECONDS, **how: Any) -> Ran:
        """Runs to the end, in ``--json`` unless told otherwise."""
        ran = self.begin(*words, **how).finish(seconds)
        assert code is None or ran.code == code, f"exit code {ran.code}\n{ran.text[-6000:]}"
        return ran

    def begin(
        self,
        *words: str,
        die_at: str = "",
        view: str = "--json",
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Starts a command line without a terminal. ``TMPDIR`` of ``environment`` is made."""
        env = {DIE_AT: die_at} if die_at else {}
        env |= environment or {}
        if "TMPDIR" in env:
            Path(env["TMPDIR"]).mkdir(exist_ok=True)
        files = self.new_files()
        with contextlib.ExitStack() as stack:
            streams = (
                stack.enter_context(open(os.devnull, "rb")).fileno(),
                stack.enter_context(files[0].open("wb")).fileno(),
                stack.enter_context(files[1].open("wb")).fileno(),
            )
            return self.start([*([view] if view else []), *words], env, streams, files)

    def new_files(self) -> tuple[Path, Path]:
        """Where the next command line's output and errors go."""
        number = len(self._running)
        return self.folder / f"out-{number}.txt", self.folder / f"err-{number}.txt"

    def start(
        self,
        words: Sequence[str],
        more: Mapping[str, str],
        streams: tuple[int, int, int],
        files: tuple[Path, Path],
        *,
        terminal: bool = False,
    ) -> Running:
        """``words`` after ``--dir``, ``more`` beside our own environment."""
        env = {key: value for key, value in os.environ.items() if key != DIE_AT} | dict(more)
        argv = ["--dir", str(self.directory), *words]
        mark = len(self.wire())
        pid = self.forker.start(argv, env, self.folder, streams, terminal)
        running = Running(self, pid, mark, files)
        self._running.append(running)
        return running

    def ran(self, code: int, mark: int, out: Path, err: Path) -> Ran:
        """The end of a run, after the two questions that every run is asked."""
        writes = tuple(self.wire()[mark:])
        allowed = self.approved()
        stray = [write for write in writes if not write.is_in(allowed)]
        assert not stray, f"written, but in no approved plan: {stray}"
        self.assert_no_secret_lies_about()
        return Ran(code, out.read_text(errors="replace"), err.read_text(errors="replace"), writes)

    def until(self, look: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Looks again and again until something is there; raises AssertionError at the end."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"not so within {seconds:g} s"
            _pause()
        return found

    # -- looking ------------------------------------------------------------------------------

    def wire(self) -> list[Write]:
        return read_wire(self.rehearsal / "wire.jsonl")

    def records(self) -> list[Line]:
        """Every whole line of the journal."""
        lines: list[Line] = []
        for path in sorted((self.directory / "journal").glob("run-*.jsonl")):
            whole = (x for x in path.read_bytes().splitlines(keepends=True) if x.endswith(b"\n"))
            lines += [json.loads(line) for line in whole]
        return lines

    def approved(self) -> set[str]:
        """What the plans allow that were approved here so far."""
        allowed: set[str] = set()
        for record in self.records():
            if record["type"] == "plan-approved":
                plan = record["data"]["plan"]
                allowed.update(plan["standing"], *(step["targets"] for step in plan["steps"]))
        return allowed

    def objects(self) -> dict[tuple[str, str, str], Line]:
        """All objects of the simulated cluster, by (``plural.group``, namespace, name)."""
        copy = self.folder / "store"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in ("objects.json", "objects.log"):
            shutil.copy(self.rehearsal / name, copy / name)
        store = Store(copy)
        store.close()
        shutil.rmtree(copy)
        return {key: dict(found.obj) for key in store.places() if (found := store.get(key))}

    def nodes(self) -> list[Line]:
        """The Ready condition of every simulated node."""
        return [
            next(c for c in obj["status"]["conditions"] if c["type"] == "Ready")
            for key, obj in self.objects().items()
            if key[0] == "nodes."
        ]

    def signal_engine(self, number: signal.Signals) -> None:
        """A signal to the engine that is at work here."""
        holder = self.engine()
        assert holder is not None
        assert holder.pid
        os.kill(holder.pid, number)

    def engine(self) -> locks.Holder | None:
        return locks.holder(self.directory) if self.directory.is_dir() else None

    def assert_quiet(self) -> None:
        """No engine, socket or lease is left over. An engine that told its end may need a moment
        to leave."""
        self.until(lambda: not [x for x in self._processes() if b"engine_main" in x[1]], 10)
        assert self.engine() is None
        assert not (self.directory / "engine.sock").exists()
        assert not [key for key in self.objects() if key[0].startswith("leases.")]

    def assert_no_secret_lies_about(self) -> None:
        """Nothing sealed or given is in any file; the simulated cluster's own store may hold
        what is sealed, as a cluster does, but never what was given."""
        store = [self.rehearsal / name for name in ("objects.json", "objects.log")]
        given = Canaries(self.canaries)
        leaks = given.in_files([self.directory])
        sealed = self.sealed_is_whole and (self.directory / "secrets.age").exists()
        if sealed and self.key() is not None:
            own = [self.directory / "rehearsal.identity", self.folder / "identity.txt"]
            spared = [*store, *own, *self.spared]
            leaks += self.sealed().in_files([self.folder], but_not=spared)
        assert not leaks, "secrets were found:\n" + "\n".join(sorted({str(x) for x in leaks}))

    def sealed(self) -> Canaries:
        """Everything that is sealed here, to be searched for. Needs :meth:`key`."""
        key = self.key()
        assert key is not None
        return Canaries.of_sealed(self.directory / "secrets.age", key)

    def key(self) -> SealKey | None:
        """What opens the sealed file, where that is known without a passphrase."""
        for path in (self.folder / "identity.txt", self.directory / "rehearsal.identity"):
            if path.exists():
                return read_identity_file(path)
        return None

    def _processes(self) -> list[tuple[int, bytes]]:
        """Processes that name our folder in their arguments."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes()
                    if os.fsencode(self.folder) + b"/" in line:
                        found.append((int(entry.name), line))
        return found

    # -- leaving ------------------------------------------------------------------------------

    def start_cluster(self) -> None:
        """Brings the simulated cluster back up, at full speed, without faults."""
        started = spawn(self.directory, speed=10_000, idle=120)
        self._clusters.append(started)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            if not running.ended:
                _kill(running.pid)
                self.forker.wait(running.pid, 10)
        for cluster in self._clusters:
            cluster.kill()
        for pid, _line in self._processes():
            _kill(pid)
        self.until(lambda: not self._processes(), 10)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _pause() -> None:
    """A breath between two looks at another process."""
    signal.sigtimedwait([], 0.02)


_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/[^/]+)?"
)
_REVIEWS = ("authorization.k8s.io", "authentication.k8s.io")


def read_wire(path: Path) -> list[Write]:
    """The record of the simulated API server, without what changes nothing."""
    writes = []
    text = path.read_bytes() if path.exists() else b""
    lines: Iterable[Line] = map(json.loads, text[: text.rfind(b"\n") + 1].splitlines())
    for line in lines:
        if not line["agent"].startswith("matrix-install/"):
            continue  # somebody else's
        match = _PATH.fullmatch(line["path"])
        assert match is not None, line
        if match["group"] in _REVIEWS or "dryRun" in line["query"]:
            continue
        kind = _singular(match["plural"]) + (f".{match['group']}" if match["group"] else "")
        namespace = match["namespace"] or "-"
        writes.append(Write(line["method"], kind, namespace, match["name"] or "", line["status"]))
    return writes


def _singular(plural: str) -> str:
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    return plural.removesuffix("es" if plural.endswith("sses") else "s")
