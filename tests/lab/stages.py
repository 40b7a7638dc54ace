"""How nodes, pods and volumes of a lab cluster behave, as stages for kwok.

kwok's own stages make every pod Ready, complete every Job's pods and keep nodes alive. Added:

* pods with the label `lab.fault` end as its value says (`PodFault`), and so do pods with an
  image of a registry under `.invalid` (RFC 2606: it never resolves): ImagePullBackOff. A fault
  is for the pod's life; its successor is looked at anew;
* pods with the annotation `lab.ready-after` (`5s`) take that long to become Ready;
* a provisioner and deleter of volumes. They do an external provisioner's part of the contract:
  kube-controller-manager annotates a claim with the provisioner's name when a volume is due
  (for WaitForFirstConsumer, after scheduling, and then with the node, which such a volume is
  bound to); the same real controller does the binding;
* pod logs, out of two files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

FAULT_LABEL = "lab.fault"
READY_AFTER = "lab.ready-after"
PROVISIONER = "lab.test/volumes"
_KWOK_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
_Document = Mapping[str, Any]

# jq: the pod's fault, or "".
_FAULT = (
    f'.metadata.labels["{FAULT_LABEL}"] // '
    "([.spec | .containers[], .initContainers[]? | .image"
    ' | select(test("^[^/]*[.]invalid(:[0-9]+)?/"))]'
    ' | if length > 0 then "image-pull" else "" end)'
)
_LIVES = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}


class PodFault(StrEnum):
    """Ends a pod can come to. The containers' states are what a kubelet would report."""

    IMAGE_PULL = "image-pull"
    """Pending; waiting: ImagePullBackOff."""
    CONFIG_ERROR = "config-error"
    """Pending; waiting: CreateContainerConfigError."""
    CRASH_LOOP = "crash-loop"
    """Running, not ready; waiting: CrashLoopBackOff, last exit 1, five restarts."""
    OOM = "oom"
    """As CRASH_LOOP; the last exit was 137, OOMKilled."""
    INIT_CRASH = "init-crash"
    """Pending; its init containers in CrashLoopBackOff."""
    NEVER_READY = "never-ready"
    """Running, not ready, no restarts: a readiness probe that fails."""
    FAILED = "failed"
    """Failed with exit 1: what a Job counts against its backoffLimit."""


@dataclass(frozen=True)
class _End:
    """A pod's phase and its containers' status; `init` where the init containers hang."""

    phase: str
    state: str
    restarts: int = 0
    last_state: str = ""
    init: str = ""


def _waiting(reason: str, message: str) -> str:
    return f"{{waiting: {{reason: {reason}, message: {message!r}}}}}"


def _ended(code: int, reason: str) -> str:
    times = "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}"
    return f"{{terminated: {{exitCode: {code}, reason: {reason}, {times}}}}}"


_BACK_OFF = _waiting("CrashLoopBackOff", "back-off 2m40s restarting failed container")
_ENDS: Mapping[PodFault, _End] = {
    PodFault.IMAGE_PULL: _End("Pending", _waiting("ImagePullBackOff", "Back-off pulling image")),
    PodFault.CONFIG_ERROR: _End(
        "Pending", _waiting("CreateContainerConfigError", 'secret "missing" not found')
    ),
    PodFault.CRASH_LOOP: _End("Running", _BACK_OFF, 5, _ended(1, "Error")),
    PodFault.OOM: _End("Running", _BACK_OFF, 5, _ended(137, "OOMKilled")),
    PodFault.INIT_CRASH: _End(
        "Pending", _waiting("PodInitializing", ""), 5, _ended(1, "Error"), init=_BACK_OFF
    ),
    PodFault.NEVER_READY: _End("Running", "{running: {startedAt: {{ $now | Quote }}}}"),
    PodFault.FAILED: _End("Failed", _ended(1, "Error")),
}


def kwok_documents(kwok_stages: Path, logs: Path, previous_logs: Path) -> list[_Document]:
    """All documents of kwok's --config. `logs` and `previous_logs` hold CRI log lines."""
    documents = [
        document
        for folder in _KWOK_STAGES
        for path in sorted((kwok_stages / folder).glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] == "Stage"
    ]
    for document in documents:
        _leave_faulty_pods_alone(document)
    documents += [_fault_stage(fault, end) for fault, end in _ENDS.items()]
    documents += [_provision_stage(), _delete_volume_stage()]
    log = {"logsFile": str(logs), "previousLogsFile": str(previous_logs), "follow": False}
    documents.append(_document("ClusterLogs", "logs", {"logs": [log]}))
    return documents


def _leave_faulty_pods_alone(stage: _Document) -> None:
    """kwok picks at random among matching stages of equal weight, so only one may match."""
    if stage["metadata"]["name"] not in ("pod-ready", "pod-complete"):
        return
    spec = stage["spec"]
    spec["selector"]["matchExpressions"].append(_one_of(_FAULT, ""))
    if stage["metadata"]["name"] == "pod-ready":
        after = {"expressionFrom": f'.metadata.annotations["{READY_AFTER}"]'}
        spec["delay"] = {"durationMilliseconds": 0, "durationFrom": after}


