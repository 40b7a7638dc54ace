"""What a run is asked to do: told to an engine as arguments (none of them secret), and kept in the
directory, so that a resume is asked for the same."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.core.plan import RunKind
from installer.store.atomic import write_atomically

FILE_NAME = "request.json"


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


def keep(directory: Path, request: Request) -> None:
    """Writes the request beside the settings, atomically, 0600."""
    data = {
        "kind": request.kind.value,
        "destroy": request.destroy,
        "consents": list(request.consents),
    }
    write_atomically(directory / FILE_NAME, json.dumps(data, indent=1).encode() + b"\n")


def kept(directory: Path) -> Request | None:
    """The request of the last run that was started here; None when none can be read."""
    try:
        data = json.loads((directory / FILE_NAME).read_bytes())
        return Request(RunKind(data["kind"]), bool(data["destroy"]), tuple(data["consents"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
