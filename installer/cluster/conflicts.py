"""Field conflicts of server-side apply: which we settle by ourselves, and how.

Two cases are ours to settle: a conflict with an older manager of our own, and fields that another
controller is meant to own (an autoscaler's replicas, an injected CA bundle), which we then no
longer send. Anything else is somebody's decision and not overridden unseen.
"""

import copy
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from installer.cluster.failures import FieldConflict
from installer.core.objects import FIELD_MANAGER, Manifest

# Who changes .spec.replicas because an autoscaler tells it to. People use other manager names.
AUTOSCALERS = frozenset({"kube-controller-manager", "horizontal-pod-autoscaler", "keda-operator"})

_PART = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<keys>(?:\"(?:[^\"\\]|\\.)*\"|[^\]\"])*)\]")
_KEY = re.compile(r"(\w+)=(\"(?:[^\"\\]|\\.)*\"|[^,]+)")


@dataclass(frozen=True)
class Settled:
    """What to send instead; ``force`` only where all that is left is our own."""

    manifest: Manifest
    force: bool


def settle(
    manifest: Manifest, conflicts: Sequence[FieldConflict], *, take_back: bool
) -> Settled | None:
    """A way out of the conflicts, or None. ``take_back``: the operator saw and accepted them."""
    co_owned = [conflict for conflict in conflicts if is_co_owned(conflict)]
    rest = [conflict for conflict in conflicts if not is_co_owned(conflict)]
    if not take_back and not all(is_our_manager(conflict.manager) for conflict in rest):
        return None
    if not conflicts:
        return None
    return Settled(without(manifest, (conflict.path for conflict in co_owned)), force=bool(rest))


def is_our_manager(name: str) -> bool:
    return name == FIELD_MANAGER or name.startswith(f"{FIELD_MANAGER}-")


def is_co_owned(conflict: FieldConflict) -> bool:
    if conflict.path == ".spec.replicas":
        return conflict.manager in AUTOSCALERS
    return conflict.path.endswith((".clientConfig.caBundle", ".spec.caBundle"))


def without(manifest: Manifest, paths: Iterable[str]) -> Manifest:
    """A copy without the fields at these paths, in the form in which the API prints them:
    ``.webhooks[name="x"].clientConfig.caBundle``."""
    result = copy.deepcopy(manifest)
    for path in paths:
        _drop(result, _parts(path))
    return result


def _parts(path: str) -> list[str | dict[str, Any]]:
    parts: list[str | dict[str, Any]] = []
    for match in _PART.finditer(path):
        if match["name"] is not None:
            parts.append(match["name"])
        else:
            keys = _KEY.findall(match["keys"])
            parts.append({name: _literal(value) for name, value in keys})
    return parts


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _drop(node: Any, parts: list[str | dict[str, Any]]) -> None:
    for part in parts[:-1]:
        node = _below(node, part)
        if node is None:
            return
    last = parts[-1]
    if isinstance(last, str) and isinstance(node, dict):
        node.pop(last, None)


def _below(node: Any, part: str | dict[str, Any]) -> Any:
    if isinstance(part, str):
        return node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, list):
        return None
    for element in node:
        if isinstance(element, dict) and all(element.get(k) == v for k, v in part.items()):
            return element
    return None
