"""Field validation of new objects, worded as kube-apiserver words it (422)."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from installer.rehearsal.kube.problems import Json, cause
from installer.rehearsal.kube.quantity import amount
from installer.rehearsal.kube.selectors import matches

MAX_DATA = 1024 * 1024

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SERVICE = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_DATA_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
    "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', "
    " or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def bad_value(field: str, value: Any, why: str) -> Json:
    """One `Invalid value` cause."""
    return cause("FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {why}", field)


def required(field: str, why: str = "") -> Json:
    """One `Required value` cause."""
    text = f"Required value: {why}" if why else "Required value"
    return cause("FieldValueRequired", text, field)


def unsupported(field: str, value: Any, known: list[str]) -> Json:
    """One `Unsupported value` cause."""
    listed = ", ".join(json.dumps(item) for item in known)
    return cause(
        "FieldValueNotSupported",
        f"Unsupported value: {json.dumps(value)}: supported values: {listed}",
        field,
    )


def problems_of(kind: str, obj: Json, *, large: bool = True) -> list[Json]:
    """Every cause for which the object is refused; `large` holds the 1 MiB limit of data."""
    found = list(_metadata(kind, obj["metadata"]))
    checker = _CHECKS.get(kind)
    if checker is not None:
        found += checker(obj)
    if large and kind in ("ConfigMap", "Secret"):
        found += _size(obj)
    return found


def _metadata(kind: str, metadata: Json) -> Iterator[Json]:
    name = metadata.get("name", "")
    pattern, text = _SUBDOMAIN, _SUBDOMAIN_TEXT
    if kind in ("Namespace",):
        pattern, text = _LABEL, _LABEL_TEXT
    elif kind == "Service":
        pattern, text = _SERVICE, _SERVICE_TEXT
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        if "/" in name or "%" in name:
            yield bad_value("metadata.name", name, "may not contain '/'")
    else:
        if not pattern.match(name):
            yield bad_value("metadata.name", name, text)
        limit = 253 if pattern is _SUBDOMAIN else 63
        if len(name) > limit:
            yield bad_value("metadata.name", name, f"must be no more than {limit} bytes")
    yield from _labels(metadata.get("labels") or {}, "metadata.labels")


def _labels(labels: Json, field: str) -> Iterator[Json]:
    for value in labels.values():
        if not _LABEL_VALUE.match(value):
            yield bad_value(field, value, _LABEL_VALUE_TEXT)
        elif len(value) > 63:
            yield cause("FieldValueInvalid", _too_long_label(value), field)


def _too_long_label(value: str) -> str:
    return f"Invalid value: {json.dumps(value)}: must be no more than 63 bytes"


def _size(obj: Json) -> Iterator[Json]:
    total = sum(len(text.encode()) for text in (obj.get("data") or {}).values())
    if obj["kind"] == "Secret":
        total = total * 3 // 4
    total += sum(len(text) * 3 // 4 for text in (obj.get("binaryData") or {}).values())
    if total > MAX_DATA:
        field = "data" if obj["kind"] == "Secret" else "[]"
        text = f"Too long: may not be more than {MAX_DATA} bytes"
        yield cause("FieldValueTooLong", text, field)


def _data(obj: Json) -> Iterator[Json]:
    for section in ("data", "binaryData"):
        for key in obj.get(section) or {}:
            if not _DATA_KEY.match(key):
                why = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or "
                    "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for "
                    "validation is '[-._a-zA-Z0-9]+')"
                )
                yield bad_value(f"{section}[{key}]", key, why)


def _workload(obj: Json) -> Iterator[Json]:
    spec = obj.get("spec") or {}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    selector = spec.get("selector")
    if not selector:
        yield required("spec.selector")
    elif not matches(selector, labels):
        why = "`selector` does not match template `labels`"
        yield bad_value("spec.template.metadata.labels", labels, why)
    if (spec.get("replicas") or 0) < 0:
        yield bad_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    yield from _labels(labels, "spec.template.metadata.labels")
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates") or []]
    pod = template.get("spec") or {}
    yield from _pod_spec(pod, "spec.template.spec", ("Always",), claims)


def _job(obj: Json) -> Iterator[Json]:
    template = (obj.get("spec") or {}).get("template") or {}
    pod = template.get("spec") or {}
    yield from _pod_spec(pod, "spec.template.spec", ("OnFailure", "Never"))


def _cron_job(obj: Json) -> Iterator[Json]:
    spec = obj.get("spec") or {}
    if not spec.get("schedule"):
        yield required("spec.schedule")
    template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    place = "spec.jobTemplate.spec.template.spec"
    yield from _pod_spec(template.get("spec") or {}, place, ("OnFailure", "Never"))


def _pod(obj: Json) -> Iterator[Json]:
    yield from _pod_spec(obj.get("spec") or {}, "spec", ("Always", "OnFailure", "Never"))


def _pod_spec(
    spec: Json, place: str, restarts: tuple[str, ...], claims: Iterable[str] = ()
) -> Iterator[Json]:
    if not spec.get("containers"):
        yield required(f"{place}.containers")
    if spec.get("restartPolicy") not in restarts:
        yield unsupported(f"{place}.restartPolicy", spec.get("restartPolicy"), list(restarts))
    volumes = {volume.get("name") for volume in spec.get("volumes") or []} | set(claims)
    for section in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(section) or []):
            yield from _container(container, f"{place}.{section}[{index}]", volumes)


def _container(container: Json, place: str, volumes: set[Any]) -> Iterator[Json]:
    if not container.get("name"):
        yield required(f"{place}.name")
    elif not _LABEL.match(container["name"]):
        yield bad_value(f"{place}.name", container["name"], _LABEL_TEXT)
    if not container.get("image"):
        yield required(f"{place}.image")
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            text = f"Not found: {json.dumps(mount.get('name'))}"
            yield cause("FieldValueNotFound", text, f"{place}.volumeMounts[{index}].name")
    for index, port in enumerate(container.get("ports") or []):
        yield from _port(port.get("containerPort"), f"{place}.ports[{index}].containerPort")
    yield from _resources(container.get("resources") or {}, f"{place}.resources")


def _port(number: Any, field: str) -> Iterator[Json]:
    if number is None:
        yield required(field)
    elif not 0 < number < 65536:
        yield bad_value(field, number, "must be between 1 and 65535, inclusive")


def _resources(resources: Json, place: str) -> Iterator[Json]:
    limits = resources.get("limits") or {}
    for name, wanted in (resources.get("requests") or {}).items():
        if name in limits and amount(wanted) > amount(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            yield bad_value(f"{place}.requests", wanted, why)


def _service(obj: Json) -> Iterator[Json]:
    spec = obj.get("spec") or {}
    ports = spec.get("ports") or []
    kind = spec.get("type")
    if kind not in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
        yield unsupported("spec.type", kind, known)
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    names = [port.get("name") for port in ports]
    for index, port in enumerate(ports):
        place = f"spec.ports[{index}]"
        yield from _port(port.get("port"), f"{place}.port")
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{place}.name")
        elif port.get("name") and names.index(port["name"]) < index:
            text = f"Duplicate value: {json.dumps(port['name'])}"
            yield cause("FieldValueDuplicate", text, f"{place}.name")


def _claim(obj: Json) -> Iterator[Json]:
    spec = obj.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        yield required("spec.resources[storage]")


def _binding(obj: Json) -> Iterator[Json]:
    if not (obj.get("roleRef") or {}).get("name"):
        yield required("roleRef.name")


def _budget(obj: Json) -> Iterator[Json]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        why = "minAvailable and maxUnavailable cannot be both set"
        yield bad_value("spec", spec, why)


def _storage_class(obj: Json) -> Iterator[Json]:
    if not obj.get("provisioner"):
        yield required("provisioner")


_CHECKS: dict[str, Callable[[Json], Iterator[Json]]] = {
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Job": _job,
    "CronJob": _cron_job,
    "Pod": _pod,
    "Service": _service,
    "ConfigMap": _data,
    "Secret": _data,
    "PersistentVolumeClaim": _claim,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "PodDisruptionBudget": _budget,
    "StorageClass": _storage_class,
}
