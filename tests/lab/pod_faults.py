"""Faults for pods that a test does not write itself, by the server's own admission.

A MutatingAdmissionPolicy (generally available in Kubernetes 1.36) puts the label on pods as they
are created, so that there is no moment in which kwok could make them Ready.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.lab.api import Api, NotReached, Object
from tests.lab.stages import FAULT_LABEL, PodFault

_SECONDS = 20.0
_POLL = 0.05
_ADMISSION = "admissionregistration.k8s.io/v1"


@contextmanager
def injected(
    api: Api, fault: PodFault, namespace: str, labels: Mapping[str, str]
) -> Iterator[None]:
    """Labels pods created in `namespace` with `labels`; in force on entry, gone on exit.

    At least one label is needed. Raises NotReached when the server is slow to take it up.
    """
    name = f"lab-{uuid.uuid4().hex[:8]}"
    for manifest in _manifests(name, fault, namespace, labels):
        api.apply(manifest)
    try:
        _await(api, namespace, labels, fault.value)
        yield
    finally:
        for plural in ("mutatingadmissionpolicybindings", "mutatingadmissionpolicies"):
            api.delete(f"/apis/{_ADMISSION}/{plural}/{name}")
        _await(api, namespace, labels, None)


def _manifests(
    name: str, fault: PodFault, namespace: str, labels: Mapping[str, str]
) -> Iterator[Object]:
    conditions = [
        {"name": "namespace", "expression": f"object.metadata.namespace == {json.dumps(namespace)}"}
    ]
    conditions += [
        {
            "name": f"label-{number}",
            "expression": f"object.metadata.?labels[{json.dumps(key)}].orValue('') == "
            f"{json.dumps(value)}",
        }
        for number, (key, value) in enumerate(sorted(labels.items()))
    ]
    change = (
        f'[JSONPatch{{op: "add", path: "/metadata/labels/{FAULT_LABEL}", value: "{fault.value}"}}]'
    )
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    yield {
        "apiVersion": _ADMISSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{**rule, "operations": ["CREATE"]}]},
            "matchConditions": conditions,
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": change}}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
        },
    }
    yield {
        "apiVersion": _ADMISSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name},
    }


def _await(api: Api, namespace: str, labels: Mapping[str, str], expected: str | None) -> None:
    """Asks with dry runs until admission does (or no longer does) what is expected."""
    deadline = time.monotonic() + _SECONDS
    while _seen(api, namespace, labels) != expected:
        if time.monotonic() > deadline:
            raise NotReached(f"pods in {namespace} do not get {FAULT_LABEL}={expected}")
        threading.Event().wait(_POLL)


def _seen(api: Api, namespace: str, labels: Mapping[str, str]) -> str | None:
    pod = {
        "metadata": {"generateName": "lab-probe-", "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            # As the strictest pod security level wants it: it may be enforced there.
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": "registry.invalid/probe:1",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
    path = f"/api/v1/namespaces/{namespace}/pods"
    answer = api.request("POST", path, pod, params={"dryRun": "All"})
    found: str | None = answer["metadata"]["labels"].get(FAULT_LABEL)
    return found
