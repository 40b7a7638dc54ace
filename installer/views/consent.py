"""Asking before anything is done: the plan as a whole, and each name that is lost for ever."""

from collections.abc import Sequence

from installer.core.errors import ExitCode, InstallError
from installer.core.plan import Plan, RunKind
from installer.views.output import Output


def confirm_plan(plan: Plan, output: Output) -> bool:
    """Whether the operator typed ``yes``; anything else is no."""
    what = "Install" if plan.kind is RunKind.INSTALL else "Uninstall"
    return output.ask(f"{what} as planned? Type yes to go on: ") == "yes"


def confirm_destruction(plan: Plan, given: Sequence[str], output: Output) -> tuple[str, ...]:
    """The names of what is destroyed, typed one by one unless ``--yes-destroy`` gave them.

    Raises InstallError CONSENT-MISSING for a name that nobody confirmed.
    """
    names = list(dict.fromkeys(name for step in plan.steps for name in step.destroys))
    open_names = [name for name in names if name not in given]
    typed = []
    for name in open_names if output.can_ask else ():
        if output.ask(f"{name} is lost for ever. Type its name to go on: ") == name:
            typed.append(name)
            continue
        break
    missing = [name for name in open_names if name not in typed]
    if missing:
        raise InstallError(
            code="CONSENT-MISSING",
            title="Something would be lost that nobody confirmed",
            cause=f"Not confirmed: {', '.join(missing)}.",
            remedy="Type each name when asked, or give --yes-destroy NAME for each.",
            exit_code=ExitCode.REFUSED,
        )
    return tuple(typed)
