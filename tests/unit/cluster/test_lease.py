"""The cluster's lock: one holder, told by name; taken over only after a silence we measured."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.control import control_namespace_manifest
from installer.cluster.credentials import Grant
from installer.cluster.holder import ANNOTATION_HOLDER, Holder
from installer.cluster.lease import ClusterLease
from installer.cluster.target import ClusterTarget
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import ANNOTATION_OWNER, Manifest
from tests.lab.fixed_credentials import FixedCredentials
from tests.unit.cluster.fake_api import FakeApi, Handler, Reply, Request, fake_api, status
from tests.unit.cluster.quick_clock import START, QuickClock
from tests.unit.cluster.stored_api import StoredApi

PATH = "/apis/coordination.k8s.io/v1/namespaces/mx-install/leases/matrix-install"
NAMESPACE = "/api/v1/namespaces/mx-install"


@dataclass
class Bench:
    store: StoredApi
    api: FakeApi
    client: ApiClient
    clock: QuickClock
    me: Holder

    def lease(self, holder: Holder | None = None) -> ClusterLease:
        return ClusterLease(self.client, install_id="mx", holder=holder or self.me)

    def held_by(self, holder: Holder, *, renewed: float = -3600) -> Manifest:
        """Somebody else's lease, renewed so many seconds before our clock's start."""
        stamp = (START + timedelta(seconds=renewed)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.store.put(NAMESPACE, control_namespace_manifest("mx", "uid-1"))
        return self.store.put(
            PATH,
            {
                "metadata": {
                    "name": "matrix-install",
                    "annotations": {ANNOTATION_HOLDER: holder.text()},
                },
                "spec": {
                    "holderIdentity": holder.identity,
                    "leaseDurationSeconds": 90,
                    "acquireTime": "2026-11-24T01:02:03.000000Z",
                    "renewTime": stamp,
                },
            },
        )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path) as made:
        yield made


@asynccontextmanager
async def bench_in(directory: Path) -> AsyncIterator[Bench]:
    store, clock = StoredApi(), QuickClock()
    async with fake_api(store) as api:
        target = ClusterTarget("t", f"http://127.0.0.1:{api.port}", FixedCredentials(Grant()))
        async with ApiClient(target, clock=clock) as client:
            me = Holder.here(directory, run="run-2", install_uid="uid-1")
            yield Bench(store, api, client, clock, me)


def dead_pid() -> int:
    """A pid that just ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_it_is_made_in_our_namespace_with_who_holds_it(bench: Bench) -> None:
    lease = bench.lease()
    assert not lease.still_held()
    await lease.acquire()
    assert lease.still_held()
    made = bench.store.objects[PATH]
    assert f"pid {os.getpid()} run run-2" in made["spec"]["holderIdentity"]
    namespace = bench.store.objects[NAMESPACE]["metadata"]
    assert namespace["annotations"] == {ANNOTATION_OWNER: "uid-1"}
    assert namespace["labels"]["matrix-install.io/install"] == "mx"
    await lease.release()
    assert PATH not in bench.store.objects
    assert not lease.still_held()


async def test_an_overloaded_api_is_asked_for_it_again(tmp_path: Path) -> None:
    store, refusals = StoredApi(), [429, 429, 503]

    async def handler(request: Request) -> Reply | None:
        if request.method == "POST" and refusals:
            return Reply(refusals.pop(), text="Too many requests, please try again later.")
        return await store(request)

    await _acquired(tmp_path, handler)
    assert not refusals


async def test_a_lease_whose_answer_was_lost_is_found_to_be_ours(tmp_path: Path) -> None:
    store, lost = StoredApi(), [PATH.rpartition("/")[0]]

    async def handler(request: Request) -> Reply | None:
        reply = await store(request)
        if request.method == "POST" and request.path in lost:
            lost.remove(request.path)
            return None
        return reply

    await _acquired(tmp_path, handler)
    assert not lost
    assert store.objects[PATH]["spec"]["leaseTransitions"] == 1


async def _acquired(directory: Path, handler: Handler) -> None:
    clock = QuickClock()
    async with fake_api(handler) as api:
        target = ClusterTarget("t", f"http://127.0.0.1:{api.port}", FixedCredentials(Grant()))
        async with ApiClient(target, clock=clock) as client:
            me = Holder.here(directory, run="run-2", install_uid="uid-1")
            lease = ClusterLease(client, install_id="mx", holder=me)
            await lease.acquire()
            assert lease.still_held()


