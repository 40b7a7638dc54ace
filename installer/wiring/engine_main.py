"""The engine's process: opens the directory with what it is told over its socket, and works.

Started by :meth:`installer.session.Session.start`; not meant to be called by hand.
"""

from pathlib import Path

from installer.core.clock import Clock, SystemClock
from installer.core.protect import protect_process
from installer.engine.process import run_engine
from installer.engine.work import Build, EngineWork
from installer.store.directory import InstallDirectory
from installer.wiring.compose import compose
from installer.wiring.far_end import reach
from installer.wiring.link import ENGINE_PATIENCE, open_link
from installer.wiring.target import required
from installer.wiring.work import Request, parse_engine_arguments
from installer.wiring.workspace import open_workspace, seal_key


def build_for(directory: InstallDirectory, request: Request, clock: Clock) -> Build:
    """What the engine calls with the passphrase; a wrong one raises and may be tried again."""

    async def build(unlocking: str) -> EngineWork:
        workspace = await open_workspace(directory, seal_key(unlocking), clock)
        target = await reach(directory, required(directory.root), workspace.settings.size_row)
        link = await open_link(target, workspace, clock, patience=ENGINE_PATIENCE)
        try:
            made = await compose(link, workspace, target, request)
        except BaseException:
            await link.close()
            raise
        return EngineWork(made.plan, made.steps, made.lock, link.close)

    return build


def main() -> int:
    """Exit code of the run."""
    root, request = parse_engine_arguments()
    protect_process()
    directory = InstallDirectory(Path(root))
    return run_engine(root, build_for(directory, request, SystemClock()))


if __name__ == "__main__":
    raise SystemExit(main())
