"""Distinctive secrets, and the search for them in everything that a run leaves behind.

A test plants canaries in every secret, lets the product work, and asserts that none of them is
found in any file, archive inside a file, process argument or environment. The search knows
nothing of the product's own masking; it has its own idea of how a value can be written.
"""

import base64
import binascii
import bz2
import gzip
import io
import json
import lzma
import os
import re
import secrets as random
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from installer.core.clock import SystemClock
from installer.core.secrets import SecretDeclaration, SecretForm, SecretText, make_secret
from installer.store.sealed import SealedSecrets
from installer.store.sealed_key import Passphrase, Recipients, SealKey

_SHORTEST_NEEDLE = 8  # bytes; a shorter one is found by chance
_DEEPEST = 4  # archives inside archives
_LARGEST = 16 * 1024 * 1024  # bytes read of one file or archive member
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
_PROGRAMS = (b"\x7fELF", b"!<arch>")  # built, not written; large, and many where compilers run
# Where programs leave files that nobody asked them for.
TEMPORARY = tuple(
    sorted({Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")})
)
_WATCH_PERIOD = 0.05  # seconds between two looks at the processes


@dataclass(frozen=True)
class Leak:
    """Which secret was found where, in which form. The value itself is not told."""

    name: str
    form: str
    where: str

    def __str__(self) -> str:
        return f"{self.name} ({self.form}) in {self.where}"


class Canaries:
    """Values by name, and the search for them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self._needles: dict[bytes, tuple[str, str]] = {}
        for name, value in self.values.items():
            for form, needle in _needles(value):
                if len(needle) >= _SHORTEST_NEEDLE:
                    self._needles.setdefault(needle, (name, form))

    @classmethod
    def plant(cls, declarations: Iterable[SecretDeclaration]) -> "Canaries":
        """A value of its declared form for every name, and one called ``passphrase``."""
        values = {item.name: _value_for(item) for item in declarations}
        return cls(values | {"passphrase": f"canary {random.token_hex(16)}"})

    @classmethod
    def of_sealed(cls, path: Path, key: SealKey) -> "Canaries":
        """All that a sealed file holds: made, given and previous values, the install's key, and
        what opens it. ``value (1)`` is the newest of the previous ones."""
        sealed = SealedSecrets.open(path, key, clock=SystemClock())
        values = {"install-key": sealed.install_key.hex()}
        for name in sealed.names:
            entry = sealed.entry(name)
            values[name] = entry.value.reveal()
            for age, (value, _) in enumerate(reversed(entry.previous), start=1):
                values[f"{name} ({age})"] = value.reveal()
        if isinstance(key, Passphrase):
            values["passphrase"] = key.text.reveal()
        if isinstance(key, Recipients):
            values |= {f"identity {n}": text.reveal() for n, text in enumerate(key.identities)}
        return cls(values)

    def given(self) -> dict[str, SecretText]:
        """The values as an operator would hand them over; without the passphrase."""
        return {
            name: SecretText(value) for name, value in self.values.items() if name != "passphrase"
        }

    def write_files(self, directory: Path) -> dict[str, Path]:
        """One private file a value, by name: for ``--secret NAME=@FILE``, ``--passphrase-file``."""
        directory.mkdir(mode=0o700, exist_ok=True)
        files = {}
        for name, value in self.values.items():
            files[name] = directory / f"{name}.txt"
            files[name].touch(mode=0o600)
            files[name].write_text(value + "\n")
        return files

    # -- searching ----------------------------------------------------------------------------

    def in_data(self, data: bytes | str, where: str) -> list[Leak]:
        """Leaks in one piece of data and in whatever is packed inside it."""
        found: dict[tuple[str, str], Leak] = {}
        for inner, place in _unpacked(data.encode() if isinstance(data, str) else data, where, 0):
            for needle, (name, form) in self._needles.items():
                if needle in inner:
                    leak = Leak(name, form, self._without_values(place))
                    found.setdefault((name, place), leak)
        return list(found.values())

    def _without_values(self, text: str) -> str:
        for name, value in self.values.items():
            text = text.replace(value, f"<{name}>")
        return text

    def in_files(
        self, paths: Iterable[Path], *, but_not: Collection[Path] = (), since: float = 0.0
    ) -> list[Leak]:
        """Leaks in contents and names of all files under the paths; links are not followed,
        programs and libraries are passed over.

        ``but_not``: files or folders that hold the values by right. ``since``: seconds since the
        epoch; older files are passed over.
        """
        spared = {path.resolve() for path in but_not}
        leaks: list[Leak] = []
        for path in _files_under(paths, spared):
            try:
                if path.lstat().st_mtime < since:
                    continue
                leaks += self.in_data(os.fsencode(path), f"the name of {path}")
                if path.is_symlink():
                    leaks += self.in_data(os.readlink(path), f"the link {path}")
                elif path.is_file():
                    with path.open("rb") as file:
                        data = file.read(_LARGEST)
                    if not data.startswith(_PROGRAMS):
                        leaks += self.in_data(data, str(path))
            except (FileNotFoundError, PermissionError):
                continue  # gone meanwhile, or another user's
        return leaks

    def in_processes(self) -> list[Leak]:
        """Leaks in arguments and environment of every process that may be read."""
        return [leak for pid in _pids() for leak in self._in_process(pid)]

    def _in_process(self, pid: int) -> list[Leak]:
        leaks = []
        for item in ("cmdline", "environ"):
            try:
                data = Path(f"/proc/{pid}/{item}").read_bytes()
            except OSError:
                continue  # ended meanwhile, or protected
            leaks += self.in_data(data, f"{item} of process {pid}")
        return leaks

    @contextmanager
    def watching_processes(self) -> Iterator[list[Leak]]:
        """Looks at new processes again and again while the block runs; yields the leaks so far."""
        leaks: dict[Leak, None] = {}
        told: list[Leak] = []
        ended = threading.Event()

        def watch() -> None:
            seen: set[tuple[int, bytes]] = set()
            while True:
                for pid in _pids():
                    try:
                        sight = (pid, Path(f"/proc/{pid}/cmdline").read_bytes())
                    except OSError:
                        continue
                    if sight not in seen:
                        seen.add(sight)
                        leaks.update(dict.fromkeys(self._in_process(pid)))
                told[:] = leaks
                if ended.wait(_WATCH_PERIOD):
                    return

        watcher = threading.Thread(target=watch, name="canary-watch")
        watcher.start()
        try:
            yield told
        finally:
            ended.set()
            watcher.join()


def assert_no_canary(
    canaries: Canaries,
    paths: Iterable[Path],
    *,
    since: float,
    but_not: Collection[Path] = (),
    more: Mapping[str, bytes | str] | None = None,
    temporary: Iterable[Path] = TEMPORARY,
) -> None:
    """No canary under ``paths``, in files of ``temporary`` that changed ``since``, in any process's
    arguments or environment, or in ``more`` (outputs by name). ``but_not``: where they are by
    right."""
    leaks = canaries.in_files(paths, but_not=but_not)
    leaks += canaries.in_files(temporary, but_not=but_not, since=since)
    leaks += canaries.in_processes()
    for where, data in (more or {}).items():
        leaks += canaries.in_data(data, where)
    shown = "\n".join(sorted({str(leak) for leak in leaks}))
    assert not leaks, f"secrets were found:\n{shown}"


def _value_for(declaration: SecretDeclaration) -> str:
    if declaration.form is SecretForm.FREE:
        return f"canary/{random.token_hex(12)}+é?&<{random.token_hex(4)}>"
    return make_secret(declaration)


def _needles(value: str) -> Iterator[tuple[str, bytes]]:
    raw = value.encode()
    yield "plain", raw
    for line in value.splitlines():
        if len(line) >= 16 and not line.startswith("-----"):
            yield "a line of it", line.strip().encode()
    yield "JSON", json.dumps(value)[1:-1].encode()
    yield "JSON", json.dumps(value, ensure_ascii=False)[1:-1].encode()
    yield "URL", quote(value, safe="").encode()
    yield "URL", quote(value).encode()
    yield "hexadecimal", raw.hex().encode()
    yield "hexadecimal", raw.hex().upper().encode()
    for skipped in range(3):
        # Whole groups of three bytes give the same four characters wherever they stand.
        groups = raw[skipped : skipped + (len(raw) - skipped) // 3 * 3]
        inner = base64.b64encode(groups)
        yield "base64", inner
        yield "base64", inner.translate(bytes.maketrans(b"+/", b"-_"))
        for again in range(3):
            yield (
                "base64 twice",
                base64.b64encode(inner[again : again + len(inner[again:]) // 3 * 3]),
            )


def _files_under(paths: Iterable[Path], spared: Collection[Path]) -> Iterator[Path]:
    for path in paths:
        if path.resolve() in spared:
            continue
        if not path.is_dir():
            yield path
            continue
        for folder, folders, files in os.walk(path):
            here = Path(folder)
            folders[:] = [name for name in folders if (here / name).resolve() not in spared]
            yield from (
                here / name
                for name in [*files, *(n for n in folders if (here / n).is_symlink())]
                if (here / name).resolve() not in spared
            )


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _unpacked(data: bytes, where: str, depth: int) -> Iterator[tuple[bytes, str]]:
    """The data and all that is packed in it: archives, compression, base64 of those."""
    yield data, where
    if depth == _DEEPEST:
        return
    for inner, kind in _members(data):
        yield from _unpacked(inner, f"{where} > {kind}", depth + 1)
    for run in _BASE64_RUN.finditer(data):
        text = run[0].translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        try:
            inner = base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            continue
        yield from _unpacked(inner, f"{where} > base64", depth + 1)


_COMPRESSED: dict[bytes, tuple[str, Callable[..., io.BufferedIOBase]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
}


def _members(data: bytes) -> Iterator[tuple[bytes, str]]:
    for magic, (kind, open_as) in _COMPRESSED.items():
        if data.startswith(magic):
            yield _decompressed(open_as(io.BytesIO(data), "rb")), kind
    if data[:4] in (b"PK\3\4", b"PK\5\6"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for item in archive.infolist():
                    yield item.filename.encode(), "a name in the archive"
                    with archive.open(item) as member:
                        yield member.read(_LARGEST), item.filename
        except (zipfile.BadZipFile, RuntimeError, zlib.error):
            return
    if data[257:262] == b"ustar":
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for info in tar:
                    yield info.name.encode(), "a name in the archive"
                    if info.isfile() and (content := tar.extractfile(info)):
                        yield content.read(_LARGEST), info.name
        except tarfile.TarError:
            return


def _decompressed(file: io.BufferedIOBase) -> bytes:
    """As much as can be read: a file that is cut short is searched up to there."""
    data = b""
    try:
        while len(data) < _LARGEST and (chunk := file.read(65536)):
            data += chunk
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        pass
    return data
