"""The search for canaries finds each one that is planted, and nothing where there is none."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from installer.core.secrets import SecretForm, SecretSource, refusal, unique_declarations
from installer.store.given import read_given
from installer.store.sealed import SealedSecrets
from installer.store.sealed_key import read_passphrase_file
from tests.canaries import TEMPORARY, Canaries, assert_no_canary
from tests.unit.store.sealing import MADE_AND_GIVEN, StandingClock, declaration, identity_key

DECLARED = (
    *MADE_AND_GIVEN,
    *(declaration(f"of-{form}", form) for form in SecretForm if form is not SecretForm.FREE),
)


@pytest.fixture
def canaries() -> Canaries:
    return Canaries.plant(DECLARED)


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.txt", data)
    return buffer.getvalue()


def tarred(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("inside.txt")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


HIDINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda raw: b"before " + raw + b" after",
    "json": lambda raw: json.dumps({"a": [raw.decode()]}).encode(),
    "json-unicode": lambda raw: json.dumps(raw.decode(), ensure_ascii=False).encode(),
    "url": lambda raw: b"https://h/?q=" + quote(raw.decode(), safe="").encode(),
    "hex": lambda raw: raw.hex().encode(),
    "base64": base64.b64encode,
    "base64-after-1": lambda raw: base64.b64encode(b"x" + raw + b"yy"),
    "base64-after-2": lambda raw: base64.b64encode(b"xx" + raw + b"y"),
    "base64-url": lambda raw: base64.urlsafe_b64encode(b"xx" + raw),
    "base64-twice": lambda raw: base64.b64encode(b"{" + base64.b64encode(b"u:" + raw)),
    "gzip": lambda raw: gzip.compress(b"before " + raw),
    "bzip2": lambda raw: bz2.compress(b"before " + raw),
    "xz": lambda raw: lzma.compress(b"before " + raw),
    "zip": zipped,
    "tar": tarred,
    "tar-gz": lambda raw: gzip.compress(tarred(raw)),
    "zip-in-tar-gz": lambda raw: gzip.compress(tarred(zipped(raw))),
    "gzip-in-base64": lambda raw: b'{"r":"' + base64.b64encode(gzip.compress(raw)) + b'"}',
    "gzip-cut-short": lambda raw: gzip.compress(raw + os.urandom(5000))[:-3000],
}


@pytest.mark.parametrize("hiding", HIDINGS)
def test_each_canary_is_found_in_each_hiding_place(
    canaries: Canaries, tmp_path: Path, hiding: str
) -> None:
    for name, value in canaries.values.items():
        path = tmp_path / "deep" / "er" / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(HIDINGS[hiding](value.encode()))
        found = canaries.in_files([tmp_path])
        assert {leak.name for leak in found} == {name}
        assert value not in "".join(map(str, found))


def test_a_tree_without_canaries_is_clean(canaries: Canaries, tmp_path: Path) -> None:
    for hiding, hide in HIDINGS.items():
        (tmp_path / hiding).write_bytes(hide(b"an ordinary text of no special meaning at all"))
    (tmp_path / "random").write_bytes(os.urandom(100_000))
    assert canaries.in_files([tmp_path]) == []


def test_names_and_links_are_searched_too(canaries: Canaries, tmp_path: Path) -> None:
    value = canaries.values["redis-password"]
    (tmp_path / value).touch()
    (tmp_path / "link").symlink_to(f"/none/{value}")
    found = canaries.in_files([tmp_path])
    assert {leak.where for leak in found} == {
        f"the name of {tmp_path}/<redis-password>",
        f"the link {tmp_path}/link",
    }


def test_places_that_hold_them_by_right_are_spared(canaries: Canaries, tmp_path: Path) -> None:
    files = canaries.write_files(tmp_path / "given")
    assert canaries.in_files([tmp_path])
    assert canaries.in_files([tmp_path], but_not=[tmp_path / "given"]) == []
    assert canaries.in_files([tmp_path], but_not=files.values()) == []


def test_temporary_files_are_searched_from_the_start_on(canaries: Canaries, tmp_path: Path) -> None:
    given, temporary = tmp_path / "given", tmp_path / "tmp"
    temporary.mkdir()
    path = temporary / "left-behind"
    path.write_text(canaries.values["redis-password"])
    changed = path.stat().st_mtime
    with pytest.raises(AssertionError, match="left-behind"):
        assert_no_canary(canaries, [given], since=changed, temporary=[temporary])
    assert_no_canary(canaries, [given], since=changed + 1, temporary=[temporary])
    assert {Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")} <= set(TEMPORARY)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A process that ends when its standard input does, and says when it runs."""
        program = "import sys; print('up', flush=True); sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        return child

    yield start
    for child in children:
        child.communicate(timeout=20)


def test_arguments_and_environments_are_searched(
    canaries: Canaries, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    value = canaries.values["redis-password"]
    in_arguments, in_environment = started(f"--password={value}"), started(PASSWORD=value)
    assert {leak.where for leak in canaries.in_processes()} == {
        f"cmdline of process {in_arguments.pid}",
        f"environ of process {in_environment.pid}",
    }


def test_a_process_that_came_and_went_is_seen(
    canaries: Canaries, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    value = canaries.values["redis-password"]
    with canaries.watching_processes() as leaks:
        child = started(value)
        deadline = time.monotonic() + 20
        while not leaks and time.monotonic() < deadline:
            child.poll()
        child.communicate(timeout=20)
    assert {leak.where for leak in leaks} == {f"cmdline of process {child.pid}"}
    assert canaries.in_processes() == []


def test_the_assertion_tells_all_places_and_no_value(canaries: Canaries, tmp_path: Path) -> None:
    value = canaries.values["redis-password"]
    log = tmp_path / "log"
    # The machine's own temporary folders are left out: others write there meanwhile.
    search = partial(assert_no_canary, canaries, [tmp_path], since=0.0, temporary=())
    search(more={"output": "fine"})
    log.write_text(f"saw {value}")
    with pytest.raises(AssertionError) as caught:
        search(more={"output": value})
    told = str(caught.value)
    assert f"redis-password (plain) in {log}" in told
    assert "redis-password (plain) in output" in told
    assert value not in told


def test_planted_values_are_taken_by_the_product(canaries: Canaries, tmp_path: Path) -> None:
    declared = unique_declarations(DECLARED)
    for name, item in declared.items():
        assert refusal(item, canaries.values[name]) == ""
    files = canaries.write_files(tmp_path / "given")
    passphrase = read_passphrase_file(files.pop("passphrase"))
    assert passphrase.text.reveal() == canaries.values["passphrase"]
    values = read_given([f"{name}=@{path}" for name, path in files.items()], declared)
    assert values == canaries.given()


def test_all_that_is_sealed_can_be_searched_for(tmp_path: Path) -> None:
    key, clock = identity_key(), StandingClock()
    sealed = SealedSecrets.create(tmp_path / "secrets.age", key, clock=clock)
    sealed.put("one", "first-value", SecretSource.MADE)
    sealed.put("one", "second-value", SecretSource.MADE)
    sealed.save()
    canaries = Canaries.of_sealed(tmp_path / "secrets.age", key)
    assert set(canaries.values) == {"one", "one (1)", "install-key", "identity 0"}
    assert canaries.in_files([tmp_path]) == []
    assert [leak.name for leak in canaries.in_data("first-value", "x")] == ["one (1)"]
