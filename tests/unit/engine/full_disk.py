"""``python -m tests.unit.engine.full_disk DIR FAR``: installs on a disk that is full.

DIR must lie on a small file system of its own (a tmpfs in a private mount namespace). For each
number of pages left free: an engine runs until the journal cannot be written, what it did then is
noted, room is made, and a second engine resumes. One JSON line a round.
"""

import asyncio
import json
import shutil
import sys
from pathlib import Path

from tests.unit.engine import mill
from tests.unit.engine.world import FarEnd

PAGE = 4096


def fill(directory: Path, free: int) -> Path:
    """Leaves ``free`` pages, as far as the file system tells."""
    filler = directory / "filler"
    left = shutil.disk_usage(directory).free // PAGE - free
    filler.write_bytes(b"x" * (PAGE * max(0, left)))
    return filler


def main() -> None:
    root, far_root = Path(sys.argv[1]), Path(sys.argv[2])
    for free in range(int(sys.argv[3])):
        directory, far = root / str(free), far_root / str(free)
        directory.mkdir()
        filler = fill(root, free)
        job = {"dir": str(directory), "far": str(far)}
        first = asyncio.run(mill.run(job))
        done_then = len(FarEnd(far).objects())
        filler.unlink()
        second = asyncio.run(mill.run(job))
        calls, objects = FarEnd(far).calls, FarEnd(far).objects()
        shutil.rmtree(directory)
        told = {"free": free, "first": first, "second": second, "done_then": done_then}
        told.update(calls=len(calls), objects=len(objects))
        sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
