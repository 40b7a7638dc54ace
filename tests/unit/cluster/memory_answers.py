"""What the cluster in memory answers, records and is told to fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.cluster.failures import ApiFailure
from installer.core.objects import Manifest


@dataclass(frozen=True)
class Listing:
    items: tuple[Manifest, ...]
    resource_version: str


@dataclass(frozen=True)
class Found:
    namespaced: bool = True


@dataclass(frozen=True)
class Raw:
    status: int
    body: bytes


@dataclass(frozen=True)
class Call:
    verb: str
    key: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Rule:
    """Fails (or alters the cluster before) the next ``times`` calls of this verb on this key."""

    verb: str
    key: str
    act: Callable[[], ApiFailure | None]
    times: int = 1


class Killed(BaseException):
    """The process is gone: nothing that it would do next is done."""


@dataclass
class Kill:
    """Kills the process right before write ``number`` is sent, or before anything after it."""

    number: int
    before: bool
    _writes: int = 0
    _dead: bool = False

    def at_call(self, verb: str) -> None:
        if self._dead:
            raise Killed
        if verb not in ("apply", "create", "replace", "delete", "patch"):
            return
        self._writes += 1
        if self._writes == self.number:
            self._dead = True
            if self.before:
                raise Killed
