"""Builds the programs of the lab once, into a cache outside the tree.

    python -m tests.lab.builds            builds what a control plane needs
    python -m tests.lab.builds NAME ...   builds these (kubectl too is known)

Each program comes from a public Go module pinned by a go.mod and go.sum beside this file. A
build lies in `$XDG_CACHE_HOME (or ~/.cache)/matrix-install/lab/<name>-<version>-<key>`, the key
being a hash over those two files, the compiler's version and the flags. `KUBEBUILDER_ASSETS`, a
folder with etcd and kube-apiserver (and perhaps the other two), is used instead where set.
"""

import fcntl
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MODULES = Path(__file__).parent
_VERSION_PACKAGE = "k8s.io/component-base/version"
KUBERNETES = "1.36.2"
_GO_FLOOR = (1, 26)


class BuildError(Exception):
    """A program could not be built; the text says what to do."""


@dataclass(frozen=True)
class Build:
    """One Go module whose `packages` are built together.

    `module` is the folder of its go.mod, by default of the same name. `folders` are (path in the
    module `data_from`, name in the build); their YAML files are copied beside the programs.
    """

    name: str
    version: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    ldflags: str = "-s -w"
    module: str = ""
    data_from: str = ""
    folders: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> Path:
        return _MODULES / (self.module or self.name)


def _kubernetes_ldflags() -> str:
    """Version stamps. Without them `helm` refuses every chart with a `kubeVersion`."""
    major, minor, _ = KUBERNETES.split(".")
    stamps = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return "-s -w " + " ".join(f"-X {_VERSION_PACKAGE}.{k}={v}" for k, v in stamps.items())


_CONTROL_PLANE_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")

BUILDS: tuple[Build, ...] = (
    Build(
        name="etcd",
        version="3.6.8",
        packages=("go.etcd.io/etcd/server/v3",),
        programs=("etcd",),
    ),
    Build(
        name="controlplane",
        version=KUBERNETES,
        packages=tuple(f"k8s.io/kubernetes/cmd/{name}" for name in _CONTROL_PLANE_PROGRAMS),
        programs=_CONTROL_PLANE_PROGRAMS,
        ldflags=_kubernetes_ldflags(),
    ),
    Build(
        name="kwok",
        version="0.8.0",
        packages=("sigs.k8s.io/kwok/cmd/kwok",),
        programs=("kwok",),
        data_from="sigs.k8s.io/kwok",
        # kwok has no behaviour of its own: its stages lie beside its sources.
        folders=(("kustomize/stage", "stage"),),
    ),
)


_KUBECTL = Build(
    name="kubectl",
    version=KUBERNETES,
    packages=("k8s.io/kubernetes/cmd/kubectl",),
    programs=("kubectl",),
    ldflags=_kubernetes_ldflags(),
    module="controlplane",
)


@dataclass(frozen=True)
class Programs:
    """Where the lab's programs lie. `kwok_stages` is kwok's own folder of stages."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kwok: Path
    kwok_stages: Path


def programs() -> Programs:
    """All programs of a control plane, built first where the cache lacks them.

    Raises BuildError.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS", "")
    found = {
        name: Path(given) / name
        for name in ("etcd", *_CONTROL_PLANE_PROGRAMS)
        if given and (Path(given) / name).is_file()
    }
    if given and not {"etcd", "kube-apiserver"} <= found.keys():
        raise BuildError(f"KUBEBUILDER_ASSETS={given} holds no etcd and kube-apiserver")
    for build in BUILDS:
        wanted = set(build.programs) - found.keys()
        if wanted:
            folder = ensure(build)
            found.update({name: folder / name for name in wanted})
    return Programs(
        etcd=found["etcd"],
        kube_apiserver=found["kube-apiserver"],
        kube_controller_manager=found["kube-controller-manager"],
        kube_scheduler=found["kube-scheduler"],
        kwok=found["kwok"],
        kwok_stages=found["kwok"].parent / "stage",
    )


def kubectl() -> Path:
    """kubectl of the same version, to measure against. Raises BuildError."""
    return ensure(_KUBECTL) / "kubectl"


def ensure(build: Build) -> Path:
    """The folder with the build's programs; builds it if need be. Raises BuildError."""
    compiler = go_version()
    folder = _cache() / f"{build.name}-{build.version}-{_key(build, compiler)}"
    if folder.is_dir():
        return folder
    with _locked(folder.parent / f"{folder.name}.lock", build):
        if not folder.is_dir():
            _build(build, folder)
    return folder


def go_version() -> str:
    """The compiler's version, such as `go1.26.8`. Raises BuildError when absent or too old."""
    floor = ".".join(str(part) for part in _GO_FLOOR)
    try:
        text = _go(["env", "GOVERSION"], _MODULES).strip()
    except FileNotFoundError:
        raise BuildError(f"Go {floor} or later is needed to build the lab: install it") from None
    found = re.match(r"go(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < _GO_FLOOR:
        raise BuildError(f"Go {floor} or later is needed to build the lab; this one is {text}")
    return text


def _go(arguments: Sequence[str], cwd: Path) -> str:
    command = ["go", *arguments]
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` in {cwd} failed with {done.returncode}")
    return done.stdout


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(base) / "matrix-install" / "lab"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _key(build: Build, compiler: str) -> str:
    digest = hashlib.sha256()
    for part in (compiler, build.ldflags, *build.packages, *(a for a, _ in build.folders)):
        digest.update(part.encode() + b"\0")
    for name in ("go.mod", "go.sum"):
        digest.update((build.path / name).read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@contextmanager
def _locked(path: Path, build: Build) -> Iterator[None]:
    """One builder at a time; the lock falls with the process that holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another process that builds {build.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(build: Build, folder: Path) -> None:
    names = ", ".join(build.programs)
    _say(f"building {names} {build.version} into {folder} (cold: minutes; once)")
    started, cpu = time.monotonic(), _children_cpu()
    scratch = Path(tempfile.mkdtemp(prefix=f".{build.name}-", dir=folder.parent))
    try:
        for package, program in zip(build.packages, build.programs, strict=True):
            output = str(scratch / program)
            flags = ["-trimpath", "-ldflags", build.ldflags, "-o", output]
            _go(["build", *flags, package], build.path)
        if build.folders:
            source = Path(
                _go(["list", "-m", "-f", "{{.Dir}}", build.data_from], build.path).strip()
            )
            for inside, name in build.folders:
                _copy_yaml(source / inside, scratch / name)
        scratch.chmod(0o755)
        os.rename(scratch, folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    wall, cpu = time.monotonic() - started, _children_cpu() - cpu
    _say(f"built {names} {build.version} in {wall:.0f} s ({cpu:.0f} s of CPU)")


def _copy_yaml(source: Path, target: Path) -> None:
    """Copies contents only: the module cache is read-only, its modes are not wanted here."""
    for file in source.rglob("*.yaml"):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _say(text: str) -> None:
    sys.stderr.write(f"lab: {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    chosen = {build.name: build for build in (*BUILDS, _KUBECTL)}
    if unknown := [name for name in arguments if name not in chosen]:
        _say(f"no such build: {', '.join(unknown)}; there are {', '.join(chosen)}")
        return 2
    try:
        for name in arguments or [build.name for build in BUILDS]:
            _say(f"{name}: {ensure(chosen[name])}")
    except BuildError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
