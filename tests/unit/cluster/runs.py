"""Whole installs of two waves, run step by step as the engine does."""

from collections.abc import Iterable, Sequence

from installer.cluster.handle import ClusterHandle, Consents
from installer.cluster.inventory import standing_targets
from installer.cluster.records import Record
from installer.cluster.steps import install_steps
from installer.cluster.survey import Survey, survey
from installer.core.objects import Manifest, ObjectWave
from installer.core.step import Finding, Step
from tests.unit.cluster.waves import namespace
from tests.unit.cluster.world import INSTALL, Context, World, world


def the_waves(*objects: Manifest) -> tuple[ObjectWave, ...]:
    first = ObjectWave("ns", "namespaces", "Namespaces", "Main", (), (namespace(),))
    return (first, ObjectWave("app/1", "app", "The app", "Main", ("ns",), objects))


def steps_of(
    handle: ClusterHandle, waves: Sequence[ObjectWave], prune: Sequence[Record] = ()
) -> tuple[Step, ...]:
    objects = {wave.id: wave.objects for wave in waves}
    return install_steps(waves, lambda wave: objects[wave], handle, prune=prune)


async def run(at: World, steps: Iterable[Step]) -> list[str]:
    """As the engine does: probe, apply what is not the same, verify; only planned targets."""
    changed: list[str] = []
    for step in steps:
        allowed = (*step.planned.targets, *standing_targets(INSTALL))
        at.ctx = Context(at.clock, allowed)
        if (await step.probe(at.ctx)).finding is not Finding.SAME:
            changed += (await step.apply(at.ctx)).changed
        await step.verify(at.ctx)
    return changed


async def settle(at: World) -> None:
    at.cluster.defaults = _played
    for manifest in list(at.cluster.objects.values()):
        _played(manifest)


def _played(manifest: Manifest) -> None:
    if manifest["kind"] == "Namespace":
        manifest["status"] = {"phase": "Active"}


async def installed(*objects: Manifest) -> World:
    at = world()
    await settle(at)
    await run(at, steps_of(at.handle, the_waves(*objects)))
    return at


async def surveyed(at: World, *objects: Manifest, consents: Consents | None = None) -> Survey:
    return await survey(at.again(consents), the_waves(*objects))
