"""A protected process cannot be dumped or read by others."""

import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import ctypes, resource, sys
from installer.core.protect import protect_process
if "protect" in sys.argv:
    protect_process()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
sys.stdin.read()
"""  # 3 is PR_GET_DUMPABLE


def report(*arguments: str) -> tuple[list[int], int]:
    """Dumpable flag and core limits as the process itself sees them; owner of its memory file."""
    child = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        seen = [int(word) for word in child.stdout.readline().split()]
        owner = Path(f"/proc/{child.pid}/mem").stat().st_uid
    finally:
        child.communicate(timeout=20)
    return seen, owner


def test_a_protected_process_leaves_no_core_and_belongs_to_root_alone() -> None:
    assert report("protect") == ([0, 0, 0], 0)


def test_an_unprotected_one_could_be_dumped() -> None:
    seen, _ = report()
    assert seen[0] == 1


def test_a_protected_process_that_crashes_reports_no_core() -> None:
    program = "from installer.core.protect import protect_process; protect_process()"
    crash = f"{program}; import os; os.abort()"
    ended = subprocess.run([sys.executable, "-c", crash], timeout=20)
    assert ended.returncode == -signal.SIGABRT
