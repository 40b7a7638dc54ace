"""Endpoints of Services, and load balancer addresses where a pool is given."""

from collections.abc import Iterable

from installer.rehearsal.kube.controllers.cluster import Cluster, is_going, is_ready
from installer.rehearsal.kube.controllers.templates import reference_to
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.selectors import holds
from installer.rehearsal.kube.store import Change, Key

SERVICES = "services."
PODS = "pods."
ENDPOINTS = "endpoints."
SLICES = "endpointslices.discovery.k8s.io"


class Services:
    """Keeps the endpoints of each Service with a selector."""

    def __init__(self, cluster: Cluster, pool: str) -> None:
        self._cluster = cluster
        self._pool = pool

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The Service; all of a namespace whose selector takes a changed pod."""
        if change.key[0] == SERVICES:
            yield change.key
            if change.after is None:
                self._forget(change.key)
        elif change.key[0] == PODS:
            side = change.after or change.before
            labels = (side.obj["metadata"].get("labels") if side else None) or {}
            for service in self._cluster.items(SERVICES, change.key[1]):
                if _selects(service, labels):
                    yield (SERVICES, change.key[1], service["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        """Write the endpoints, and an address when one is due."""
        service = self._cluster.get(key)
        if service is None or is_going(service):
            return None
        spec = service["spec"]
        if spec.get("selector"):
            self._endpoints(key, service)
        has = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        if spec["type"] == "LoadBalancer" and self._pool and not has:
            number = int(spec["clusterIP"].rpartition(".")[2])
            address = {"ip": f"{self._pool}{number}", "ipMode": "VIP"}
            self._cluster.set_status(key, {"loadBalancer": {"ingress": [address]}})
        return None

    def _endpoints(self, key: Key, service: Json) -> None:
        pods = [
            pod
            for pod in self._cluster.items(PODS, key[1])
            if _selects(service, pod["metadata"].get("labels") or {})
            and (pod.get("status") or {}).get("podIP")
            and not is_going(pod)
        ]
        early = service["spec"].get("publishNotReadyAddresses")
        ready = [pod for pod in pods if is_ready(pod) or early]
        waiting = [pod for pod in pods if pod not in ready]
        subset: Json = {}
        for field, members in (("addresses", ready), ("notReadyAddresses", waiting)):
            if members:
                subset[field] = [_address(pod) for pod in members]
        if subset:
            subset["ports"] = [_port(port) for port in service["spec"].get("ports") or []]
        body: Json = {"subsets": [subset]} if subset else {}
        metadata: Json = {"name": key[2], "namespace": key[1]}
        self._ensure((ENDPOINTS, key[1], key[2]), "endpoints", "", metadata, body)
        name = f"{key[2]}-rehearsal"
        labels = {"kubernetes.io/service-name": key[2]}
        metadata = {"name": name, "namespace": key[1], "labels": labels}
        metadata["ownerReferences"] = [reference_to(service)]
        body = {
            "addressType": "IPv4",
            "endpoints": [_slice_endpoint(pod, ready=pod in ready) for pod in pods],
            "ports": [_port(port) for port in service["spec"].get("ports") or []],
        }
        place = (SLICES, key[1], name)
        self._ensure(place, "endpointslices", "discovery.k8s.io", metadata, body)

    def _ensure(self, key: Key, plural: str, group: str, metadata: Json, body: Json) -> None:
        known = self._cluster.get(key)
        if known is None:
            self._cluster.create(plural, group, {"metadata": metadata, **body})
            return
        kept = {name: known[name] for name in ("apiVersion", "kind", "metadata")}
        self._cluster.put(key, {**kept, **body})

    def _forget(self, key: Key) -> None:
        self._cluster.store.remove((ENDPOINTS, key[1], key[2]))


def _selects(service: Json, labels: Json) -> bool:
    selector = service["spec"].get("selector")
    if not selector:
        return False
    return holds([(name, "In", frozenset({value})) for name, value in selector.items()], labels)


def _target(pod: Json) -> Json:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }


def _address(pod: Json) -> Json:
    return {
        "ip": pod["status"]["podIP"],
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": _target(pod),
    }


def _slice_endpoint(pod: Json, *, ready: bool) -> Json:
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": _target(pod),
    }


def _port(port: Json) -> Json:
    target = port.get("targetPort")
    found = {
        "port": target if isinstance(target, int) else port["port"],
        "protocol": port["protocol"],
    }
    return {"name": port["name"], **found} if port.get("name") else found
