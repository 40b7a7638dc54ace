"""Failures as the client raises them, made from the answers that the API gives."""

import json
from typing import Any

from installer.cluster.classifier import classify_answer
from installer.cluster.failures import ApiFailure, CallContext
from installer.core.objects import ObjectRef


def refusal(code: int, ref: ObjectRef | str, verb: str = "patch", **status: Any) -> ApiFailure:
    """The failure that the client raises for such an answer."""
    kind = ref.kind if isinstance(ref, ObjectRef) else ""
    body = {"kind": "Status", "status": "Failure", "code": code, **status}
    context = CallContext(verb, str(ref), kind)
    return ApiFailure.of(classify_answer(code, {}, json.dumps(body).encode(), context))


def no_such_api(ref: ObjectRef) -> ApiFailure:
    context = CallContext("patch", str(ref), ref.kind)
    return ApiFailure.of(classify_answer(404, {}, b"404 page not found", context))


def caused(code: int, ref: ObjectRef, *causes: tuple[str, str, str]) -> ApiFailure:
    """With causes of (reason, field, message)."""
    details = {"causes": [{"reason": r, "field": f, "message": m} for r, f, m in causes]}
    return refusal(code, ref, message="; ".join(m for *_, m in causes), details=details)
