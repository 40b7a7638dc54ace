"""One kind, always current: a LIST, then a WATCH that goes on from it.

Gates and health read the same informer, so that nothing polls. A broken watch goes on from the
last version seen; a version that is too old (410) means one LIST, with growing pauses if that
happens again before anything was received.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TypeVar

from installer.cluster.client import WATCH_IDLE, ApiClient
from installer.cluster.failures import Action, ApiFailure, WatchExpired
from installer.cluster.watching import WatchEvent
from installer.core.clock import Clock
from installer.core.errors import InstallError
from installer.core.objects import Manifest

T = TypeVar("T")
Key = tuple[str, str]  # namespace, name

PAUSE_BASE = 0.25  # seconds before the first repeat, doubled for each further one
PAUSE_CAP = 10.0
# A server that has just started may refuse what it allows a second later (its own roles are not
# loaded yet), so one refusal is not the last word.
REFUSALS = 4  # in a row; the pauses between them add up to some seconds
# Without an event the server's bookmark comes about once a minute; a silence longer than the
# idle time-out ends in a new watch, so an older picture means that nothing answers.
STALE_AFTER = WATCH_IDLE + 10.0  # seconds


class Informer:
    """The objects of one kind as last seen. Runs between ``start`` and ``stop``."""

    def __init__(
        self,
        client: ApiClient,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        idle_timeout: float = WATCH_IDLE,
        rng: random.Random | None = None,
    ) -> None:
        self.api_version = api_version
        self.kind = kind
        self._client = client
        self._clock: Clock = client.clock
        self._selection: dict[str, str] = {
            "namespace": namespace,
            "labels": labels,
            "fields": fields,
        }
        self._idle_timeout = idle_timeout
        self._rng = rng or random.Random()
        self._objects: dict[Key, Manifest] = {}
        self._version = ""
        self._heard: float | None = None
        self._failure: InstallError | None = None
        self._refusals = 0
        self._pauses = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def objects(self) -> Mapping[Key, Manifest]:
        """By namespace and name; the values are shared and must not be changed."""
        return self._objects

    def get(self, namespace: str, name: str) -> Manifest | None:
        return self._objects.get((namespace, name))

    @property
    def synced(self) -> bool:
        """Whether a LIST has succeeded yet."""
        return self._heard is not None

    @property
    def age(self) -> float | None:
        """Seconds since the API last told anything (list, event, bookmark); None before."""
        return None if self._heard is None else self._clock.monotonic() - self._heard

    @property
    def stale(self) -> bool:
        """Whether the picture may be outdated without our knowing."""
        age = self.age
        return age is None or self._failure is not None or age > STALE_AFTER

    @property
    def failure(self) -> InstallError | None:
        """What keeps it from following now; None while it follows."""
        return self._failure

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"informer {self.kind}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def wait_for(
        self,
        predicate: Callable[[Mapping[Key, Manifest]], T | None],
        within: float,
        *,
        on_change: Callable[[], None] | None = None,
        every: float = 5.0,
    ) -> T:
        """The first true value that ``predicate`` gives of the objects.

        It is asked after the first LIST, at each change, and every ``every`` seconds for rules
        that depend on time; what it raises is raised here. ``on_change`` is called after each
        change that did not yet do. Raises TimeoutError after ``within`` seconds on the client's
        clock, and InstallError where the API keeps refusing for good (no right to list this kind,
        no credentials).
        """
        end = self._clock.monotonic() + within
        while True:
            changed = self._changed
            if self._task is not None and self._task.done():
                self._task.result()
            if self._failure is not None and self._refusals >= REFUSALS:
                raise self._failure
            if self.synced:
                found = predicate(self._objects)
                if found:
                    return found
            left = end - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.kind} did not become as wanted within {within:g} s")
            if await self._changed_within(changed, min(left, every)) and on_change is not None:
                on_change()

    async def _changed_within(self, changed: asyncio.Event, seconds: float) -> bool:
        waits = [
            asyncio.create_task(changed.wait()),
            asyncio.create_task(self._clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return changed.is_set()

    async def _follow(self) -> None:
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                failure: InstallError | None = None
            except WatchExpired:
                self._version = ""
                failure = None
            except InstallError as error:  # ApiFailure, or credentials that cannot be had
                failure = error
            self._failed(failure)
            await self._pause()

    def _failed(self, failure: InstallError | None) -> None:
        self._failure = failure
        passing = isinstance(failure, ApiFailure) and failure.verdict.action is not Action.STOP
        refused = failure is not None and not passing
        self._refusals = self._refusals + 1 if refused else 0
        if failure is not None:
            self._notify()

    async def _pause(self) -> None:
        """Short after a watch that told something or lasted; else longer each time."""
        ceiling = min(PAUSE_CAP, PAUSE_BASE * 2.0 ** min(self._pauses, 10))
        self._pauses += 1
        await self._clock.sleep(self._rng.uniform(ceiling / 2, ceiling))

    async def _list(self) -> None:
        listing = await self._client.list(self.api_version, self.kind, **self._selection, once=True)
        self._objects = {_key(item): item for item in listing.items}
        self._version = listing.resource_version
        self._heard_now()
        self._notify()

    async def _watch(self) -> None:
        started = self._clock.monotonic()
        stream = self._client.watch(
            self.api_version,
            self.kind,
            **self._selection,
            resource_version=self._version,
            idle_timeout=self._idle_timeout,
        )
        async with aclosing(stream):
            async for event in stream:
                self._take(event)
        if self._clock.monotonic() - started >= PAUSE_CAP:
            self._pauses = 0

    def _take(self, event: WatchEvent) -> None:
        self._version = event.resource_version or self._version
        self._pauses = 0
        self._heard_now()
        if event.type == "BOOKMARK":
            return
        key = _key(event.object)
        if event.type == "DELETED":
            self._objects.pop(key, None)
        else:
            self._objects[key] = event.object
        self._notify()

    def _heard_now(self) -> None:
        self._heard = self._clock.monotonic()
        self._failed(None)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Informers:
    """The informers of one client: one for each kind and selection, started when first asked for.

    An async context manager; leaving it stops them all.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._informers: dict[tuple[str, str, str, str], Informer] = {}

    async def __aenter__(self) -> "Informers":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for informer in self._informers.values():
            await informer.stop()
        self._informers.clear()

    def of(self, api_version: str, kind: str, *, namespace: str = "", labels: str = "") -> Informer:
        """The running informer of a kind; it may not have listed yet (``synced``)."""
        key = (api_version, kind, namespace, labels)
        found = self._informers.get(key)
        if found is None:
            found = Informer(self._client, api_version, kind, namespace=namespace, labels=labels)
            found.start()
            self._informers[key] = found
        return found


def _key(item: Manifest) -> Key:
    meta = item["metadata"]
    return meta.get("namespace", ""), meta["name"]
