"""The operator's own changes to objects: JSON merge patches (RFC 7386) by KIND/NAME."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from installer.core.objects import Manifest
from installer.core.settings_problem import Finding

PATCHED = "matrix-install.io/patched-by"  # annotation: whose change this is


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: mappings are merged, null removes, anything else replaces."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def patch_name(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"


def apply_patches(
    component: str, objects: Sequence[Manifest], patches: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Manifest], list[Finding]]:
    """The objects with the patches merged in, and what is wrong with the patches."""
    names = [patch_name(manifest) for manifest in objects]
    findings = []
    for key in patches:
        if names.count(key.lower()) != 1:
            near = ", ".join(sorted(set(names)))
            why = "more than one object" if key.lower() in names else "no such object"
            findings.append(Finding(("components", component, "patches", key), why, near))
    result = []
    for manifest in objects:
        patch = next((p for k, p in patches.items() if k.lower() == patch_name(manifest)), None)
        if patch is None:
            result.append(manifest)
            continue
        changed = merge(manifest, patch)
        changed["metadata"].setdefault("annotations", {})[PATCHED] = "operator"
        if _identity(changed) != _identity(manifest):
            why = (
                "kind, name, namespace, selector and labels of an object are not changed by patches"
            )
            findings.append(
                Finding(("components", component, "patches", patch_name(manifest)), why)
            )
        result.append(changed)
    return result, findings


def _identity(manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    meta = manifest.get("metadata", {})
    spec = manifest.get("spec", {})
    return (
        manifest.get("apiVersion"),
        manifest.get("kind"),
        meta.get("name"),
        meta.get("namespace"),
        meta.get("labels"),
        spec.get("selector") if isinstance(spec, Mapping) else None,
    )
