"""Apply order: waves by kind within a component, components after what they need."""

from collections.abc import Mapping, Sequence

from installer.core.objects import Gate, Manifest, ObjectRef, ObjectWave
from manifests.component import Component
from manifests.derive.kinds import STAGE_TITLES, Stage, kind_of


def sort_key(manifest: Manifest) -> tuple[int, int, str, str]:
    kind = kind_of(manifest["apiVersion"], manifest["kind"])
    meta = manifest["metadata"]
    return kind.stage, kind.order, meta.get("namespace", ""), meta["name"]


def waves(
    components: Sequence[tuple[Component, Sequence[Manifest], Sequence[Gate]]],
) -> tuple[ObjectWave, ...]:
    """Waves of all components; those given are in an order that follows their needs."""
    last: dict[str, tuple[str, ...]] = {}
    result: list[ObjectWave] = []
    for component, objects, gates in components:
        before = tuple(dict.fromkeys(w for name in component.needs for w in last[name]))
        for stage, members in _stages(objects).items():
            refs = {ObjectRef.of(manifest) for manifest in members}
            wave = ObjectWave(
                id=f"{component.name}/{stage.value}-{STAGE_TITLES[stage].replace(' ', '-')}",
                component=component.name,
                title=f"{component.title}: {STAGE_TITLES[stage]}",
                phase=component.phase.value,
                needs=before,
                objects=tuple(members),
                gates=tuple(gate for gate in gates if gate.ref in refs),
                settings_read=("scale", f"components.{component.name}"),
            )
            result.append(wave)
            before = (wave.id,)
        last[component.name] = before
    return tuple(result)


def _stages(objects: Sequence[Manifest]) -> Mapping[Stage, list[Manifest]]:
    stages: dict[Stage, list[Manifest]] = {}
    for manifest in sorted(objects, key=sort_key):
        stage = kind_of(manifest["apiVersion"], manifest["kind"]).stage
        stages.setdefault(stage, []).append(manifest)
    return stages
