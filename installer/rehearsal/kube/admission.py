"""Built-in admission of new pods: accounts, priorities, limit ranges, quotas, pod security."""

from collections.abc import Iterator
from fractions import Fraction

from installer.rehearsal.kube.podsecurity import violations
from installer.rehearsal.kube.problems import ApiError, Json, forbidden
from installer.rehearsal.kube.quantity import amount, canonical
from installer.rehearsal.kube.store import Store

ENFORCE = "pod-security.kubernetes.io/enforce"
_SECTIONS = ("requests", "limits")


def admit_pod(store: Store, pod: Json) -> None:
    """Complete a new pod in place; ApiError 403 when its namespace does not let it in."""
    namespace = pod["metadata"]["namespace"]
    _account(store, namespace, pod)
    _priority(store, pod)
    _limit_ranges(store, namespace, pod)
    _pod_security(store, namespace, pod)
    _quotas(store, namespace, pod)


def _refused(pod: Json, why: str) -> ApiError:
    return forbidden("pods", "", pod["metadata"]["name"], why)


def _account(store: Store, namespace: str, pod: Json) -> None:
    name = pod["spec"].setdefault("serviceAccountName", "default")
    pod["spec"]["serviceAccount"] = name
    if store.get(("serviceaccounts.", namespace, name)) is None:
        place = f"{namespace}/{name}"
        why = f'error looking up service account {place}: serviceaccount "{name}" not found'
        raise _refused(pod, why)


def _priority(store: Store, pod: Json) -> None:
    name = pod["spec"].get("priorityClassName")
    if not name:
        pod["spec"].setdefault("priority", 0)
        return
    stored = store.get(("priorityclasses.scheduling.k8s.io", "", name))
    if stored is None:
        raise _refused(pod, f"no PriorityClass with name {name} was found")
    pod["spec"]["priority"] = stored.obj["value"]
    pod["spec"]["preemptionPolicy"] = stored.obj["preemptionPolicy"]


def _containers(pod: Json) -> list[Json]:
    found: list[Json] = [
        *(pod["spec"].get("containers") or []),
        *(pod["spec"].get("initContainers") or []),
    ]
    return found


def _limit_ranges(store: Store, namespace: str, pod: Json) -> None:
    for stored in store.items("limitranges.", namespace):
        for item in stored.obj["spec"].get("limits") or []:
            if item.get("type") != "Container":
                continue
            for container in _containers(pod):
                _complete(container, item)
                for why in _outside(container, item):
                    raise _refused(pod, why)


def _complete(container: Json, item: Json) -> None:
    resources = container.setdefault("resources", {})
    for section, defaults in (
        ("limits", item.get("default") or {}),
        ("requests", item.get("defaultRequest") or item.get("default") or {}),
    ):
        missing = {
            name: value
            for name, value in defaults.items()
            if name not in (resources.get(section) or {})
        }
        if missing:
            resources[section] = {**(resources.get(section) or {}), **missing}


def _outside(container: Json, item: Json) -> Iterator[str]:
    resources = container["resources"]
    for name, highest in (item.get("max") or {}).items():
        given = (resources.get("limits") or {}).get(name)
        if given is None:
            yield f"maximum {name} usage per Container is {highest}.  No limit is specified"
        elif amount(given) > amount(highest):
            yield f"maximum {name} usage per Container is {highest}, but limit is {given}"
    for name, lowest in (item.get("min") or {}).items():
        given = (resources.get("requests") or {}).get(name)
        if given is None:
            yield f"minimum {name} usage per Container is {lowest}.  No request is specified"
        elif amount(given) < amount(lowest):
            yield f"minimum {name} usage per Container is {lowest}, but request is {given}"


def _pod_security(store: Store, namespace: str, pod: Json) -> None:
    stored = store.get(("namespaces.", "", namespace))
    labels = (stored.obj["metadata"].get("labels") if stored else None) or {}
    level = labels.get(ENFORCE, "privileged")
    found = violations(level, pod["spec"])
    if found:
        version = labels.get(f"{ENFORCE}-version", "latest")
        raise _refused(pod, f'violates PodSecurity "{level}:{version}": {", ".join(found)}')


def _quotas(store: Store, namespace: str, pod: Json) -> None:
    wanted = needs_of(pod)
    for stored in store.items("resourcequotas.", namespace):
        hard = stored.obj["spec"].get("hard") or {}
        used = used_in(store, namespace)
        over: list[tuple[str, str, str, str]] = []
        for name in sorted(hard):
            key = name if "." in name or name == "pods" else f"requests.{name}"
            key = "pods" if name == "count/pods" else key
            if key not in COUNTED:
                continue
            if key != "pods" and not wanted[key]:
                raise _refused(
                    pod,
                    f"failed quota: {stored.obj['metadata']['name']}: must specify {name} for: "
                    + ",".join(container["name"] for container in pod["spec"]["containers"]),
                )
            if used[key] + wanted[key] > amount(hard[name]):
                over.append((name, text_of(wanted[key]), text_of(used[key]), hard[name]))
        if over:
            parts = [",".join(f"{row[0]}={row[column]}" for row in over) for column in (1, 2, 3)]
            raise _refused(
                pod,
                f"exceeded quota: {stored.obj['metadata']['name']}, requested: {parts[0]}, "
                f"used: {parts[1]}, limited: {parts[2]}",
            )


COUNTED = ("pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def needs_of(pod: Json) -> dict[str, Fraction]:
    """What a pod takes of each counted resource."""
    total = {name: Fraction(0) for name in COUNTED}
    total["pods"] = Fraction(1)
    for container in pod["spec"].get("containers") or []:
        for section in _SECTIONS:
            given = (container.get("resources") or {}).get(section) or {}
            for resource in ("cpu", "memory"):
                total[f"{section}.{resource}"] += amount(given.get(resource, "0"))
    return total


def used_in(store: Store, namespace: str) -> dict[str, Fraction]:
    """What the pods of a namespace take together; ended ones take nothing."""
    total = {name: Fraction(0) for name in COUNTED}
    for stored in store.items("pods.", namespace):
        if (stored.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for name, value in needs_of(stored.obj).items():
            total[name] += value
    return total


def text_of(value: Fraction) -> str:
    """A sum of quantities as one quantity."""
    if value.denominator != 1:
        return canonical(f"{int(value * 1000)}m")
    if value and value % 1024 == 0:
        return canonical(f"{value.numerator // 1024}Ki")
    return str(value.numerator)
