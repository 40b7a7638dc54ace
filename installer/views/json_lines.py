"""``--json``: one JSON object a line, stable and documented in ``docs/json.md``."""

import json
from typing import Any, TextIO

from installer.core.events import Progress, Recorded
from installer.core.plan import Plan

SCHEMA = 1  # grows when a documented field changes its meaning


class JsonView:
    """Writes ``hello``, ``plan``, ``event``, ``progress`` and ``end`` lines."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def hello(self, product: str, install_id: str, directory: str, rehearsal: bool) -> None:
        self._write(
            "hello",
            schema=SCHEMA,
            product=product,
            install_id=install_id,
            directory=directory,
            rehearsal=rehearsal,
        )

    def plan(self, plan: Plan, survey: dict[str, Any]) -> None:
        self._write("plan", digest=plan.digest, plan=plan.to_json(), survey=survey)

    def record(self, record: Recorded) -> None:
        self._write("event", **record.to_json() | {"event": record.event.type})

    def progress(self, progress: Progress) -> None:
        self._write(
            "progress",
            kind=progress.kind,
            step=progress.step,
            text=progress.text,
            time=progress.time,
        )

    def problem(self, error: dict[str, object]) -> None:
        self._write("problem", error=error)

    def end(self, exit_code: int) -> None:
        self._write("end", exit_code=exit_code)

    def _write(self, line: str, **fields: Any) -> None:
        fields["type"] = line
        self._out.write(json.dumps(fields, sort_keys=True, ensure_ascii=False) + "\n")
        self._out.flush()
