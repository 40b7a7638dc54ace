"""Applying on a real API server with real controllers."""

from pathlib import Path

import pytest

from tests.cluster.apply_cases import CASES
from tests.cluster.apply_world import Install
from tests.lab.control_plane import ControlPlane


@pytest.mark.parametrize("name", CASES)
@pytest.mark.timeout(180)
async def test_applying(name: str, control_plane: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = control_plane.admin_kubeconfig(tmp_path / "kubeconfig")
    await CASES[name](Install(kubeconfig, tmp_path / "scratch"))
