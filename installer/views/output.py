"""Where the command line's words go: plain lines or JSON lines."""

import os
import sys
from pathlib import Path
from typing import TextIO

from installer.core.errors import ExitCode, InstallError
from installer.core.events import Progress, Recorded
from installer.core.state import RunState
from installer.core.survey import PlanReport
from installer.core.version import PRODUCT_VERSION
from installer.session import Session, time_left
from installer.views.json_lines import JsonView
from installer.views.keyboard import ask
from installer.views.options import Options
from installer.views.plain import PlainView, failure_lines
from installer.views.plan_words import plan_lines


def _can_redraw(out: TextIO) -> bool:
    """Whether a line can be wiped and drawn again; a dumb terminal would show the codes."""
    return out.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


class Output:
    """One of the two views, chosen by ``--json``."""

    def __init__(self, options: Options, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._json = JsonView(out) if options.json else None
        self.directory: Path | None = None  # of the install, once it is known
        self.engine_started = False
        self._plain = PlainView(out, terminal=_can_redraw(out), left=time_left)

    @property
    def can_ask(self) -> bool:
        """Whether somebody can answer: plain words on a terminal with a keyboard."""
        return self._json is None and self._out.isatty() and sys.stdin.isatty()

    def hello(self, session: Session) -> None:
        self.directory = session.directory.root
        if self._json is not None:
            self._json.hello(
                PRODUCT_VERSION,
                session.settings.install_id,
                str(session.directory.root),
                session.is_rehearsal,
            )

    def plan(self, report: PlanReport) -> None:
        if self._json is not None:
            self._json.plan(report.plan, report.survey.to_json())
            return
        for line in plan_lines(report):
            self._plain.say(line)
        self._plain.say()

    def record(self, record: Recorded, state: RunState) -> None:
        if self._json is not None:
            self._json.record(record)
        else:
            self._plain.record(record, state)

    def progress(self, progress: Progress, state: RunState) -> None:
        if self._json is not None:
            self._json.progress(progress)
        else:
            self._plain.progress(progress, state)

    def still_going(self, state: RunState) -> None:
        """After a long silence: what is going on, for somebody who wonders whether it hangs."""
        if self._json is None:
            self._plain.still_going(state)

    def say(self, text: str) -> None:
        """Words for a person; a program that reads JSON needs none of them."""
        if self._json is None:
            self._plain.say(text)

    def hint(self, text: str) -> None:
        """What takes a moment now; only for somebody who sits and waits."""
        if self._json is None and self._out.isatty():
            self._plain.say(text)

    def raw(self, text: str) -> None:
        """What was asked for itself (a schema, file names), in either view."""
        self._out.write(text + "\n")

    def ask(self, question: str) -> str:
        """One line from the keyboard; empty at its end."""
        return ask(question, self._out)

    def left(self) -> None:
        """Ctrl+C ended the view: what goes on without it."""
        goes_on = "The engine goes on; --resume attaches to it."
        self._err.write(f"\nLeft. {goes_on if self.engine_started else 'Nothing was started.'}\n")

    def problem(self, error: InstallError) -> None:
        if self._json is not None:
            self._json.problem(error.report().to_json())
            return
        self._out.flush()
        for _, text in failure_lines(error.report()):
            self._err.write(f"{text}\n")

    def end(self, code: ExitCode) -> None:
        if self._json is not None:
            self._json.end(int(code))
