"""The same operator before the rehearsal's simulated API server, and its record of writes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.rehearsal.process import FOLDER, RehearsalProcess, spawn
from tests.cluster.installs import Operator
from tests.cluster.wire import Request, Wire

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
SPEED = 20.0


class RehearsalWire:
    """Reads the simulated server's own record of mutations; positions are byte offsets.

    The names of kinds are those of `real`, which knows every kind that we use.
    """

    def __init__(self, folder: Path, real: Wire) -> None:
        self._log = folder / "wire.jsonl"
        self._real = real

    def mark(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def mutations(self, user: str, since: int = 0) -> list[Request]:
        """Of everybody: a rehearsal has one user."""
        with self._log.open("rb") as log:
            log.seek(since)
            found = [self._request(json.loads(line)) for line in log]
        return [request for request in found if request is not None]

    def _request(self, entry: dict[str, Any]) -> Request | None:
        """None for what stores nothing."""
        parts = entry["path"].strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        rest = parts[3:] if parts[0] == "apis" else parts[2:]
        if group.startswith("auth") or "dryRun" in entry["query"]:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        name = rest[1] if len(rest) > 1 else ""
        kind = self._real.kind(group, rest[0])
        target = f"{kind}/{namespace or '-'}/{name}"
        return Request(_VERBS[entry["method"]], target, int(entry["status"]), False, "", 0.0)


@dataclass
class RehearsedOperator(Operator):
    """`cluster` stays unused: the far end is a simulated server of our own."""

    nodes: tuple[str, ...] = ()
    server: RehearsalProcess = field(init=False)

    def make_kubeconfig(self) -> Path:
        self.server = spawn(self.folder, speed=SPEED, nodes=self.nodes)
        assert isinstance(self.wire, Wire)
        self.wire = RehearsalWire(self.folder / FOLDER, self.wire)
        return self.server.kubeconfig

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)
        self.server.stop()
