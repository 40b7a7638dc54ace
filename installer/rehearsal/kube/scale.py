"""The `scale` subresource of workloads."""

from installer.rehearsal.kube.incoming import Place
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.registry import Registry, WriteOptions


def get_scale(registry: Registry, place: Place) -> Json:
    """The Scale of a workload."""
    obj = registry.get(place).obj
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def set_scale(registry: Registry, place: Place, scale: Json, options: WriteOptions) -> Json:
    """Set a workload's replicas; the field then belongs to who scaled."""
    live = registry.get(place).obj
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    metadata = dict(live["metadata"])
    version = (scale.get("metadata") or {}).get("resourceVersion")
    metadata["resourceVersion"] = version or metadata["resourceVersion"]
    spec = {**live["spec"], "replicas": replicas}
    registry.update(place, {**live, "metadata": metadata, "spec": spec}, options)
    return get_scale(registry, place)
