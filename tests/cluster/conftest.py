"""A real control plane for the tests of this folder."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.wire import Wire, audit_flags, log_of
from tests.lab.builds import programs
from tests.lab.control_plane import ControlPlane
from tests.lab.nodes import NodeShape

_HERE = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds before the first test, whose time limit is not meant for a compiler."""
    ours = any(item.path.is_relative_to(_HERE) for item in session.items)
    if ours and not session.config.option.collectonly:
        programs()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One cluster for all tests: three roomy nodes.

    For tests that stay within their own namespace and break nothing that others see.
    """
    shapes = [NodeShape(count=3, cpu="64", memory="256Gi", disk="1000Gi")]
    folder = tmp_path_factory.mktemp("control-plane")
    with ControlPlane(folder, nodes=shapes, apiserver_flags=audit_flags(folder)) as shared:
        yield shared


@pytest.fixture(scope="session")
def wire(control_plane: ControlPlane) -> Wire:
    """What was written to the shared cluster, and by whom."""
    return Wire(log_of(control_plane.directory), control_plane.api)


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, Wire]]:
    """A cluster of three etcd members for tests that break things; each mends what it broke."""
    folder = tmp_path_factory.mktemp("fragile-control-plane")
    shapes = [NodeShape(count=3, cpu="64", memory="256Gi", disk="1000Gi")]
    flags = audit_flags(folder)
    with ControlPlane(folder, nodes=shapes, etcd_members=3, apiserver_flags=flags) as cluster:
        yield cluster, Wire(log_of(folder), cluster.api)


@pytest.fixture
def private_control_plane(tmp_path: Path) -> Iterator[Callable[..., ControlPlane]]:
    """Starts clusters of one's own, with ControlPlane's arguments; ends them after the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> ControlPlane:
            directory = tmp_path / f"control-plane-{uuid.uuid4().hex[:8]}"
            return stack.enter_context(ControlPlane(directory, **options))

        yield start


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace of the shared cluster; removed, without waiting, after the test."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    control_plane.api.apply(manifest)
    # kube-controller-manager makes it a moment later; pods made before then are refused.
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    control_plane.api.wait_for(account, lambda seen: seen is not None)
    yield name
    control_plane.api.delete(f"/api/v1/namespaces/{name}")
