"""A machine that sleeps past its lease: real processes, real signals, real clocks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from installer.core.clock import SystemClock
from installer.core.state import RunStatus
from installer.engine.journal import Journal
from tests.unit.engine.world import FarEnd

ROOT = Path(__file__).parents[2]
LEASE = 1.0  # seconds


@pytest.mark.timeout(60)
def test_stopped_past_its_lease_it_writes_nothing_on_waking(tmp_path: Path) -> None:
    directory, far = tmp_path / "dir", FarEnd(tmp_path / "far")
    directory.mkdir()
    engine = subprocess.Popen(
        [sys.executable, "-m", "tests.deep.leased_engine", str(directory), str(far.folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LEASE": str(LEASE)},
    )
    try:
        assert engine.stdout is not None
        for _ in range(5):  # it writes steadily
            assert engine.stdout.readline() == "wrote\n"
        os.kill(engine.pid, signal.SIGSTOP)
        before = far.calls
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + LEASE * 1.2
        while time.clock_gettime(time.CLOCK_BOOTTIME) < deadline:
            assert far.calls == before
        os.kill(engine.pid, signal.SIGCONT)
        engine.wait(timeout=20)
    finally:
        engine.kill()
        engine.communicate(timeout=20)
    # One write may have been under way when it was stopped; none was begun afterwards.
    assert len(far.calls) <= len(before) + 1
    state = Journal.open(directory, SystemClock())[1]
    assert state.status is RunStatus.STOPPED
    assert state.error is not None
    assert state.error.code == "LEASE-LOST"
