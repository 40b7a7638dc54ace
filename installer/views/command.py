"""What the command line does, without a screen: each action from its words to its exit code."""

import asyncio
import getpass
import json
import sys
from typing import TextIO

from installer.core.errors import ExitCode, InstallError
from installer.core.plan import RunKind
from installer.core.survey import PlanReport
from installer.session import Inputs, Rehearsal, Request, Session, fault_lines, schema, unforeseen
from installer.views.consent import confirm_destruction, confirm_plan
from installer.views.follow import follow
from installer.views.keyboard import ask_hidden
from installer.views.options import Options
from installer.views.output import Output


def run(options: Options, out: TextIO, err: TextIO) -> ExitCode:
    """Carries the action out. Errors are told in words on ``err``, or as a JSON line on ``out``."""
    output = Output(options, out, err)
    try:
        code = asyncio.run(_act(options, output))
    except InstallError as error:
        output.problem(error)
        code = error.exit_code
    except KeyboardInterrupt:
        output.left()
        code = ExitCode.REFUSED
    except BrokenPipeError:
        raise
    except Exception as defect:
        known = unforeseen(output.directory, defect)
        output.problem(known)
        code = known.exit_code
    output.end(code)
    return code


async def _act(options: Options, output: Output) -> ExitCode:
    match options.action:
        case "schema":
            output.raw(json.dumps(schema(), indent=2, sort_keys=True, ensure_ascii=False))
            return ExitCode.OK
        case "faults":
            for line in fault_lines():
                output.raw(line)
            return ExitCode.OK
    session = Session.open(_inputs(options))
    output.hello(session)
    match options.action:
        case "plan":
            return await _show_plan(session, options, output)
        case "render":
            return await _render(session, options, output)
        case "resume":
            return await _resume(session, options, output)
        case "uninstall":
            request = Request(RunKind.UNINSTALL, options.uninstall_mode == "destroy")
            return await _run(session, options, output, request)
        case _:
            return await _run(session, options, output, Request())


def _inputs(options: Options) -> Inputs:
    rehearsal = None
    if options.rehearse:
        rehearsal = Rehearsal(options.rehearse_speed, options.rehearse_faults)
    return Inputs(
        answers=options.answers,
        directory=options.directory,
        kubeconfig=options.kubeconfig,
        context=options.context,
        rehearsal=rehearsal,
    )


async def _show_plan(session: Session, options: Options, output: Output) -> ExitCode:
    request = Request(consents=options.yes_destroy)
    session.check_given(options.secrets)
    if session.is_established:
        await _open(session, options)
        output.plan(await session.plan(request))
        return ExitCode.OK
    async with session.preview() as preview:
        output.plan(await preview.plan(request))
    return ExitCode.OK


async def _render(session: Session, options: Options, output: Output) -> ExitCode:
    assert options.render_to is not None
    if session.is_established:
        await _open(session, options)
    elif options.render_secrets:
        raise InstallError(
            code="RENDER-NO-SECRETS",
            title="There are no secrets to render yet",
            cause=f"{session.directory.root} holds no sealed secrets.",
            remedy="Install first, or leave --render-secrets out: placeholders stand in then.",
            exit_code=ExitCode.REFUSED,
        )
    for path in session.render(options.render_to, with_secrets=options.render_secrets):
        output.raw(str(path))
    return ExitCode.OK


async def _resume(session: Session, options: Options, output: Output) -> ExitCode:
    if session.engine() is not None:
        return await _attach(session, output)
    request = session.interrupted()
    session.calm()
    return await _run(session, options, output, request, resuming=True)


async def _run(
    session: Session, options: Options, output: Output, request: Request, *, resuming: bool = False
) -> ExitCode:
    if session.engine() is not None:
        return await _attach(session, output)
    if not options.yes and not output.can_ask:
        raise _nobody_to_ask("accept the plan", "--yes")
    session.require_target()
    for line in session.cautions():
        output.say(line)
    await _open(session, options, establish=True)
    output.hint("Looking at the cluster ...")
    request = Request(
        request.kind, request.destroy, tuple({*request.consents, *options.yes_destroy})
    )
    report = await session.plan(request)
    output.plan(report)
    by, accepted = _approval(session, options, output, report, resuming)
    if not accepted:
        output.say("Nothing was changed.")
        return ExitCode.REFUSED
    typed = confirm_destruction(report.plan, request.consents, output)
    request = Request(request.kind, request.destroy, tuple({*request.consents, *typed}))
    output.hint("Starting the engine ...")
    output.engine_started = True
    attached = await session.start(
        report.plan, request, by=by, unattended=not output.can_ask or options.yes
    )
    return await follow(attached, output)


def _approval(
    session: Session, options: Options, output: Output, report: PlanReport, resuming: bool
) -> tuple[str, bool]:
    """Who approves, and whether."""
    user = getpass.getuser()
    if resuming:
        beyond = session.beyond_last_approval(report.plan)
        if not beyond:
            return f"{user} (the plan approved before)", True
        output.say("This goes beyond the plan that was approved before:")
        for line in beyond:
            output.say(f"  {line}")
    return user, options.yes or confirm_plan(report.plan, output)


async def _attach(session: Session, output: Output) -> ExitCode:
    output.engine_started = True
    output.say(f"An engine is at work here: {session.engine()}. Attaching.")
    return await follow(await session.attach(), output)


async def _open(session: Session, options: Options, *, establish: bool = False) -> None:
    """Gets the key, from files or the terminal, and opens or makes the sealed secrets."""
    if not session.unlock_with(options.passphrase_file, options.identity_file):
        session.unlock(_asked_passphrase(session))
    if establish:
        await session.establish(options.secrets)
    else:
        await session.open_secrets()


def _asked_passphrase(session: Session) -> str:
    if session.sealed_to_recipients:
        raise _nobody_to_ask("open the secrets", "--identity-file FILE")
    if not sys.stdin.isatty():
        raise _nobody_to_ask("give the passphrase", "--passphrase-file FILE")
    if session.is_established:
        return ask_hidden("Passphrase of the sealed secrets: ")
    while True:
        first = ask_hidden("Choose a passphrase for the secrets (nobody can recover it): ")
        if first == ask_hidden("The same again: "):
            return first
        sys.stderr.write("The two differ. Once more.\n")


def _nobody_to_ask(what: str, option: str) -> InstallError:
    return InstallError(
        code="NOBODY-TO-ASK",
        title=f"There is no terminal on which to {what}",
        cause="Standard input is no terminal, so nothing can be asked.",
        remedy=f"Give {option}, or run in a terminal.",
        exit_code=ExitCode.USAGE,
    )
