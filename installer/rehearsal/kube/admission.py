"""Built-in admission of new pods: accounts, priorities, limit ranges, pod security."""

from collections.abc import Iterator

from installer.rehearsal.kube.podsecurity import violations
from installer.rehearsal.kube.problems import ApiError, Json, forbidden
from installer.rehearsal.kube.quantity import amount
from installer.rehearsal.kube.store import Store

ENFORCE = "pod-security.kubernetes.io/enforce"


def admit_pod(store: Store, pod: Json) -> None:
    """Complete a new pod in place; ApiError 403 when its namespace does not let it in."""
    namespace = pod["metadata"]["namespace"]
    _account(store, namespace, pod)
    _priority(store, pod)
    _limit_ranges(store, namespace, pod)
    _pod_security(store, namespace, pod)


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
