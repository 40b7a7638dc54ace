"""Rules that every rendered object keeps, whatever templates and patches say."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from installer.core.objects import Manifest
from manifests.component import Component, Image
from manifests.derive.kinds import kind_of
from manifests.derive.podtemplates import containers, is_workload, pod_template


def broken_rules(
    component: Component,
    objects: Sequence[Manifest],
    *,
    pod_security: Mapping[str, str],
    secret_texts: Sequence[str],
) -> list[tuple[Manifest, str]]:
    """(object, rule that it breaks). ``pod_security`` holds the level of each namespace of ours.

    ``secret_texts`` are what stands for secrets in this rendering: none may be outside a Secret.
    """
    return [
        (manifest, why)
        for manifest in objects
        for why in _of(component, manifest, pod_security, secret_texts)
    ]


def _of(
    component: Component,
    manifest: Manifest,
    pod_security: Mapping[str, str],
    secret_texts: Sequence[str],
) -> Iterable[str]:
    kind = kind_of(manifest["apiVersion"], manifest["kind"])
    namespace = manifest["metadata"].get("namespace", "")
    if kind.namespaced and namespace not in pod_security:
        yield f"namespace {namespace or '(none)'} is none of the install's"
    if not kind.namespaced and namespace:
        yield "a cluster-scoped kind with a namespace"
    if manifest["kind"] != "Secret":
        texts = list(_texts(manifest))
        if any(secret in text for secret in secret_texts for text in texts):
            yield "a secret stands outside a Secret"
    if is_workload(manifest):
        for container in containers(manifest):
            yield from _image(component, container)
            yield from _memory(container)
        if pod_security.get(namespace) == "restricted":
            yield from _restricted(manifest)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def version(text: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version: ``v1.88.0-alpine`` is (1, 88, 0)."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _image(component: Component, container: Mapping[str, Any]) -> Iterable[str]:
    name = str(container.get("image", ""))
    declared = _declared(component, name)
    if declared is None:
        yield f"container {container['name']}: image {name or '(none)'} is not declared"
        return
    tag = name.partition("@")[0].rpartition(":")[2]
    if not version(tag):
        yield f"container {container['name']}: image {name} has no version in its tag"
    elif declared.floor and version(tag) < version(declared.floor):
        yield (
            f"container {container['name']}: image {name} is older than {declared.floor}: "
            f"{declared.floor_reason}"
        )


def _declared(component: Component, name: str) -> Image | None:
    repository = name.partition("@")[0].rpartition(":")[0]
    for image in component.images:
        if repository == image.repository or repository.endswith(f"/{image.repository}"):
            return image
    return None


def _memory(container: Mapping[str, Any]) -> Iterable[str]:
    resources = container.get("resources", {})
    limit = resources.get("limits", {}).get("memory")
    if limit is None:
        yield f"container {container['name']}: no memory limit"
    elif resources.get("requests", {}).get("memory") != limit:
        yield f"container {container['name']}: memory request and limit differ"


def _restricted(manifest: Mapping[str, Any]) -> Iterable[str]:
    """The Pod Security Standard "restricted", as far as our objects touch it.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    spec = pod_template(manifest)["spec"]
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key} in a restricted namespace"
    if any("hostPath" in volume for volume in spec.get("volumes", ())):
        yield "a hostPath volume in a restricted namespace"
    pod = spec.get("securityContext", {})
    for container in containers(manifest):
        own = container.get("securityContext", {})
        name = container["name"]
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"container {name}: may run as root"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"container {name}: runs as root"
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"container {name}: may gain privileges"
        if "ALL" not in own.get("capabilities", {}).get("drop", ()):
            yield f"container {name}: keeps capabilities"
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in (
            "RuntimeDefault",
            "Localhost",
        ):
            yield f"container {name}: has no seccomp profile"
        if any(port.get("hostPort") for port in container.get("ports", ())):
            yield f"container {name}: a host port in a restricted namespace"
