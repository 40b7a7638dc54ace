"""Values that the API server gives out: cluster addresses, node ports, the default class."""

from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.resources import ResourceType
from installer.rehearsal.kube.store import Store

SERVICE_PREFIX = "10.96"
FIRST_NODE_PORT = 30000
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def allocate(store: Store, kind: ResourceType, live: Json | None, new: Json) -> None:
    """Fill in, in place, what only the server can know."""
    if kind.group:
        return
    if kind.kind == "Service":
        _service(store, live, new)
    elif kind.kind == "PersistentVolumeClaim" and live is None:
        finalizers = new["metadata"].setdefault("finalizers", [])
        if "kubernetes.io/pvc-protection" not in finalizers:
            finalizers.append("kubernetes.io/pvc-protection")
        _default_class(store, new)


def _service(store: Store, live: Json | None, new: Json) -> None:
    spec = new["spec"]
    if spec["type"] == "ExternalName":
        return
    before = (live or {}).get("spec") or {}
    if not spec.get("clusterIP"):
        spec["clusterIP"] = before.get("clusterIP") or _next_address(store)
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    if live is not None and spec["clusterIPs"] == before.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _node_ports(store, before, spec)


def _next_address(store: Store) -> str:
    taken = {stored.obj["spec"].get("clusterIP") for stored in store.items("services.")}
    for number in range(10, 65_000):
        address = f"{SERVICE_PREFIX}.{number // 250}.{number % 250 + 1}"
        if address not in taken:
            return address
    raise RuntimeError("the range of service addresses is used up")


def _node_ports(store: Store, before: Json, spec: Json) -> None:
    known = {
        (port.get("name"), port["port"]): port.get("nodePort") for port in before.get("ports") or []
    }
    taken = {
        port.get("nodePort")
        for stored in store.items("services.")
        for port in stored.obj["spec"].get("ports") or []
    }
    number = FIRST_NODE_PORT
    for port in spec.get("ports") or []:
        if port.get("nodePort"):
            continue
        port["nodePort"] = known.get((port.get("name"), port["port"]))
        while port["nodePort"] is None:
            number += 1
            if number not in taken:
                port["nodePort"] = number


def _default_class(store: Store, new: Json) -> None:
    if "storageClassName" in new["spec"]:
        return
    for stored in store.items("storageclasses.storage.k8s.io"):
        annotations = stored.obj["metadata"].get("annotations") or {}
        if annotations.get(_DEFAULT_CLASS) == "true":
            new["spec"]["storageClassName"] = stored.obj["metadata"]["name"]
            return
