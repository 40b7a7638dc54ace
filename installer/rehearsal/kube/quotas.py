"""ResourceQuotas: what objects take of them, and who is refused."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from fractions import Fraction

from installer.rehearsal.kube.problems import Json, forbidden
from installer.rehearsal.kube.quantity import amount, canonical
from installer.rehearsal.kube.resources import ResourceType
from installer.rehearsal.kube.store import Store

Usage = Mapping[str, Fraction]
"""Quota resource (`pods`, `requests.memory`, `services.nodeports`) to amount."""


def admit_counted(store: Store, kind: ResourceType, obj: Json) -> None:
    """ApiError 403 when a new object goes over a quota of its namespace."""
    namespace = obj["metadata"].get("namespace", "")
    quotas = store.items("resourcequotas.", namespace) if namespace else []
    if not quotas:
        return
    wanted, used = _usage(kind.storage_key, obj), used_in(store, namespace)
    for stored in quotas:
        hard = stored.obj["spec"].get("hard") or {}
        why = _missing(kind, obj, hard, wanted) or _exceeded(hard, wanted, used)
        if why:
            quota = stored.obj["metadata"]["name"]
            text = why.format(quota=quota)
            raise forbidden(kind.plural, kind.group, obj["metadata"]["name"], text)


def _missing(kind: ResourceType, obj: Json, hard: Json, wanted: Usage) -> str:
    """Where compute is limited, every container must say what it takes."""
    if kind.kind != "Pod":
        return ""
    for name in sorted(hard):
        resource = name.rpartition(".")[2]
        if resource in ("cpu", "memory") and not wanted.get(name):
            containers = ",".join(item["name"] for item in obj["spec"]["containers"])
            return f"failed quota: {{quota}}: must specify {name} for: {containers}"
    return ""


def _exceeded(hard: Json, wanted: Usage, used: Usage) -> str:
    nothing = Fraction(0)
    over = [
        (name, wanted[name], used.get(name, nothing))
        for name in sorted(hard)
        if wanted.get(name) and used.get(name, nothing) + wanted[name] > amount(hard[name])
    ]
    if not over:
        return ""
    requested = ",".join(f"{name}={text_of(more)}" for name, more, _ in over)
    present = ",".join(f"{name}={text_of(now)}" for name, _, now in over)
    limited = ",".join(f"{name}={hard[name]}" for name, _, _ in over)
    return f"exceeded quota: {{quota}}, requested: {requested}, used: {present}, limited: {limited}"


def used_in(store: Store, namespace: str) -> Usage:
    """What the objects of a namespace take together; ended pods take nothing."""
    total: dict[str, Fraction] = defaultdict(Fraction)
    for resource, namespace_of, name in list(store.places()):
        if namespace_of != namespace:
            continue
        stored = store.get((resource, namespace_of, name))
        if stored is not None:
            for counted, value in _usage(resource, stored.obj).items():
                total[counted] += value
    return total


def _usage(resource: str, obj: Json) -> Usage:
    one = Fraction(1)
    plain = resource.rstrip(".")
    found: dict[str, Fraction] = {f"count/{plain}": one}
    if plain in ("configmaps", "secrets", "replicationcontrollers", "resourcequotas"):
        found[plain] = one
    extra = _MORE.get(plain)
    return {**found, **extra(obj)} if extra is not None else found


def _pod(obj: Json) -> Usage:
    if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {"count/pods": Fraction(1)}
    total: dict[str, Fraction] = {"pods": Fraction(1)}
    for section in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            values = [
                amount(((container.get("resources") or {}).get(section) or {}).get(resource, "0"))
                for container in obj["spec"].get("containers") or []
            ]
            total[f"{section}.{resource}"] = sum(values, Fraction(0))
    return {**total, "cpu": total["requests.cpu"], "memory": total["requests.memory"]}


def _service(obj: Json) -> Usage:
    found = {"services": Fraction(1)}
    kind = obj["spec"].get("type")
    if kind == "LoadBalancer":
        found["services.loadbalancers"] = Fraction(1)
    if kind in ("NodePort", "LoadBalancer"):
        found["services.nodeports"] = Fraction(len(obj["spec"].get("ports") or []))
    return found


def _claim(obj: Json) -> Usage:
    wanted = (obj["spec"].get("resources") or {}).get("requests") or {}
    size = amount(wanted.get("storage", "0"))
    return {"persistentvolumeclaims": Fraction(1), "requests.storage": size}


_MORE: dict[str, Callable[[Json], Usage]] = {
    "pods": _pod,
    "services": _service,
    "persistentvolumeclaims": _claim,
}


def text_of(value: Fraction) -> str:
    """A sum of quantities as one quantity."""
    if value.denominator != 1:
        return canonical(f"{int(value * 1000)}m")
    if value and value % 1024 == 0:
        return canonical(f"{value.numerator // 1024}Ki")
    return str(value.numerator)
