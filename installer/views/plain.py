"""``--plain``: one line an event, for pipes, screen readers and slow lines.

On a terminal one more line below the events says what is going on now; it is drawn anew in
place and never stays behind. Nothing rests on colour: there is none.
"""

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import TextIO

from installer.core import events as ev
from installer.core.errors import ErrorReport
from installer.core.plan import Plan
from installer.core.state import RunState, StepState, StepStatus
from installer.views import words

ERASE_LINE = "\r\x1b[K"
_AGAIN = re.compile(r"; again in [\d.]+ s$")


class PlainView:
    """Prints records and progress. ``left`` gives the time left as (low, high) seconds or None."""

    def __init__(
        self,
        out: TextIO,
        *,
        terminal: bool,
        zone: tzinfo | None = None,
        left: Callable[[RunState], tuple[float, float] | None] = lambda state: None,
    ) -> None:
        self._out = out
        self._terminal = terminal
        self._zone = zone
        self._left = left
        self._told: dict[str, set[str]] = {}  # by step: what was told of its waits
        self._status = ""

    def record(self, record: ev.Recorded, state: RunState) -> None:
        """One line for the event; several for a failure, which must explain itself."""
        if isinstance(record.event, ev.StepIntent):
            self._told.pop(record.event.step, None)
        stamp = words.clock_time(record.time, self._zone)
        for word, text in _sentences(record.event, state):
            self._stamped(stamp, word, text)
        self._draw_status(state)

    def progress(self, progress: ev.Progress, state: RunState) -> None:
        """A wait has a line for each thing that it sees for the first time in an attempt, however
        often and when it is tried again."""
        seen = _AGAIN.sub("", progress.text)
        told = self._told.setdefault(progress.step, set())
        if progress.kind == "waiting" and seen not in told:
            told.add(seen)
            stamp = words.clock_time(progress.time, self._zone)
            self._stamped(stamp, "WAIT", f"{_title(state.plan, progress.step)}: {seen}")
        self._draw_status(state)

    def still_going(self, state: RunState) -> None:
        """A sign of life for a log; a terminal's status line is one already."""
        status = status_line(state, self._left(state))
        if status and not self._terminal:
            self._line(f"{words.time_now(self._zone)} {status.replace('RUN ', 'STILL ', 1)}")

    def say(self, text: str = "") -> None:
        """A line that is no event."""
        self._line(text)

    def _stamped(self, stamp: str, word: str, text: str) -> None:
        """One line; on a terminal one that is too long goes on below itself, at a word."""
        line = f"{stamp} {word:<5} {text}"
        width = shutil.get_terminal_size().columns
        if not self._terminal or len(line) < width:
            self._line(line)
            return
        indent = " " * (len(stamp) + 9)
        for part in textwrap.wrap(line, width - 1, subsequent_indent=indent):
            self._line(part)

    def _line(self, text: str) -> None:
        self._clear_status()
        self._out.write(text + "\n")
        self._out.flush()

    def _clear_status(self) -> None:
        if self._status:
            self._out.write(ERASE_LINE)
            self._status = ""

    def _draw_status(self, state: RunState) -> None:
        if not self._terminal:
            return
        status = status_line(state, self._left(state))
        width = shutil.get_terminal_size().columns - 1
        status = status if len(status) <= width else status[: width - 3] + "..."
        self._clear_status()
        self._out.write(status)
        self._out.flush()
        self._status = status


def status_line(state: RunState, left: tuple[float, float] | None) -> str:
    """``RUN 3 of 9 done: Redis for calls. Left 1 to 3 min``; empty when nothing is going on."""
    if state.plan is None:
        return ""
    total = len(state.plan.steps)
    done = sum(
        state.of(step.id).status in (StepStatus.OK, StepStatus.SKIP) for step in state.plan.steps
    )
    going = [
        step.title
        for step in state.plan.steps
        if state.of(step.id).status in (StepStatus.RUN, StepStatus.WAIT)
    ]
    if not going:
        return ""
    rest = f". Left {words.time_range(*left)}" if left else ""
    return f"RUN {done} of {total} done: {words.listed(going, 2)}{rest}"


def _title(plan: Plan | None, step_id: str) -> str:
    for step in plan.steps if plan else ():
        if step.id == step_id:
            return step.title
    return step_id


def _sentences(event: ev.Event, state: RunState) -> list[tuple[str, str]]:
    """State word and text of each line that the event is worth."""
    name = _title(state.plan, getattr(event, "step", ""))
    match event:
        case ev.RunStarted():
            again = f", goes on with run {event.resumes}" if event.resumes else ""
            return [("START", f"{event.kind} {event.install_id}, run {event.run}{again}")]
        case ev.PlanApproved():
            return [("PLAN", f"approved by {event.by}, digest {event.digest[:12]}")]
        case ev.StepIntent():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return [("RUN", f"{name}{again}")]
        case ev.StepDone():
            changed = words.count(len(event.changed), "object") + " changed"
            return [("OK", f"{name}: {changed}, {words.duration(event.seconds)}")]
        case ev.StepUnchanged():
            return [("OK", f"{name}: unchanged")]
        case ev.StepWaiting():
            return [("WAIT", f"{name}: {event.what}")]
        case ev.StepSkipped():
            return [("SKIP", f"{name}: skipped by {event.by}; lost: {event.lost}")]
        case ev.StepFailed():
            return [("FAIL", name), *failure_lines(event.error)]
        case ev.DriftFound():
            return [("DRIFT", f"{name}: {detail}") for detail in event.details]
        case _:
            return _run_sentences(event, name, state.steps.values())


def _run_sentences(event: ev.Event, name: str, steps: Iterable[StepState]) -> list[tuple[str, str]]:
    match event:
        case ev.CommandTaken():
            return [("ASKED", f"{event.command} {name} by {event.by}".replace("  ", " "))]
        case ev.JournalRepaired():
            return [("NOTE", f"{event.file}: a torn last line ({event.cut_bytes} bytes) was cut")]
        case ev.RunPaused():
            return [("PAUSE", f"{event.why}; nothing is half done, --resume goes on")]
        case ev.RunFinished() if event.changed == 0:
            return [("DONE", f"nothing to change, {words.duration(event.seconds)}")]
        case ev.RunFinished():
            changed = words.count(event.changed, "object") + " changed"
            return [("DONE", f"{changed}, {words.duration(event.seconds)}")]
        case ev.RunStopped() if any(step.error == event.error for step in steps):
            return [("STOP", f"{event.error.title}; everything done stays done, --resume goes on")]
        case ev.RunStopped():
            return [("STOP", event.error.title), *failure_lines(event.error)]
        case _:
            return []


def failure_lines(error: ErrorReport) -> list[tuple[str, str]]:
    """Cause, remedy and evidence, wrapped; the first word column stays free."""
    lines = [("", error.code), *(("", part) for part in textwrap.wrap(error.title, 80))]
    for label, text in (("Cause", error.cause), ("Remedy", error.remedy)):
        for index, part in enumerate(textwrap.wrap(text, 80) or [""]):
            lines.append(("", f"{label + ':' if index == 0 else '':<8} {part}"))
    for seen in error.evidence:
        if seen == f"{error.title}: {error.cause}":
            continue
        for index, part in enumerate(textwrap.wrap(seen, 80) or [""]):
            lines.append(("", f"{'Seen:' if index == 0 else '':<8} {part}"))
    return lines
