"""The lock of one install in its cluster: a Lease that only one engine holds at a time.

Safe without trusting any clock but our own: what another wrote as a time is shown to people and
decides nothing. A holder counts as gone when its lease did not change during a whole lease
duration that *we* measured; our own right ends, on CLOCK_BOOTTIME, before anybody else could have
measured that, with room for a write that is still under way.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from installer.cluster.client import WRITE_TIMEOUT, ApiClient
from installer.cluster.concurrency import RetryBudget
from installer.cluster.control import (
    control_labels,
    control_namespace,
    ensure_control_namespace,
)
from installer.cluster.failures import ApiFailure, FailureKind
from installer.cluster.holder import ANNOTATION_HOLDER, Holder
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import ANNOTATION_OWNER, Manifest, ObjectRef

LEASE = "matrix-install"
# Our own right ends WRITE_TIMEOUT before that: an API server may be away for more than a minute (a
# control plane that restarts) without costing the lease.
DURATION = 120.0  # seconds
RENEW_EVERY = 10.0  # seconds
RENEW_TIMEOUT = 10.0  # seconds; a renewal that hangs must not keep the next from being sent
RETRY_RENEWAL = 2.0  # seconds after a renewal that failed
OBSERVE_EVERY = 3.0  # seconds between two looks at another's lease
PATIENCE = 120.0  # seconds for which acquiring is tried again while the API does not take it
_MICROTIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def lease_ref(install_id: str) -> ObjectRef:
    return ObjectRef("coordination.k8s.io/v1", "Lease", control_namespace(install_id), LEASE)


class ClusterLease:
    """Implements ``core.step.FarEndLock``. The caller holds the install directory's own lock.

    ``on_wait`` is told in words while a silent holder is being watched.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        install_id: str,
        holder: Holder,
        duration: float = DURATION,
        renew_every: float = RENEW_EVERY,
        write_reserve: float = WRITE_TIMEOUT,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        if renew_every >= duration - write_reserve:
            raise ValueError("a lease must be renewed before our right to it ends")
        self._client = client
        self._clock = client.clock
        self._install_id = install_id
        self._holder = holder
        self._duration = duration
        self._renew_every = renew_every
        self._reserve = write_reserve
        self._on_wait = on_wait or (lambda _: None)
        self._ref = lease_ref(install_id)
        self._lease: Manifest | None = None  # as we last wrote it
        self._deadline = float("-inf")  # on the boot clock

    async def acquire(self) -> None:
        """Raises InstallError LOCKED, FOREIGN-OWNER; ApiFailure.

        What fails for a passing reason is tried again as a whole: a lease of ours whose answer
        was lost is then found and taken, as we are our own heir.
        """
        budget = RetryBudget(self._clock, seconds=PATIENCE)
        await budget.run(self._acquire, on_wait=lambda failure, _: self._on_wait(failure.cause))

    async def _acquire(self) -> None:
        await ensure_control_namespace(
            self._client, self._install_id, self._holder.install_uid, self._on_wait
        )
        found = await self._client.get(self._ref)
        if found is None:
            await self._create()
        elif self._may_take(found):
            await self._take(found)
        else:
            silent = await self._outwait(found)
            await (self._create() if silent is None else self._take(silent))

    def still_held(self) -> bool:
        return self._clock.boottime() < self._deadline

    async def keep(self) -> None:
        """Renews until cancelled. Raises InstallError LEASE-LOST when another took the lease.

        While the API cannot be reached it goes on trying; our right runs out meanwhile
        (``still_held``) and comes back with the first renewal, if nobody took the lease.
        """
        while True:
            await self._clock.sleep(self._renew_every)
            while not await self._renewed():
                await self._clock.sleep(min(RETRY_RENEWAL, self._renew_every))

    async def release(self) -> None:
        """Gives the lease up; nothing if it is not ours any more. Raises ApiFailure."""
        lease, self._lease = self._lease, None
        self._deadline = float("-inf")
        if lease is None:
            return
        meta = lease["metadata"]
        try:
            await self._client.delete(
                self._ref, uid=meta["uid"], resource_version=meta["resourceVersion"]
            )
        except ApiFailure as failure:
            if failure.kind is not FailureKind.VERSION_CONFLICT:
                raise

    async def _create(self) -> None:
        sent = self._clock.boottime()
        try:
            self._lease = await self._client.create(self._manifest({}, transitions=0))
        except ApiFailure as failure:
            if failure.kind is not FailureKind.ALREADY_EXISTS:
                raise
            await self._refuse()
        self._held_since(sent)

    def _may_take(self, found: Manifest) -> bool:
        """Whether nobody holds it, or one whose heir we certainly are."""
        if not _spec(found).get("holderIdentity"):
            return True
        other = _holder(found)
        return other is not None and other.is_predecessor_of(self._holder)

    async def _take(self, found: Manifest) -> None:
        sent = self._clock.boottime()
        transitions = int(_spec(found).get("leaseTransitions") or 0) + 1
        try:
            self._lease = await self._client.replace(
                self._manifest(found["metadata"], transitions=transitions)
            )
        except ApiFailure as failure:
            if failure.kind not in (FailureKind.VERSION_CONFLICT, FailureKind.NOT_FOUND):
                raise
            await self._refuse()
        self._held_since(sent)

    async def _outwait(self, found: Manifest) -> Manifest | None:
        """The lease after it did not change for its whole duration; None if it was given up.

        Raises InstallError LOCKED as soon as it changes, or at once if it was renewed just now.
        """
        if self._renewed_just_now(found):
            raise self._locked(found)
        wait = max(self._duration, float(_spec(found).get("leaseDurationSeconds") or 0))
        started = self._clock.monotonic()
        while True:
            left = started + wait - self._clock.monotonic()
            self._on_wait(
                f"{_spec(found).get('holderIdentity')} holds the cluster's lease and may be gone; "
                f"it is taken over if it stays silent for another {max(0, round(left))} s"
            )
            if left <= 0:
                return found
            await self._clock.sleep(min(OBSERVE_EVERY, left))
            now = await self._client.get(self._ref)
            if now is None:
                return None
            if _version(now) != _version(found):
                raise self._locked(now)

    def _renewed_just_now(self, found: Manifest) -> bool:
        """A hint by wall clocks, used only to refuse sooner: refusing is always safe."""
        renewed = _time(_spec(found).get("renewTime"))
        if renewed is None:
            return False
        return abs((self._clock.now() - renewed).total_seconds()) < 1.5 * self._renew_every

    async def _renewed(self) -> bool:
        lease = self._lease
        if lease is None:
            raise self._lost("it was released")
        sent = self._clock.boottime()
        spec = {**_spec(lease), "renewTime": self._stamp()}
        try:
            self._lease = await self._client.replace({**lease, "spec": spec}, within=RENEW_TIMEOUT)
        except ApiFailure as failure:
            if failure.kind in (FailureKind.VERSION_CONFLICT, FailureKind.NOT_FOUND):
                await self._look_again()
            return False
        except InstallError:
            return False  # an exec plugin that gives no credentials now may do so later
        self._held_since(sent)
        return True

    async def _look_again(self) -> None:
        """After a renewal that met another version: ours with something added, or another's."""
        try:
            found = await self._client.get(self._ref)
        except InstallError:
            return
        if found is None:
            raise self._lost("somebody deleted it")
        if _holder(found) != self._holder:
            raise self._lost(f"{_spec(found).get('holderIdentity') or 'nobody'} holds it now")
        self._lease = found

    def _held_since(self, sent: float) -> None:
        # Others measure a whole duration from when they first see this renewal, which is after
        # we sent it; a write that we begin at the last moment has the reserve to end in.
        self._deadline = sent + self._duration - self._reserve

    async def _refuse(self) -> None:
        found = await self._client.get(self._ref)
        raise self._locked(found or {})

    def _manifest(self, old: dict[str, Any], *, transitions: int) -> Manifest:
        now = self._stamp()
        meta: dict[str, Any] = {
            "name": LEASE,
            "namespace": self._ref.namespace,
            "labels": control_labels(self._install_id),
            "annotations": {
                ANNOTATION_OWNER: self._holder.install_uid,
                ANNOTATION_HOLDER: self._holder.text(),
            },
        }
        if old:
            meta["resourceVersion"] = old["resourceVersion"]
            meta["uid"] = old["uid"]
        return {
            "apiVersion": self._ref.api_version,
            "kind": "Lease",
            "metadata": meta,
            "spec": {
                "holderIdentity": self._holder.identity,
                "leaseDurationSeconds": max(1, round(self._duration)),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    def _stamp(self) -> str:
        return self._clock.now().astimezone(UTC).strftime(_MICROTIME)

    def _locked(self, found: Manifest) -> InstallError:
        spec = _spec(found)
        who = spec.get("holderIdentity") or "another run, which has ended since"
        since = spec.get("acquireTime") or "an unknown time"
        return InstallError(
            code="LOCKED",
            title="Another run is at work on this cluster",
            cause=f"{who} holds the lease {self._ref.namespace}/{LEASE} since {since}, "
            f"renewed {spec.get('renewTime') or 'never'}.",
            remedy="Wait until it has ended, or stop it where it runs. If it is gone for good, its "
            f"lease is taken over after {round(self._duration)} s of silence: try again then.",
            retryable=True,
            exit_code=ExitCode.LOCKED,
        )

    def _lost(self, why: str) -> InstallError:
        self._deadline = float("-inf")
        self._lease = None
        return InstallError(
            code="LEASE-LOST",
            title="This run no longer holds the cluster's lease",
            cause=f"The lease {self._ref.namespace}/{LEASE} is not ours any more: {why}.",
            remedy="Nothing more is changed. See what the other run does, then resume.",
            retryable=True,
            exit_code=ExitCode.LOCKED,
        )


def _spec(lease: Manifest) -> dict[str, Any]:
    return lease.get("spec") or {}


def _version(lease: Manifest) -> str:
    return str(lease["metadata"]["resourceVersion"])


def _holder(lease: Manifest) -> Holder | None:
    return Holder.parse((lease["metadata"].get("annotations") or {}).get(ANNOTATION_HOLDER, ""))


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