def _fault_stage(fault: PodFault, end: _End) -> _Document:
    done = '.status.conditions[]? | select(.type == "Ready") | .status'
    where = [_LIVES, _one_of(_FAULT, fault), _none_of(done, "False")]
    template = "{{ $now := Now }}\n" + "\n".join(
        [
            f"phase: {end.phase}",
            "startTime: {{ $now | Quote }}",
            "conditions:",
            *(_condition("Initialized", not end.init)),
            *(_condition("Ready", False)),
            *(_condition("ContainersReady", False)),
            *(_statuses("initContainer", end, end.init or _ended(0, "Completed"))),
            *(_statuses("container", end, end.state)),
        ]
    )
    return _stage(f"lab-{fault}", "Pod", where, {"next": {"statusTemplate": template}})


def _condition(kind: str, holds: bool) -> Iterable[str]:
    yield f"- type: {kind}"
    yield f'  status: "{holds}"'
    yield "  lastTransitionTime: {{ $now | Quote }}"
    if not holds:
        yield f"  reason: {'ContainersNotInitialized' if kind[0] == 'I' else 'ContainersNotReady'}"


def _statuses(kind: str, end: _End, state: str) -> Iterable[str]:
    """Lines for `<kind>Statuses`; the hanging kind bears the restarts."""
    init = kind == "initContainer"
    hangs = init == bool(end.init)
    yield f"{kind}Statuses:"
    yield f"{{{{ range .spec.{kind}s }}}}"
    yield "- name: {{ .name | Quote }}"
    yield "  image: {{ .image | Quote }}"
    yield '  imageID: ""'
    yield f"  ready: {str(init and not hangs).lower()}"
    yield f"  restartCount: {end.restarts if hangs else 0}"
    yield f"  state: {state}"
    if hangs and end.last_state:
        yield f"  lastState: {end.last_state}"
    yield "{{ end }}"


def _provision_stage() -> _Document:
    provisioner = '.metadata.annotations["volume.kubernetes.io/storage-provisioner"]'
    where = [
        _LIVES,
        _one_of(provisioner, PROVISIONER),
        {"key": ".spec.volumeName", "operator": "DoesNotExist"},
    ]
    template = f"""
apiVersion: v1
kind: PersistentVolume
metadata:
  name: pvc-{{{{ .metadata.uid }}}}
  annotations: {{pv.kubernetes.io/provisioned-by: {PROVISIONER}}}
spec:
  accessModes: {{{{ YAML .spec.accessModes 2 }}}}
  capacity: {{{{ YAML .spec.resources.requests 2 }}}}
  persistentVolumeReclaimPolicy:
    {{{{ if eq .spec.storageClassName "retain" }}}}Retain{{{{ else }}}}Delete{{{{ end }}}}
  storageClassName: {{{{ .spec.storageClassName | Quote }}}}
  volumeMode: {{{{ or .spec.volumeMode "Filesystem" | Quote }}}}
  claimRef:
    apiVersion: v1
    kind: PersistentVolumeClaim
    name: {{{{ .metadata.name | Quote }}}}
    namespace: {{{{ .metadata.namespace | Quote }}}}
    uid: {{{{ .metadata.uid | Quote }}}}
  hostPath: {{path: /nowhere/{{{{ .metadata.uid }}}}}}
{{{{ with index .metadata.annotations "volume.kubernetes.io/selected-node" }}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - {{key: kubernetes.io/hostname, operator: In, values: [{{{{ . | Quote }}}}]}}
{{{{ end }}}}
"""
    return _stage(
        "lab-provision", "PersistentVolumeClaim", where, {"steps": [_apply(template.strip())]}
    )


def _delete_volume_stage() -> _Document:
    where = [
        _LIVES,
        _one_of('.metadata.annotations["pv.kubernetes.io/provisioned-by"]', PROVISIONER),
        _one_of(".spec.persistentVolumeReclaimPolicy", "Delete"),
        _one_of(".status.phase", "Released"),
    ]
    return _stage("lab-delete-volume", "PersistentVolume", where, {"steps": [{"delete": True}]})


def _apply(template: str) -> _Document:
    return {"apply": {"template": template}}


def _one_of(jq: str, *values: str) -> _Document:
    return {"key": jq, "operator": "In", "values": [str(value) for value in values]}


def _none_of(jq: str, *values: str) -> _Document:
    return {"key": jq, "operator": "NotIn", "values": list(values)}


def _stage(name: str, kind: str, where: list[_Document], does: _Document) -> _Document:
    selector = {"matchExpressions": [dict(expression) for expression in where]}
    reference = {"apiGroup": "v1", "kind": kind}
    return _document("Stage", name, {"resourceRef": reference, "selector": selector, **does})


def _document(kind: str, name: str, spec: _Document) -> _Document:
    api = "kwok.x-k8s.io/v1alpha1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
