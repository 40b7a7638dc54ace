"""Follows a run to its end and lets the operator answer failures on the terminal."""

import asyncio
import getpass
from collections.abc import AsyncIterator
from typing import TypeVar

from installer.core.commands import Verb
from installer.core.errors import ExitCode
from installer.core.events import Progress, Recorded, StepFailed
from installer.core.state import RunState
from installer.session import Attached
from installer.views.output import Output

_ANSWERS = {"r": Verb.RETRY, "s": Verb.SKIP, "a": Verb.ABORT, "d": Verb.ACCEPT_DRIFT}


SILENCE = 30.0  # seconds after which a view says that it is still there

T = TypeVar("T")


async def with_silence(news: AsyncIterator[T], seconds: float) -> AsyncIterator[T | None]:
    """The items as they come, and None whenever none came for so long."""
    following = asyncio.ensure_future(anext(news, _END))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=seconds)
            if not done:
                yield None
                continue
            item = following.result()
            if isinstance(item, _End):
                return
            yield item
            following = asyncio.ensure_future(anext(news, _END))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


class _End:
    """No more news."""


_END = _End()


async def follow(attached: Attached, output: Output) -> ExitCode:
    """Shows everything until the run is over. Leaving (Ctrl+C) does not stop the engine."""
    for line in attached.repairs:
        output.say(line)
    news = with_silence(attached.news(), SILENCE)
    try:
        async for item in news:
            state = attached.state
            if item is None:
                output.still_going(state)
                continue
            if isinstance(item, Progress):
                output.progress(item, state)
                continue
            output.record(item, state)
            if output.can_ask and _waits_for_answer(item, state):
                await _answer(attached, item, output)
    finally:
        await attached.leave()
    attached.reap()
    return attached.exit_code()


def _waits_for_answer(record: Recorded, state: RunState) -> bool:
    event = record.event
    return isinstance(event, StepFailed) and event.step in state.failed


async def _answer(attached: Attached, record: Recorded, output: Output) -> None:
    """Asks until an answer is taken; the end of the keyboard's input stops the run."""
    event = record.event
    assert isinstance(event, StepFailed)
    plan = attached.state.plan
    assert plan is not None  # no step runs, or fails, before a plan was approved
    step = next((s for s in plan.steps if s.id == event.step), None)
    choices = ["r try again"]
    if step is not None and step.lost_if_skipped:
        choices.append(f"s skip (lost: {step.lost_if_skipped})")
    if event.error.code == "DRIFT":
        choices.append("d set back what others changed")
    choices.append("a stop here, everything done stays done")
    while True:
        letter = output.ask(f"{'; '.join(choices)}: ") or "a"
        verb = _ANSWERS.get(letter[:1].lower())
        if verb is None:
            continue
        reply = await attached.command(verb, by=getpass.getuser(), step=event.step)
        if not reply.refused:
            return
        output.say(f"Not done: {reply.refused}")
        for line in reply.changed:
            output.say(f"  {line}")
        if verb is Verb.ABORT:
            return
