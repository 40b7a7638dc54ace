"""Settings and workspaces for the tests of the wiring."""

from pathlib import Path

from installer.core.clock import SystemClock
from installer.core.settings import Settings
from installer.store.directory import InstallDirectory
from installer.wiring import workspace
from installer.wiring.workspace import Workspace

EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name: str = "small") -> Settings:
    return workspace.read_settings(EXAMPLES / f"{name}.yaml").settings


def opened(folder: Path, settings: Settings | None = None) -> Workspace:
    """A workspace with made secrets that are nowhere on disk."""
    directory = InstallDirectory(folder)
    return workspace.momentary(directory, settings or example(), SystemClock())
