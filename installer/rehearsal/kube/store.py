"""The simulated cluster's etcd: objects, one rising version, history, and a log on disk.

Objects are never changed in place: a write stores a new dict. Each write is appended to the log
before anybody hears of it, so that a server killed at any moment comes back with all it answered.
"""

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from installer.rehearsal.kube.problems import Json

Key = tuple[str, str, str]
"""Resource (`plural.group`), namespace (empty for cluster-wide objects), name."""

FIRST_VERSION = 200
HISTORY = 20_000
LOG_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Stored:
    """An object and its JSON bytes, made once and sent many times."""

    obj: Json
    raw: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `before` and `after` are None where the object did not or does not exist."""

    version: int
    key: Key
    before: Stored | None
    after: Stored | None


def encode(value: Json) -> bytes:
    """JSON as the server sends it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Store:
    """All objects of one cluster, in `folder` (None keeps them in memory only)."""

    def __init__(self, folder: Path | None, *, durable: bool = True) -> None:
        self.version = FIRST_VERSION
        self._objects: dict[str, dict[tuple[str, str], Stored]] = {}
        self._latest: dict[str, int] = {}
        self._history: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []
        self._folder = folder if durable else None
        self._log = -1
        self._lines = 0
        if self._folder is not None:
            self._load(self._folder)
        self.oldest = self.version
        """No history is kept from before this version."""

    # Reading

    def get(self, key: Key) -> Stored | None:
        """The object, or None."""
        return self._objects.get(key[0], {}).get(key[1:])

    def items(self, resource: str, namespace: str | None = None) -> list[Stored]:
        """All objects of a resource, by namespace and name."""
        found = self._objects.get(resource, {})
        return [
            found[place] for place in sorted(found) if namespace is None or place[0] == namespace
        ]

    def items_at(self, resource: str, namespace: str | None, version: int) -> list[Stored] | None:
        """The objects as they were at an earlier version; None when that is forgotten."""
        if version < self.oldest:
            return None
        found = dict(self._objects.get(resource, {}))
        for change in reversed(self._history):
            if change.version <= version:
                break
            if change.key[0] != resource:
                continue
            if change.before is None:
                found.pop(change.key[1:], None)
            else:
                found[change.key[1:]] = change.before
        return [
            found[place] for place in sorted(found) if namespace is None or place[0] == namespace
        ]

    def since(self, resource: str, version: int) -> list[Change]:
        """What happened to a resource after a version."""
        found: list[Change] = []
        for change in reversed(self._history):
            if change.version <= version:
                break
            if change.key[0] == resource:
                found.append(change)
        return found[::-1]

    def latest(self, resource: str) -> int:
        """The version of the last write to any object of the resource; 0 when there was none."""
        return self._latest.get(resource, 0)

    def places(self) -> Iterator[Key]:
        """Every key there is."""
        for resource, found in list(self._objects.items()):
            for namespace, name in list(found):
                yield (resource, namespace, name)

    # Writing

    def put(self, key: Key, obj: Json) -> Stored:
        """Store an object under the next version, and tell the listeners."""
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        stored = self._stored({**obj, "metadata": metadata})
        self._commit(key, stored, stored.obj)
        return stored

    def remove(self, key: Key) -> Stored | None:
        """Delete an object; its last form carries the version of the deletion."""
        before = self.get(key)
        if before is None:
            return None
        self.version += 1
        metadata = {**before.obj["metadata"], "resourceVersion": str(self.version)}
        self._commit(key, None, None)
        return self._stored({**before.obj, "metadata": metadata})

    def _commit(self, key: Key, after: Stored | None, logged: Json | None) -> None:
        change = Change(self.version, key, self.get(key), after)
        self._append(key, logged)
        self._place(key, after)
        self._latest[key[0]] = self.version
        self._history.append(change)
        if len(self._history) > HISTORY:
            self.oldest = self._history.popleft().version
        if self._folder is not None and self._lines >= LOG_LINES:
            self._snapshot(self._folder)
        for listener in list(self._listeners):
            listener(change)

    def _stored(self, obj: Json) -> Stored:
        return Stored(obj, encode(obj), int(obj["metadata"]["resourceVersion"]))

    def _place(self, key: Key, stored: Stored | None) -> None:
        found = self._objects.setdefault(key[0], {})
        if stored is None:
            found.pop(key[1:], None)
        else:
            found[key[1:]] = stored

    def compact(self) -> None:
        """Forget all history, as etcd does every five minutes."""
        self._history.clear()
        self.oldest = self.version

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` at each write until the returned function is called."""
        self._listeners.append(listener)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    # On disk

    def _load(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot = folder / "objects.json"
        if snapshot.exists():
            held = json.loads(snapshot.read_bytes())
            self.version = held["version"]
            for resource, namespace, name, obj in held["objects"]:
                self._place((resource, namespace, name), self._stored(obj))
        log = folder / "objects.log"
        if log.exists():
            self._replay(log.read_bytes())
        self._snapshot(folder)

    def _replay(self, log: bytes) -> None:
        for line in log.split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                break  # A torn last line: its write was never answered.
            if entry["version"] <= self.version:
                continue
            self.version = entry["version"]
            obj = entry["object"]
            key = entry["key"]
            self._place((key[0], key[1], key[2]), None if obj is None else self._stored(obj))

    def _snapshot(self, folder: Path) -> None:
        objects = [
            [*key, stored.obj] for key in self.places() if (stored := self.get(key)) is not None
        ]
        replace_file(folder / "objects.json", encode({"version": self.version, "objects": objects}))
        if self._log >= 0:
            os.close(self._log)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._log = os.open(folder / "objects.log", flags, 0o600)
        self._lines = 0

    def _append(self, key: Key, obj: Json | None) -> None:
        if self._log < 0:
            return
        line = encode({"version": self.version, "key": list(key), "object": obj})
        os.write(self._log, line + b"\n")
        self._lines += 1

    def close(self) -> None:
        """Let go of the log."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    fresh.replace(path)
