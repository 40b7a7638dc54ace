"""What a run is asked to do, and how an engine is told: as arguments, none of them secret."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.core.plan import RunKind


@dataclass(frozen=True)
class Request:
    """``destroy`` counts for an uninstall only: leave nothing, instead of keeping data.

    ``consents``: names that the operator typed, of what may be lost.
    """

    kind: RunKind = RunKind.INSTALL
    destroy: bool = False
    consents: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        if self.kind is RunKind.INSTALL:
            return "install"
        return "uninstall, destroy" if self.destroy else "uninstall, keep data"


def engine_arguments(directory: Path, request: Request) -> list[str]:
    """The command line of an engine's process."""
    arguments = [sys.executable, "-m", "installer.wiring.engine_main", str(directory)]
    arguments += ["--kind", request.kind.value]
    arguments += ["--destroy"] if request.destroy else []
    return [*arguments, *(f"--consent={name}" for name in request.consents)]


def parse_engine_arguments(argv: Sequence[str] | None = None) -> tuple[Path, Request]:
    """The inverse of :func:`engine_arguments`."""
    parser = argparse.ArgumentParser(prog="matrix-install-engine")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kind", choices=[kind.value for kind in RunKind], required=True)
    parser.add_argument("--destroy", action="store_true")
    parser.add_argument("--consent", action="append", default=[])
    args = parser.parse_args(argv)
    return args.directory, Request(RunKind(args.kind), args.destroy, tuple(args.consent))
