"""What the rendered objects ask of the cluster, summed by namespace."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from installer.core.objects import Manifest
from manifests.derive.podtemplates import containers, is_workload, pod_template, replicas

_MEMORY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}


def millicores(quantity: str | int | float) -> int:
    """``500m``, ``2`` or ``0.5`` in thousandths of a core."""
    text = str(quantity)
    return int(text[:-1]) if text.endswith("m") else round(float(text) * 1000)


def mebibytes(quantity: str | int) -> int:
    """``512Mi``, ``2Gi`` or bytes, in MiB, rounded up."""
    text = str(quantity)
    for suffix, factor in _MEMORY.items():
        if text.endswith(suffix):
            return -(-round(float(text[: -len(suffix)]) * factor) // 2**20)
    return -(-int(text) // 2**20)


def by_namespace(objects: Sequence[Manifest]) -> Mapping[str, Mapping[str, int]]:
    """Sums under the names of ``NamespaceDemand``'s fields."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for manifest in objects:
        total = sums[manifest["metadata"].get("namespace", "")]
        if is_workload(manifest):
            _add_pods(total, manifest)
        elif manifest["kind"] == "PersistentVolumeClaim":
            total["volume_claims"] += 1
        elif manifest["kind"] == "Service":
            kind = manifest["spec"].get("type", "ClusterIP")
            ports = len(manifest["spec"].get("ports", ()))
            total["load_balancers"] += 1 if kind == "LoadBalancer" else 0
            total["node_ports"] += ports if kind in ("LoadBalancer", "NodePort") else 0
    return sums


def _add_pods(total: dict[str, int], manifest: Mapping[str, Any]) -> None:
    count = replicas(manifest)
    total["pods"] += count
    total["volume_claims"] += count * len(manifest["spec"].get("volumeClaimTemplates", ()))
    initial = pod_template(manifest)["spec"].get("initContainers", ())
    running = [c for c in containers(manifest) if c not in initial]
    for field, kind, name, read in (
        ("cpu_request", "requests", "cpu", millicores),
        ("memory_request", "requests", "memory", mebibytes),
        ("memory_limit", "limits", "memory", mebibytes),
    ):
        each = [_quantity(c, kind, name, read) for c in running]
        before = [_quantity(c, kind, name, read) for c in initial]
        # Initial containers run one by one before the others: the larger of both counts.
        total[field] += count * max([sum(each), *before])


def _quantity(container: Mapping[str, Any], kind: str, name: str, read: Any) -> int:
    value = container.get("resources", {}).get(kind, {}).get(name)
    return int(read(value)) if value is not None else 0
