"""Small waves of objects, applied as a first and as a later run."""

from typing import Any

from installer.cluster.apply import WaveResult, apply_wave
from installer.cluster.handle import Consents
from installer.core.objects import Manifest, ObjectWave
from tests.unit.cluster.world import World, ours


def wave(*objects: Manifest, wave_id: str = "app/1") -> ObjectWave:
    return ObjectWave(wave_id, "app", "the app", "Main", (), objects)


def namespace(name: str = "mx-app") -> Manifest:
    return ours("v1", "Namespace", name, "")


def config(name: str = "settings", **data: str) -> Manifest:
    return ours("v1", "ConfigMap", name, data=data or {"a": "1"})


def deployment(name: str = "web", **spec: Any) -> Manifest:
    return ours("apps/v1", "Deployment", name, spec={"replicas": 2, **spec})


async def install(at: World, *objects: Manifest) -> None:
    await apply_wave(at.handle, at.ctx, wave(namespace(), wave_id="ns"), [namespace()])
    await apply_wave(at.handle, at.ctx, wave(*objects), list(objects))


async def rerun(at: World, *objects: Manifest, consents: Consents | None = None) -> WaveResult:
    handle = at.again(consents)
    return await apply_wave(handle, at.ctx, wave(*objects), list(objects))