async def test_of_two_that_come_at_once_one_is_told_about_the_other(bench: Bench) -> None:
    other = replace(bench.me, user="ann", host="ws2", pid=1, boot="another", directory="9:9")
    answers = await asyncio.gather(
        bench.lease().acquire(), bench.lease(other).acquire(), return_exceptions=True
    )
    (refused,) = [answer for answer in answers if answer is not None]
    assert isinstance(refused, InstallError)
    assert refused.code == "LOCKED"
    assert refused.exit_code is ExitCode.LOCKED


async def test_a_holder_that_renewed_just_now_is_named_at_once(bench: Bench) -> None:
    other = replace(bench.me, user="ann", host="ws2", boot="another", directory="9:9")
    bench.held_by(other, renewed=-5)
    with pytest.raises(InstallError) as caught:
        await bench.lease().acquire()
    assert caught.value.code == "LOCKED"
    assert "ann@ws2" in caught.value.cause
    assert "2026-11-24T01:02:03" in caught.value.cause
    assert bench.clock.passed == 0


@pytest.mark.parametrize("renewed", [-3600, +3600])
async def test_a_silent_holder_is_watched_for_a_whole_duration(
    bench: Bench, renewed: float
) -> None:
    bench.held_by(replace(bench.me, boot="another", directory="9:9"), renewed=renewed)
    lease = bench.lease()
    await lease.acquire()
    assert bench.clock.passed >= 120
    assert lease.still_held()
    assert bench.store.objects[PATH]["spec"]["leaseTransitions"] == 1


async def test_a_holder_that_renews_while_watched_is_alive_whatever_its_clock_says(
    bench: Bench,
) -> None:
    other = replace(bench.me, user="ann", boot="another", directory="9:9")
    bench.held_by(other, renewed=-99_999)

    def renews(request: Request) -> None:
        if request.method == "GET" and request.path == PATH and bench.clock.passed > 40:
            bench.held_by(other, renewed=-99_990)

    bench.store.before = renews
    with pytest.raises(InstallError) as caught:
        await bench.lease().acquire()
    assert caught.value.code == "LOCKED"
    assert bench.clock.passed < 60
    assert bench.store.objects[PATH]["spec"]["holderIdentity"] == other.identity


async def test_the_lease_of_our_own_dead_predecessor_is_taken_at_once(bench: Bench) -> None:
    bench.held_by(replace(bench.me, pid=dead_pid(), started="12", run="run-1"), renewed=-1)
    await bench.lease().acquire()
    assert bench.clock.passed == 0
    assert "run run-2" in bench.store.objects[PATH]["spec"]["holderIdentity"]


@pytest.mark.parametrize(
    "change",
    [
        {"boot": "before the reboot"},
        {"directory": "1:2"},
        {"install_uid": "uid-9"},
        {"pid_namespace": "pid:[1]"},
    ],
)
async def test_who_only_looks_like_a_predecessor_is_waited_out(
    bench: Bench, change: dict[str, str]
) -> None:
    gone = replace(bench.me, pid=dead_pid(), started="12", run="run-1")
    bench.held_by(replace(gone, **change))  # type: ignore[arg-type]  # only names of str fields
    await bench.lease().acquire()
    assert bench.clock.passed >= 120


@pytest.fixture
def living() -> Iterator[tuple[int, str]]:
    """Pid and start of a process that runs."""
    with subprocess.Popen(["sleep", "60"]) as process:
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        yield process.pid, stat[19]
        process.kill()


async def test_a_predecessor_that_still_lives_is_not_robbed(
    bench: Bench, living: tuple[int, str]
) -> None:
    pid, started = living
    bench.held_by(replace(bench.me, pid=pid, started=started, run="run-1"), renewed=-1)
    with pytest.raises(InstallError) as caught:
        await bench.lease().acquire()
    assert caught.value.code == "LOCKED"


async def test_a_pid_that_was_given_to_another_process_means_nothing(
    bench: Bench, living: tuple[int, str]
) -> None:
    pid, _ = living
    bench.held_by(replace(bench.me, pid=pid, started="12", run="run-1"), renewed=-1)
    await bench.lease().acquire()
    assert bench.clock.passed == 0


