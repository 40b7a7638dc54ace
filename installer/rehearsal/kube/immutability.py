"""What may not change once an object exists, kind by kind, in the API server's words."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from installer.rehearsal.kube.problems import Json, cause
from installer.rehearsal.kube.quantity import amount

_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def changes_refused(kind: str, old: Json, new: Json) -> list[Json]:
    """Every cause for which the update of an object of this kind is refused."""
    checker = _CHECKS.get(kind)
    return list(checker(old, new)) if checker is not None else []


def _immutable(field: str, old: Any, new: Any, why: str = "field is immutable") -> Iterator[Json]:
    if old != new:
        text = f"Invalid value: {json.dumps(new)}: {why}"
        yield cause("FieldValueInvalid", text, field)


def _forbidden(field: str, why: str) -> Json:
    return cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _spec(obj: Json) -> Json:
    found: Json = obj.get("spec") or {}
    return found


def _selector(old: Json, new: Json) -> Iterator[Json]:
    yield from _immutable("spec.selector", _spec(old).get("selector"), _spec(new).get("selector"))


def _stateful_set(old: Json, new: Json) -> Iterator[Json]:
    fixed = [
        {key: value for key, value in _spec(obj).items() if key not in _SET_MUTABLE}
        for obj in (old, new)
    ]
    if fixed[0] != fixed[1]:
        yield _forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
            "'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )


def _job(old: Json, new: Json) -> Iterator[Json]:
    for name in ("completions", "selector", "template", "completionMode"):
        yield from _immutable(f"spec.{name}", _spec(old).get(name), _spec(new).get(name))


def _service(old: Json, new: Json) -> Iterator[Json]:
    before, after = _spec(old), _spec(new)
    given, asked = before.get("clusterIPs") or [], after.get("clusterIPs") or []
    if given and asked and given[0] != asked[0]:
        why = "may not change once set"
        yield from _immutable("spec.clusterIPs[0]", given, asked, why)


def _data(old: Json, new: Json) -> Iterator[Json]:
    if new["kind"] == "Secret":
        yield from _immutable("type", old.get("type"), new.get("type"))
    if not old.get("immutable"):
        return
    why = "field is immutable when `immutable` is set"
    if new.get("immutable") is not True:
        yield _forbidden("immutable", why)
    for name in ("data", "binaryData"):
        if (old.get(name) or {}) != (new.get(name) or {}):
            yield _forbidden(name, why)


def _claim(old: Json, new: Json) -> Iterator[Json]:
    before, after = dict(_spec(old)), dict(_spec(new))
    sizes = [
        ((spec.pop("resources", None) or {}).get("requests") or {}).get("storage", "0")
        for spec in (before, after)
    ]
    for spec in (before, after):
        spec.pop("volumeAttributesClassName", None)
    if not before.get("volumeName"):
        before.pop("volumeName", None)
        after.pop("volumeName", None)
    if before != after or (not before.get("volumeName") and sizes[0] != sizes[1]):
        yield _forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims\n",
        )
    elif amount(sizes[1]) < amount(sizes[0]):
        yield _forbidden(
            "spec.resources.requests.storage", "field can not be less than status.capacity"
        )


def _storage_class(old: Json, new: Json) -> Iterator[Json]:
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        yield from _immutable(name, old.get(name), new.get(name))


def _binding(old: Json, new: Json) -> Iterator[Json]:
    yield from _immutable(
        "roleRef", old.get("roleRef"), new.get("roleRef"), "cannot change roleRef"
    )


def _priority_class(old: Json, new: Json) -> Iterator[Json]:
    if old.get("value") != new.get("value"):
        yield _forbidden("value", "may not be changed in an update.")


def _definition(old: Json, new: Json) -> Iterator[Json]:
    for name in ("group", "scope"):
        yield from _immutable(f"spec.{name}", _spec(old).get(name), _spec(new).get(name))
    before = (_spec(old).get("names") or {}).get("plural")
    yield from _immutable("spec.names.plural", before, _spec(new)["names"].get("plural"))


def _pod(old: Json, new: Json) -> Iterator[Json]:
    kept = [_fixed_pod(_spec(obj)) for obj in (old, new)]
    if kept[0] != kept[1]:
        yield _forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
            "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
            "(allow it to be set to 1 if it was previously negative)\n",
        )


def _fixed_pod(spec: Json) -> Json:
    loose = ("activeDeadlineSeconds", "tolerations", "nodeName")
    kept = {key: value for key, value in spec.items() if key not in loose}
    for section in ("containers", "initContainers"):
        kept[section] = [
            {key: value for key, value in container.items() if key != "image"}
            for container in spec.get(section) or []
        ]
    return kept


_CHECKS: dict[str, Callable[[Json, Json], Iterator[Json]]] = {
    "Deployment": _selector,
    "ReplicaSet": _selector,
    "DaemonSet": _selector,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "Service": _service,
    "Secret": _data,
    "ConfigMap": _data,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "PriorityClass": _priority_class,
    "CustomResourceDefinition": _definition,
    "Pod": _pod,
}
