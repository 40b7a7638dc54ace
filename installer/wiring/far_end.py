"""Brings the far end of a target up where that is ours to do: a rehearsal's simulated cluster."""

import asyncio
from dataclasses import replace
from pathlib import Path

from installer.core.errors import ExitCode, InstallError
from installer.core.sizing import pools_of
from installer.core.sizing_rows import TRIAL, HostPool, SizeRow
from installer.rehearsal.process import (
    FOLDER,
    RehearsalError,
    RehearsalProcess,
    control,
    spawn,
)
from installer.store.directory import InstallDirectory
from installer.wiring.target import Rehearsal, Target

# A rehearsal's cluster outlives views and engines for a while, so that a second look finds it.
IDLE_SECONDS = 120.0

_started: list[RehearsalProcess] = []  # a child must be remembered for as long as it may run


async def reach(directory: InstallDirectory, target: Target, row: SizeRow) -> Target:
    """The target, ready to be connected to, with the faults that it asks for and no others.

    A rehearsal's cluster keeps its state in the directory and ends when nobody uses it for a
    while; it is started again here. A new one has the hosts that ``row`` asks for. Raises
    InstallError REHEARSAL-FAILED.
    """
    if target.rehearsal is None:
        return target
    try:
        kubeconfig = await asyncio.to_thread(_running, directory.root, target.rehearsal, row)
    except RehearsalError as error:
        raise InstallError(
            code="REHEARSAL-FAILED",
            title="The simulated cluster did not start",
            cause=str(error),
            remedy=f"Look at {directory.root / FOLDER / 'server.log'}, or begin in a new --dir.",
            exit_code=ExitCode.INTERNAL,
        ) from error
    return replace(target, kubeconfig=kubeconfig)


def hosts_of(row: SizeRow) -> tuple[str, ...]:
    """The row's hosts as simulated nodes; those of a trial have all roles, so none is named."""
    return tuple(
        f"{pool.role}-{number}:{pool.cpu}:{pool.memory_gb}Gi:{pool.disk_gb}G" + _role(row, pool)
        for pool in pools_of(row)
        for number in range(1, pool.count + 1)
    )


def _role(row: SizeRow, pool: HostPool) -> str:
    return "" if row is TRIAL else f":{pool.role}"


def _running(root: Path, wanted: Rehearsal, row: SizeRow) -> Path:
    folder = root / FOLDER
    try:
        state = control(folder, "GET", "/state")
    except (RehearsalError, FileNotFoundError):
        process = spawn(
            root,
            speed=wanted.speed,
            faults=wanted.faults,
            idle=IDLE_SECONDS,
            nodes=hosts_of(row),
        )
        _started.append(process)
        state = control(folder, "GET", "/state")
    _mend(folder, state, wanted.faults)
    return folder / "kubeconfig"


def _mend(folder: Path, state: dict[str, object], wanted: tuple[str, ...]) -> None:
    """Ends faults that nobody asks for any more: the remedy of a rehearsed failure."""
    active = state.get("faults")
    for fault in active if isinstance(active, list) else []:
        if fault not in wanted:
            control(folder, "DELETE", f"/faults/{fault}")
