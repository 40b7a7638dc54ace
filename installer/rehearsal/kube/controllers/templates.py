"""Pods from templates, and the hash by which a template is known."""

import hashlib
import json
from typing import Any

from installer.rehearsal.kube.problems import Json

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Any) -> str:
    """Ten letters that differ when the template does."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def reference_to(owner: Json) -> Json:
    """The ownerReference of a controller to what it makes."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_from(owner: Json, template: Json, name: str, labels: Json | None = None) -> Json:
    """A pod as a controller creates it; a name that ends in `-` is completed by the API."""
    metadata = template.get("metadata") or {}
    naming = {"generateName": name} if name.endswith("-") else {"name": name}
    return {
        "metadata": {
            **naming,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **(labels or {})},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [reference_to(owner)],
        },
        "spec": template["spec"],
    }


def share(value: Any, whole: int, *, up: bool) -> int:
    """An int-or-percent (`25%`) of `whole`, rounded up or down."""
    if isinstance(value, int):
        return value
    percent = int(str(value).rstrip("%"))
    return -(-whole * percent // 100) if up else whole * percent // 100
