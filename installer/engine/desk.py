"""Takes commands: each id once, none on an outdated picture."""

import asyncio
from collections.abc import Awaitable, Callable

from installer.core import events as ev
from installer.core.commands import Command, Reply, Verb
from installer.engine.recorder import Recorder

STALE = "STALE"
NOT_NOW = "NOT-NOW"
KEPT = 1000  # replies remembered for ids that come again

_RUN_EVENTS = (ev.RunStarted, ev.PlanApproved, ev.RunPaused, ev.RunFinished, ev.RunStopped)
_RUN_COMMANDS = ("pause", "continue", "abort")
_STEP_VERBS = (Verb.RETRY, Verb.SKIP, Verb.ACCEPT_DRIFT)


def missed(command: Command, records: list[ev.Recorded]) -> tuple[str, ...]:
    """What the view that gave the command had not seen and that bears on it.

    The rule: a command about a step is stale when a record behind ``seen`` names that step; any
    command is stale when a record behind ``seen`` began, approved, paused or ended the run, or took
    a pause, continue or abort. What other steps did meanwhile does not matter. ``unlock`` changes
    nothing that can be seen and is never stale.
    """
    if command.verb is Verb.UNLOCK:
        return ()
    return tuple(
        _words(record)
        for record in records
        if record.seq > command.seen and _bears_on(command, record.event)
    )


def _bears_on(command: Command, event: ev.Event) -> bool:
    if isinstance(event, _RUN_EVENTS):
        return True
    if isinstance(event, ev.CommandTaken) and event.command in _RUN_COMMANDS:
        return True
    return command.verb in _STEP_VERBS and getattr(event, "step", "") == command.step


def _words(record: ev.Recorded) -> str:
    event = record.event
    parts = [f"{record.seq} {record.time} {event.type.replace('-', ' ')}"]
    for name in ("command", "step", "by"):
        if value := getattr(event, name, ""):
            parts.append(str(value))
    return " ".join(parts)


class Desk:
    """Answers commands through ``act``, which returns the reply to a command that is not stale."""

    def __init__(self, recorder: Recorder, act: Callable[[Command], Awaitable[Reply]]) -> None:
        self._recorder = recorder
        self._act = act
        self._replies: dict[str, asyncio.Task[Reply]] = {}

    async def take(self, command: Command) -> Reply:
        """The same id gets the same reply, also while the first is still being worked on."""
        task = self._replies.get(command.id)
        if task is None:
            task = asyncio.create_task(self._answer(command))
            self._replies[command.id] = task
            while len(self._replies) > KEPT:
                del self._replies[next(iter(self._replies))]
        # A view that goes away must not cancel what it asked for.
        return await asyncio.shield(task)

    async def _answer(self, command: Command) -> Reply:
        if changed := missed(command, self._recorder.recent):
            return Reply(
                command.id,
                self._recorder.seq,
                "the picture changed since this was asked for; look again",
                changed,
                STALE,
            )
        return await self._act(command)
