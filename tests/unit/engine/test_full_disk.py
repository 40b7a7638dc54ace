"""A full disk on a real file system: stop before acting, end cleanly, resume to the same end."""

import json
import os
import subprocess
import sys
from pathlib import Path

from installer.core.errors import ExitCode
from tests.unit.engine.world import SHAPE

ROOT = Path(__file__).parents[3]
ROUNDS = 8  # pages left free; the whole journal of this run takes fewer
MOUNT = """
mount -t tmpfs -o size=256k tmpfs "$1" &&
exec "$2" -m tests.unit.engine.full_disk "$1" "$3" "$4"
"""


def test_a_full_disk_stops_the_engine_before_it_acts(tmp_path: Path) -> None:
    small, far = tmp_path / "small", tmp_path / "far"
    small.mkdir()
    far.mkdir()
    # The mount is in a namespace of its own and goes with the process, however that ends.
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    argv = ["sh", "-c", MOUNT, "sh", str(small), sys.executable, str(far), str(ROUNDS)]
    done = subprocess.run(
        [*unshare, *argv], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == ROUNDS
    stopped = [told for told in rounds if told["first"] == ExitCode.JOURNAL]
    assert len(stopped) >= 3  # at the first record, and later
    assert stopped[0]["done_then"] == 0
    assert any(0 < told["done_then"] < 2 * len(SHAPE) for told in stopped)
    assert rounds[-1]["first"] == ExitCode.OK
    for told in rounds:
        assert told["first"] in (ExitCode.JOURNAL, ExitCode.OK)
        assert told["second"] == ExitCode.OK
        # The same end, and nothing written twice.
        assert told["objects"] == told["calls"] == 2 * len(SHAPE)
