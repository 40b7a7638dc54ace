"""A rehearsal's cluster: sized like the real one, brought up again, healed of old faults."""

from pathlib import Path

import pytest

from installer.core.errors import InstallError
from installer.core.sizing import Fit, HostFacts, judge
from installer.core.sizing_rows import ROWS, TRIAL, Role, SizeRow
from installer.rehearsal.process import FOLDER, RehearsalError, RehearsalProcess, control
from installer.store.directory import InstallDirectory
from installer.wiring import far_end
from installer.wiring.far_end import hosts_of, reach
from installer.wiring.target import Rehearsal, Target


def fact(node: str) -> HostFacts:
    name, cpu, memory, disk, *role = node.split(":")
    gigabytes = int(memory.removesuffix("Gi")) * 1024**3 / 1000**3
    return HostFacts(name, tuple(map(Role, role)), int(cpu), gigabytes, int(disk.removesuffix("G")))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_simulated_hosts_fit_their_row(row: SizeRow) -> None:
    facts = [fact(node) for node in hosts_of(row)]
    assert judge(row, facts).fit is Fit.FITS
    assert len({host.name for host in facts}) == len(facts)
    if row is not TRIAL:
        assert judge(row, facts[1:]).fit is Fit.SHORT


async def test_a_real_target_is_left_alone(tmp_path: Path) -> None:
    target = Target(tmp_path / "kubeconfig", "prod")
    assert await reach(InstallDirectory(tmp_path), target, TRIAL) == target
    assert far_end._started == []


async def test_a_rehearsal_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> RehearsalProcess:
        raise RehearsalError("no port is free")

    monkeypatch.setattr(far_end, "spawn", broken)
    with pytest.raises(InstallError) as failed:
        await reach(InstallDirectory(tmp_path), Target(Path(), rehearsal=Rehearsal()), TRIAL)
    assert failed.value.code == "REHEARSAL-FAILED"
    assert "no port is free" in failed.value.cause
    assert "server.log" in failed.value.remedy


async def test_faults_that_nobody_asks_for_any_more_are_mended(tmp_path: Path) -> None:
    directory = InstallDirectory(tmp_path)
    wanted = Rehearsal(10_000, ("node-lost", "webhook-down"))
    try:
        reached = await reach(directory, Target(Path(), rehearsal=wanted), TRIAL)
        folder = tmp_path / FOLDER
        assert reached.kubeconfig == folder / "kubeconfig"
        assert set(active(folder)) == {"node-lost", "webhook-down"}
        calm = Rehearsal(10_000, ("node-lost",))
        await reach(directory, Target(Path(), rehearsal=calm), TRIAL)
        assert active(folder) == ["node-lost"]
    finally:
        for process in far_end._started:
            process.kill()
        far_end._started.clear()


def active(folder: Path) -> list[str]:
    faults = control(folder, "GET", "/state")["faults"]
    assert isinstance(faults, list)
    return faults
