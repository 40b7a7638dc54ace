"""Defaults of pods and of pod templates."""

from typing import Any

from installer.rehearsal.kube.problems import Json

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MODED = ("secret", "configMap", "projected", "downwardAPI")


def default_pod_spec(spec: Json, restart: str) -> None:
    """Fill in what a pod spec leaves out, in place."""
    _fill(
        spec,
        restartPolicy=restart,
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _fill(section: Json, **defaults: Any) -> None:
    for key, value in defaults.items():
        section.setdefault(key, value)


def _container(container: Json) -> None:
    image = container.get("image", "")
    tail = image.rpartition("/")[2]
    newest = "@" not in tail and (":" not in tail or tail.endswith(":latest"))
    _fill(
        container,
        imagePullPolicy="Always" if newest else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in container.get("ports") or []:
        _fill(port, protocol="TCP")
    for name in _PROBES:
        if container.get(name):
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and "httpGet" in hook:
            _fill(hook["httpGet"], path="/", scheme="HTTP")
    for variable in container.get("env") or []:
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field is not None:
            _fill(field, apiVersion="v1")


def _probe(probe: Json) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in probe:
        _fill(probe["httpGet"], path="/", scheme="HTTP")
    if "grpc" in probe:
        _fill(probe["grpc"], service="")


def _volume(volume: Json) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for name in _MODED:
        if name in volume:
            _fill(volume[name], defaultMode=420)
    if "hostPath" in volume:
        _fill(volume["hostPath"], type="")
    for source in (volume.get("projected") or {}).get("sources") or []:
        if "serviceAccountToken" in source:
            _fill(source["serviceAccountToken"], expirationSeconds=3600)
        for item in (source.get("downwardAPI") or {}).get("items") or []:
            if "fieldRef" in item:
                _fill(item["fieldRef"], apiVersion="v1")
    for item in (volume.get("downwardAPI") or {}).get("items") or []:
        if "fieldRef" in item:
            _fill(item["fieldRef"], apiVersion="v1")
