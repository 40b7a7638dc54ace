"""Hashes: of an object as we declared it, and of the configuration that a pod was started with.

Both are keyed (``core.canonical.keyed_digest``) over the planned form, in which a digest stands in
for each secret: a change of a secret restarts its readers, and no hash tells anything about it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from installer.core.canonical import keyed_digest
from installer.core.objects import ANNOTATION_HASH, Manifest
from manifests.derive.podtemplates import containers, is_workload, pod_template

CHECKSUM = "checksum/"  # prefix of a pod's annotation; the name of what it mounts follows


def mark_configuration(objects: Sequence[Manifest], key: bytes) -> None:
    """Annotates each pod template with the hashes of what its containers read."""
    contents = {
        (m["kind"], m["metadata"].get("namespace", ""), m["metadata"]["name"]): m
        for m in objects
        if m["kind"] in ("ConfigMap", "Secret")
    }
    for manifest in objects:
        if not is_workload(manifest):
            continue
        namespace = manifest["metadata"]["namespace"]
        marks = {}
        for kind, name in sorted(set(read_by(manifest))):
            source = contents.get((kind, namespace, name))
            if source is not None:
                data = [source.get(part) for part in ("data", "stringData", "binaryData")]
                marks[f"{CHECKSUM}{kind.lower()}-{name}"] = keyed_digest(key, data)
        if marks:
            meta = pod_template(manifest).setdefault("metadata", {})
            meta["annotations"] = {**(meta.get("annotations") or {}), **marks}


def read_by(manifest: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(kind, name) of each ConfigMap and Secret that a workload's pods read."""
    spec = pod_template(manifest)["spec"]
    for volume in spec.get("volumes", ()):
        sources = [volume, *volume.get("projected", {}).get("sources", ())]
        for source in sources:
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
            if "secret" in source:
                secret = source["secret"]
                yield "Secret", secret.get("secretName") or secret["name"]
    for container in containers(manifest):
        for entry in container.get("envFrom", ()):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in entry:
                    yield kind, entry[key]["name"]
        for variable in container.get("env", ()):
            source = variable.get("valueFrom", {})
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"]


def mark_content(manifest: Manifest, key: bytes) -> None:
    """Sets the annotation with the hash of all else in the object."""
    annotations = manifest["metadata"].setdefault("annotations", {})
    annotations.pop(ANNOTATION_HASH, None)
    annotations[ANNOTATION_HASH] = keyed_digest(key, manifest)
