"""``make bench``: prints the figures as ratios and writes them to ``docs/benchmarks.md``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import applying, journal
from tests.bench.measuring import Cost

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
# First word of a row -> highest ratio of wall and of CPU that is meant to hold.
WANTED = {"create": (0.30, 1.2), "apply": (0.10, 1.2)}
PEAK_MIB = 100


def page(applied: Sequence[applying.Row], kept: journal.JournalFigures, rounds: int) -> str:
    """The whole page in Markdown."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"`make bench`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
            f"{memory:.0f} GiB. Peer and ours in turn, in one run; whole processes, start-up "
            f"included; medians of {rounds} rounds, highest memory of all.",
            "",
            "## 300 objects in 12 kinds and 6 namespaces",
            "",
            "On one real API server with controllers. The peer is `kubectl apply --server-side` "
            "of the server's own version. Ours also writes its inventory. The far rows go through "
            "a proxy that adds to each round trip.",
            "",
            "| | kubectl: wall s, CPU s, MiB | ours: wall s, CPU s, MiB | wall, CPU ratio "
            "| of it in a running engine: wall s, CPU s | wall, CPU ratio | meant to be |",
            "|---|---|---|---|---|---|---|",
            *map(_row, applied),
            "",
            f"Memory is meant to stay below {PEAK_MIB} MiB.",
            "",
            "## Journal",
            "",
            "Record by record in turn on one disk. The peer is SQLite with WAL and "
            "synchronous=FULL, which survives a power cut too.",
            "",
            "| | ours | SQLite | meant to be |",
            "|---|---|---|---|",
            f"| one durable append, ms: mean, median, p99 | {_appends(kept.journal)} "
            f"| {_appends(kept.sqlite)} | not above the peer |",
            f"| read and fold {journal.REPLAYED:,} lines, CPU ms | {kept.replay * 1000:.0f} | "
            "| 150 or less |",
            "",
        ]
    )


def _row(row: applying.Row) -> str:
    wall, cpu = WANTED[row.what.partition(" ")[0]]
    within = f"{row.within.wall:.2f}, {row.within.cpu:.2f}"
    return (
        f"| {row.what} | {_cells(row.peer)} | {_cells(row.ours)} | {_ratios(row.ours, row.peer)} "
        f"| {within} | {_ratios(row.within, row.peer)} | {wall:.2f}, {cpu:.1f} |"
    )


def _ratios(ours: Cost, peer: Cost) -> str:
    return f"{ours.wall / peer.wall:.2f}, {ours.cpu / peer.cpu:.2f}"


def _appends(seconds: journal.Appends) -> str:
    figures = (seconds.mean, seconds.median, seconds.p99)
    return ", ".join(f"{figure * 1000:.2f}" for figure in figures)


def _cells(cost: Cost) -> str:
    return f"{cost.wall:.2f}, {cost.cpu:.2f}, {cost.peak_mib:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="do not write the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        text = page(applying.run(root, options.rounds), journal.measure(root), options.rounds)
    sys.stdout.write(text)
    if not options.keep:
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
