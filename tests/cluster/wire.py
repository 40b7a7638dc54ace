"""What clients really wrote, as kube-apiserver itself recorded it in its audit log.

The product keeps its own account of what it does; this one owes it nothing.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from tests.lab.api import Api

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# Questions that are asked by POST: they store nothing.
_REVIEWS = ("authorization.k8s.io", "authentication.k8s.io")
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:kube-scheduler", "kwok", "lab"]},
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts"]},
        {"level": "None", "verbs": ["watch"]},
        {"level": "Metadata"},
    ],
}


def audit_flags(folder: Path) -> tuple[str, ...]:
    """Flags of a kube-apiserver that writes `folder`/audit.log; each line before its answer."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(_POLICY))
    return (
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log_of(folder)}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=1000",
    )


def log_of(folder: Path) -> Path:
    return folder / "audit.log"


@dataclass(frozen=True)
class Request:
    """One request that kube-apiserver answered. `target` is as plans name objects."""

    verb: str
    target: str
    status: int
    dry_run: bool
    at: str  # RFC 3339, when it came in
    seconds: float  # until it was answered

    @property
    def writes(self) -> bool:
        return self.verb in _WRITES and not self.dry_run


class MutationLog(Protocol):
    """A far end's own account of what a user asked it to change."""

    def mark(self) -> int:
        """Where it ends now."""
        ...

    def mutations(self, user: str, since: int = 0) -> "list[Request]": ...


class Wire:
    """Reads the log of one server. Positions are byte offsets in it."""

    def __init__(self, log: Path, api: Api) -> None:
        self._log = log
        self._api = api
        self._kinds: dict[tuple[str, str], str] = {}

    def mark(self) -> int:
        """Where the log ends now."""
        return self._log.stat().st_size if self._log.exists() else 0

    def requests(self, user: str, since: int = 0) -> list[Request]:
        """Finished requests of a user from a position on, reviews left out."""
        return [
            self._request(event)
            for event in self._events(since)
            if event["user"]["username"] == user
            and "objectRef" in event
            and event["objectRef"].get("apiGroup") not in _REVIEWS
        ]

    def mutations(self, user: str, since: int = 0) -> list[Request]:
        """Those of them that ask to change something; a dry run does not."""
        return [request for request in self.requests(user, since) if request.writes]

    def _events(self, since: int) -> Iterator[Mapping[str, Any]]:
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def _request(self, event: Mapping[str, Any]) -> Request:
        ref = event["objectRef"]
        kind = self.kind(ref.get("apiGroup", ""), ref["resource"])
        where = ref.get("namespace") if ref["resource"] != "namespaces" else ""
        target = f"{kind}/{where or '-'}/{ref.get('name', '')}"
        status = (event.get("responseStatus") or {}).get("code", 0)
        came, answered = event["requestReceivedTimestamp"], event["stageTimestamp"]
        took = (datetime.fromisoformat(answered) - datetime.fromisoformat(came)).total_seconds()
        dry_run = "dryRun=" in event["requestURI"]
        return Request(event["verb"], target, status, dry_run, came, took)

    def kind(self, group: str, plural: str) -> str:
        """A kind as plans write it, such as `deployment.apps`."""
        if (group, plural) not in self._kinds:
            self._discover()
        kind = self._kinds.get((group, plural), plural)
        return f"{kind}.{group}" if group else kind

    def _discover(self) -> None:
        for group, root in api_roots(self._api):
            for resource in self._api.get(root)["resources"]:
                if "/" not in resource["name"]:
                    self._kinds[group, resource["name"]] = resource["kind"].lower()


def api_roots(api: Api) -> Iterator[tuple[str, str]]:
    """Each API group's name and the path of its preferred version."""
    yield "", "/api/v1"
    for group in api.get("/apis")["groups"]:
        yield group["name"], f"/apis/{group['preferredVersion']['groupVersion']}"


def outside(mutations: Iterable[Request], approved: Collection[str]) -> list[Request]:
    """Mutations of what nobody approved. A target without a name (a POST of which only the path
    was recorded) counts as any approved one of its kind and place."""

    def covered(target: str) -> bool:
        if target.endswith("/"):
            return any(name.startswith(target) for name in approved)
        return target in approved

    return [request for request in mutations if not covered(request.target)]
