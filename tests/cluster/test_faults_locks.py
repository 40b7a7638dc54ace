"""Two engines, two workstations, one install: the second is told, and changes nothing."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from installer.cluster.client import ApiClient
from installer.cluster.kubeconfig import load_target
from installer.cluster.lease import ClusterLease
from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from tests.cluster.installs import REPOSITORY, Line, Operator, Running, operator
from tests.cluster.lease_holder import DURATION, lease_of
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

_NUMBERS = count(1)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def desk(control_plane: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(control_plane, wire, f"locks{next(_NUMBERS):02d}") as made:
        yield made


def at_work(desk: Operator) -> Running:
    """An engine that waits for pods whose image nobody has."""
    desk.write_settings(source={"kind": "registry", "registry": "registry.invalid/mirror"})
    running = desk.begin("--answers", str(desk.answers), "--yes")
    running.until(_waits_for_pods)
    return running


def _waits_for_pods(line: Line) -> bool:
    return line["type"] == "progress" and "objects to be ready" in line["text"]


def test_a_second_engine_is_told_who_works_since_when(desk: Operator) -> None:
    running = at_work(desk)
    pid = desk.engine_pid()
    view = desk.begin("--answers", str(desk.answers), "--yes", view="--plain")
    view.until_text(f"An engine is at work here: process {pid} of ")
    assert ", since 20" in view.out
    view.kill()

    engine = ("-m", "installer.wiring.engine_main", str(desk.directory), "--kind", "install")
    second = subprocess.run(
        [sys.executable, *engine],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=REPOSITORY,
    )
    assert second.returncode == 6
    told = json.loads(second.stderr.splitlines()[-1])["engine-error"]
    assert told["code"] == "LOCKED"
    assert f"process {pid} of " in told["cause"]
    assert "since 20" in told["cause"]
    assert desk.engine_pid() == pid

    assert desk.pause(running).code == 5
    desk.assert_quiet()


def test_another_workstation_is_told_and_writes_nothing(desk: Operator) -> None:
    running = at_work(desk)
    twin = desk.copied("elsewhere")
    ran = twin.resume(code=None)
    assert ran.code == 6, ran.text
    told = ran.events[-1]["data"]["error"] if ran.of("run-stopped") else ran.problem
    assert told["code"] == "LOCKED"
    assert f"pid {desk.engine_pid()} run install" in told["cause"]
    assert "since 20" in told["cause"]
    assert not ran.mutations
    assert desk.pause(running).code == 5
    desk.assert_quiet()


def test_another_install_of_the_same_id_is_foreign(
    desk: Operator, control_plane: ControlPlane, wire: Wire
) -> None:
    desk.install()
    other = Operator(
        control_plane, wire, desk.folder / "other", desk.install_id, user=f"{desk.user}-other"
    )
    ran = other.install(code=4)
    assert ran.problem["code"] == "FOREIGN-OWNER"
    assert desk.install_id in ran.problem["cause"]
    assert not ran.mutations


def test_a_holder_that_slept_past_its_lease_writes_nothing_more(
    control_plane: ControlPlane, wire: Wire, tmp_path: Path
) -> None:
    install_id = f"locks{next(_NUMBERS):02d}"
    sleeper = control_plane.access.certificate_kubeconfig(
        tmp_path / "sleeper", "sleeper", groups=["kubeadm:cluster-admins"]
    )
    mark = wire.mark()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.lease_holder", sleeper, install_id, tmp_path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    with process, process.stdout as out:
        try:
            assert out.readline() == "held\n"
            _await_writes(wire, mark)
            process.send_signal(SIGSTOP)
            woken: list[int] = []

            def wake() -> None:
                woken.append(wire.mark())
                process.send_signal(SIGCONT)

            heir = control_plane.admin_kubeconfig(tmp_path / "heir")
            asyncio.run(_inherit(heir, tmp_path, install_id, wake))
            assert out.read().strip() == "LEASE-LOST"
            late = wire.mutations("sleeper", woken[0])
            assert {r.target for r in late} <= {_lease(install_id)}
            assert {r.status for r in late} <= {409}, "and the lease stays its heir's"
        finally:
            process.kill()
    control_plane.api.delete(f"/api/v1/namespaces/{install_id}-install")


def _lease(install_id: str) -> str:
    return f"lease.coordination.k8s.io/{install_id}-install/matrix-install"


def _await_writes(wire: Wire, mark: int) -> None:
    deadline = time.monotonic() + 30
    while not any("configmap" in r.target for r in wire.mutations("sleeper", mark)):
        assert time.monotonic() < deadline, "nothing was written"
        threading.Event().wait(0.05)


async def _acquired(lease: ClusterLease) -> float:
    """When the attempt that took the lease began. A renewal of a moment ago is a sign of life, for
    which one is sent away at once: one comes again, as an operator would."""
    for _ in range(50):
        began = time.monotonic()
        try:
            await lease.acquire()
        except InstallError as refused:
            if refused.code != "LOCKED":
                raise
            await SystemClock().sleep(0.2)
        else:
            return began
    raise AssertionError("the silent holder was never waited out")


async def _inherit(
    kubeconfig: Path, folder: Path, install_id: str, then: Callable[[], None]
) -> None:
    """Waits the silent holder out, calls `then` and gives the lease up a while later."""
    clock = SystemClock()
    scratch = folder / "scratch"
    scratch.mkdir()
    target = await load_target(kubeconfig, None, scratch, clock=clock)
    async with ApiClient(target, clock=clock) as client:
        lease = lease_of(client, install_id, scratch)
        began = await _acquired(lease)
        assert time.monotonic() - began >= DURATION, "silence was waited out"
        then()
        await clock.sleep(1.0)
        assert lease.still_held()
        await lease.release()
