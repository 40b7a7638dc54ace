"""One engine a directory."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from installer.core.errors import InstallError
from installer.engine.locks import DirectoryLock, holder
from tests.unit.engine.clocks import FakeClock

ROOT = Path(__file__).parents[3]
TAKE = """
import asyncio, sys
from pathlib import Path
from installer.core.clock import SystemClock
from installer.engine.locks import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]), SystemClock())
asyncio.run(lock.take())
sys.stdout.write("taken\\n"); sys.stdout.flush()
sys.stdin.read()
"""


async def test_the_second_is_told_who_and_since_when(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    first = DirectoryLock(tmp_path, FakeClock())
    mine = await first.take()
    assert holder(tmp_path) == mine
    assert (mine.pid, mine.since) == (os.getpid(), "2030-01-02T03:04:05Z")
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
    with pytest.raises(InstallError, match="LOCKED") as caught:
        await DirectoryLock(tmp_path, FakeClock()).take()
    assert str(mine) in caught.value.cause
    first.free()
    assert holder(tmp_path) is None
    second = DirectoryLock(tmp_path, FakeClock())
    await second.take()
    second.free()


async def test_two_directories_do_not_mind_each_other(tmp_path: Path) -> None:
    locks = []
    for name in "ab":
        (tmp_path / name).mkdir()
        locks.append(DirectoryLock(tmp_path / name, FakeClock()))
        await locks[-1].take()
    for lock in locks:
        lock.free()


async def test_kill_9_frees_it(tmp_path: Path) -> None:
    other = await _taken_by_another(tmp_path)
    try:
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == other.pid
        with pytest.raises(InstallError, match="LOCKED"):
            await DirectoryLock(tmp_path, FakeClock()).take()
        other.kill()
        other.wait(timeout=10)
        assert json.loads((tmp_path / "lock").read_text())["pid"] == other.pid  # words of the dead
        assert holder(tmp_path) is None
        lock = DirectoryLock(tmp_path, FakeClock())
        await lock.take()
        lock.free()
    finally:
        other.kill()
        other.communicate(timeout=10)


async def test_one_that_only_looks_does_not_turn_an_engine_away(tmp_path: Path) -> None:
    import fcntl

    looking = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(looking, fcntl.LOCK_SH)

    class Ending(FakeClock):
        async def sleep(self, seconds: float) -> None:
            fcntl.flock(looking, fcntl.LOCK_UN)

    lock = DirectoryLock(tmp_path, Ending())
    await lock.take()
    lock.free()
    os.close(looking)


async def _taken_by_another(directory: Path) -> "subprocess.Popen[str]":
    other = _spawn(directory)
    assert other.stdout is not None
    assert other.stdout.readline() == "taken\n"
    return other


def _spawn(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", TAKE, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
