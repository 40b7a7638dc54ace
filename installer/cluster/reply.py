"""An HTTP answer of the API taken apart: its Status object, or what stands there instead."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An HTTP answer with its Status object taken apart; empty parts where it has none."""

    status: int
    text: str
    retry_after: float | None
    is_status: bool
    reason: str
    message: str
    details_kind: str
    details_name: str
    causes: tuple[tuple[str, str, str], ...]  # (reason, field, message)

    @property
    def cause_reasons(self) -> frozenset[str]:
        return frozenset(reason for reason, _, _ in self.causes)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(path for _, path, _ in self.causes if path)


def _seconds(value: object) -> float | None:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return None


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    text = body[:4000].decode("utf-8", "replace").strip()
    data: Any = None
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    is_status = isinstance(data, dict) and data.get("kind") == "Status"
    found: dict[str, Any] = data if is_status else {}
    details = found.get("details")
    details = details if isinstance(details, dict) else {}
    listed = details.get("causes")
    causes = [cause for cause in listed if isinstance(cause, dict)] if listed else []
    code = found.get("code")
    retry_after = _seconds(headers.get("retry-after", ""))
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = _seconds(details["retryAfterSeconds"])
    return Reply(
        status=code if isinstance(code, int) and code else status,
        text=text,
        retry_after=retry_after,
        is_status=is_status,
        reason=str(found.get("reason") or ""),
        message=str(found.get("message") or text),
        details_kind=str(details.get("kind") or ""),
        details_name=str(details.get("name") or ""),
        causes=tuple(
            (str(c.get("reason") or ""), str(c.get("field") or ""), str(c.get("message") or ""))
            for c in causes
        ),
    )
