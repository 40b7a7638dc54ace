"""Finds what rendered objects name and nobody makes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from installer.core.objects import Manifest
from manifests.derive.podtemplates import containers, is_workload, pod_template
from manifests.derive.rollout import read_by
from tests.unit.manifests.samples import key_of


def unresolved(objects: Sequence[Manifest]) -> list[str]:
    """One line for each thing that is named and not there: namespace, Secret, Service, port."""
    known = {key_of(m): m for m in objects}
    return [line for manifest in objects for line in _of(manifest, known, objects)]


def _of(
    manifest: Manifest, known: Mapping[tuple[str, str, str], Manifest], objects: Sequence[Manifest]
) -> Iterator[str]:
    kind, namespace, name = key_of(manifest)
    if namespace and ("Namespace", "", namespace) not in known:
        yield f"{kind} {name}: namespace {namespace}"
    if is_workload(manifest):
        for source, wanted in read_by(manifest):
            if (source, namespace, wanted) not in known:
                yield f"{kind} {name}: {source} {wanted}"
        yield from _of_pods(manifest, known)
    if kind == "Service":
        yield from _of_service(manifest, objects)
    if kind in ("NetworkPolicy", "PodDisruptionBudget"):
        spec = manifest["spec"]
        selector = spec.get("podSelector", spec.get("selector")).get("matchLabels", {})
        if selector and not list(selected(objects, namespace, selector)):
            yield f"{kind} {name}: selects no pods"


def _of_pods(manifest: Manifest, known: Mapping[tuple[str, str, str], Manifest]) -> Iterator[str]:
    kind, namespace, name = key_of(manifest)
    spec = pod_template(manifest)["spec"]
    if ("PriorityClass", "", spec["priorityClassName"]) not in known:
        yield f"{kind} {name}: priority class {spec['priorityClassName']}"
    if (
        kind == "StatefulSet"
        and ("Service", namespace, manifest["spec"]["serviceName"]) not in known
    ):
        yield f"{kind} {name}: Service {manifest['spec']['serviceName']}"
    for pull in spec.get("imagePullSecrets", ()):
        if ("Secret", namespace, pull["name"]) not in known:
            yield f"{kind} {name}: Secret {pull['name']}"
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in containers(manifest):
        ports = {port["name"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port is not None and port not in ports:
                yield f"{kind} {name}: {probe} asks port {port}"
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                yield f"{kind} {name}: volume {mount['name']}"
    labels = pod_template(manifest)["metadata"]["labels"]
    if not manifest["spec"]["selector"]["matchLabels"].items() <= labels.items():
        yield f"{kind} {name}: its selector does not match its own pods"


def _of_service(manifest: Manifest, objects: Sequence[Manifest]) -> Iterator[str]:
    _, namespace, name = key_of(manifest)
    behind = list(selected(objects, namespace, manifest["spec"]["selector"]))
    if not behind:
        yield f"Service {name}: selects no pods"
    for port in manifest["spec"]["ports"]:
        for workload in behind:
            offered = {p["name"] for c in containers(workload) for p in c.get("ports", ())}
            if port["targetPort"] not in offered:
                yield f"Service {name}: port {port['targetPort']}"


def selected(
    objects: Sequence[Manifest], namespace: str, selector: Mapping[str, Any]
) -> Iterator[Manifest]:
    """The workloads whose pods a selector matches."""
    for manifest in objects:
        here = is_workload(manifest) and manifest["metadata"]["namespace"] == namespace
        if here and any(selector.items() <= labels.items() for labels in _labels_of_pods(manifest)):
            yield manifest


def _labels_of_pods(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """With the label that Kubernetes gives to each pod of a StatefulSet."""
    labels = pod_template(manifest)["metadata"]["labels"]
    if manifest["kind"] != "StatefulSet":
        yield labels
        return
    for number in range(manifest["spec"]["replicas"]):
        pod = f"{manifest['metadata']['name']}-{number}"
        yield {**labels, "statefulset.kubernetes.io/pod-name": pod}
