"""What the installer must be allowed to do, by the kinds that it writes."""

from collections.abc import Sequence

from installer.core.objects import ObjectWave
from manifests.component import Component, Right
from manifests.derive.kinds import kind_of

# Server-side apply is a PATCH, which also needs "create" for what is not there yet.
WRITE = ("create", "delete", "get", "list", "patch", "watch")
READ = ("get", "list", "watch")
_TO_EXPLAIN = (
    ("", "pods", READ),
    ("", "pods/log", ("get",)),
    ("", "events", READ),
    ("apps", "replicasets", READ),
)


def rights(waves: Sequence[ObjectWave], components: Sequence[Component]) -> tuple[Right, ...]:
    """Sorted and without repetition: kinds by namespace, then what components declare beside."""
    found: dict[tuple[str, str, str], Right] = {}
    namespaces: set[str] = set()
    for wave in waves:
        for manifest in wave.objects:
            kind = kind_of(manifest["apiVersion"], manifest["kind"])
            namespace = manifest["metadata"].get("namespace", "") if kind.namespaced else ""
            namespaces |= {namespace} if namespace else set()
            key = (namespace, kind.group, kind.plural)
            why = f"{kind.kind} of {wave.component}"
            found.setdefault(key, Right(WRITE, kind.group, kind.plural, namespace, why))
    for namespace in namespaces:
        for group, plural, verbs in _TO_EXPLAIN:
            why = "to tell why something is not ready"
            found[(namespace, group, plural)] = Right(verbs, group, plural, namespace, why)
    for namespace in sorted(_with_volumes(waves)):
        why = "to let the volumes of a StatefulSet grow"
        key = (namespace, "", "persistentvolumeclaims")
        found.setdefault(key, Right((*READ, "patch"), "", key[2], namespace, why))
    declared = tuple(right for component in components for right in component.rights)
    return tuple(found[key] for key in sorted(found)) + declared


def _with_volumes(waves: Sequence[ObjectWave]) -> set[str]:
    return {
        manifest["metadata"]["namespace"]
        for wave in waves
        for manifest in wave.objects
        if manifest.get("spec", {}).get("volumeClaimTemplates")
    }