async def test_our_right_ends_before_anybody_can_have_measured_the_duration(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()
    bench.clock.passed += 89.9
    assert lease.still_held()
    bench.clock.passed += 0.1
    assert not lease.still_held()


async def test_the_right_counts_from_when_the_renewal_was_sent(bench: Bench) -> None:
    lease = bench.lease()

    def slow(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("leases"):
            bench.clock.passed += 20

    bench.store.before = slow
    await lease.acquire()
    bench.clock.passed += 70
    assert not lease.still_held()


@asynccontextmanager
async def kept(lease: ClusterLease) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(lease.keep())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, InstallError):
            await task


async def test_it_is_renewed_and_survives_an_api_that_is_away(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()

    def away(request: Request) -> Reply | None:
        gone = request.method == "PUT" and bench.clock.passed < 300
        return status(503, "ServiceUnavailable", "starting") if gone else None

    bench.store.before = away
    async with kept(lease):
        await bench.clock.until(lambda: bench.clock.passed >= 200)
        assert not lease.still_held()
        await bench.clock.until(lease.still_held)
    assert bench.clock.passed >= 300


async def test_a_lease_that_another_took_is_lost_for_good(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()
    bench.held_by(replace(bench.me, user="ann", host="ws2", directory="9:9"))
    async with kept(lease) as task:
        with pytest.raises(InstallError) as caught:
            await task
    assert caught.value.code == "LEASE-LOST"
    assert "ann@ws2" in caught.value.cause
    assert not lease.still_held()


async def test_a_lease_that_somebody_deleted_is_lost(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()
    del bench.store.objects[PATH]
    async with kept(lease) as task:
        with pytest.raises(InstallError, match="LEASE-LOST"):
            await task


async def test_a_label_that_somebody_adds_does_not_cost_the_lease(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()
    bench.store.put(PATH, {**bench.store.objects[PATH]})
    async with kept(lease):
        await bench.clock.until(lambda: len(bench.api.calls("PUT", PATH)) >= 3)
        assert lease.still_held()


async def test_release_leaves_a_lease_that_is_anothers(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()
    bench.held_by(replace(bench.me, user="ann", host="ws2", directory="9:9"))
    await lease.release()
    assert "ann@ws2" in bench.store.objects[PATH]["spec"]["holderIdentity"]


@pytest.mark.parametrize("annotations", [{}, {ANNOTATION_OWNER: "uid-of-another"}])
async def test_a_namespace_of_that_name_that_is_not_ours_is_refused(
    bench: Bench, annotations: dict[str, str]
) -> None:
    bench.store.put(NAMESPACE, {"metadata": {"name": "mx-install", "annotations": annotations}})
    with pytest.raises(InstallError) as caught:
        await bench.lease().acquire()
    assert caught.value.code == "FOREIGN-OWNER"
    assert not bench.api.calls("POST")
    assert "uid-of-another" in caught.value.cause or not annotations


async def test_a_create_whose_answer_was_lost_is_recognised_as_ours(bench: Bench) -> None:
    lease = bench.lease()
    await lease.acquire()
    again = bench.lease()
    await again.acquire()
    assert bench.clock.passed == 0
    assert again.still_held()


def going_namespace(bench: Bench) -> None:
    made = control_namespace_manifest("mx", "uid-1")
    made["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
    bench.store.put(NAMESPACE, made)


async def test_our_namespace_that_is_going_is_waited_out_and_made_anew(bench: Bench) -> None:
    """As after a destroying run that was killed before its end."""
    going_namespace(bench)
    told: list[str] = []
    lease = ClusterLease(bench.client, install_id="mx", holder=bench.me, on_wait=told.append)
    taking = asyncio.create_task(lease.acquire())
    await bench.clock.slept_times(3)
    del bench.store.objects[NAMESPACE]
    await taking
    assert "deletionTimestamp" not in bench.store.objects[NAMESPACE]["metadata"]
    assert PATH in bench.store.objects
    assert "mx-install" in told[0]


async def test_our_namespace_that_does_not_go_is_told_in_the_end(bench: Bench) -> None:
    going_namespace(bench)
    with pytest.raises(InstallError) as refused:
        await bench.lease().acquire()
    assert refused.value.code == "NAMESPACE-TERMINATING"
    assert "kubectl describe namespace mx-install" in refused.value.remedy
    assert bench.clock.passed >= 60
