"""What can be wrong with a kubeconfig, in words."""

import difflib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from installer.cluster.credentials import Grant
from installer.core.errors import ExitCode, InstallError

_ANOTHER = "Give another kubeconfig, with --kubeconfig or in the settings."


def as_error(path: Path, problem: Mapping[str, Any]) -> InstallError:
    """The reader's finding as an error of the run."""
    kind = problem["kind"]
    detail = str(problem.get("detail", ""))
    match kind:
        case "no-file":
            return _error(
                "MISSING", f"There is no kubeconfig {path}", "The file does not exist.", _ANOTHER
            )
        case "unreadable":
            return _error("INVALID", f"The kubeconfig {path} cannot be read", detail, _ANOTHER)
        case "not-yaml":
            return _error(
                "INVALID",
                f"The kubeconfig {path} is not YAML",
                detail,
                "Mend the line, or give another file.",
            )
        case "no-context":
            return _no_context(path, problem)
        case "basic" | "auth-provider":
            return _unsupported(path, problem)
        case "exec-terminal" | "exec-missing" | "exec-failed":
            return _plugin(path, problem)
        case _:
            return invalid(path, detail)


def invalid(path: Path, why: str) -> InstallError:
    return _error(
        "INVALID",
        f"The kubeconfig {path} cannot be used",
        why,
        "Fetch it anew from the cluster's administrators, or mend what is named.",
    )


def _no_context(path: Path, problem: Mapping[str, Any]) -> InstallError:
    wanted, known = str(problem["wanted"]), [str(name) for name in problem["known"]]
    if not wanted:
        cause = "It has no current-context, and none was asked for."
    else:
        close = difflib.get_close_matches(wanted, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        asked = "asked for" if problem["given"] else "its current-context"
        cause = f"The context {wanted!r} ({asked}) is not in it.{hint}"
    listed = ", ".join(sorted(known)) or "none at all"
    return _error(
        "CONTEXT",
        f"The kubeconfig {path} has no such context",
        cause,
        f"Name one that it has: {listed}.",
    )


def _unsupported(path: Path, problem: Mapping[str, Any]) -> InstallError:
    user = problem.get("user", "")
    if problem["kind"] == "basic":
        cause = (
            f"The user {user!r} logs in with a name and a password; Kubernetes took that out in "
            "1.19, no supported cluster accepts it."
        )
    else:
        cause = (
            f"The user {user!r} uses the auth-provider {problem.get('provider')!r}; Kubernetes "
            "took those out in 1.26 in favour of exec plugins."
        )
    return _error(
        "AUTH",
        f"The kubeconfig {path} logs in in a way that is not supported",
        cause,
        "Use a kubeconfig with a certificate, a token or an exec plugin.",
    )


def _plugin(path: Path, problem: Mapping[str, Any]) -> InstallError:
    command = problem.get("command", "")
    hint = f" {problem['hint']}" if problem.get("hint") else ""
    match problem["kind"]:
        case "exec-missing":
            cause = f"The program {command!r} that it names is not there or cannot be run."
            remedy = f"Install it on this machine, or put it on the PATH.{hint}"
        case "exec-terminal":
            cause = f"{command!r} has interactiveMode Always: it must ask at a terminal."
            remedy = (
                "The installation runs without a keyboard for an hour or more: use a plugin or an "
                "account that needs none, a service account's token for instance."
            )
        case _:
            cause = f"{command!r} failed: {problem.get('detail', '')}"
            remedy = f"Run it by hand, log in again if it says so, then try again.{hint}"
    return _error(
        "EXEC",
        "The kubeconfig's exec plugin gives no credentials",
        cause,
        remedy,
        exit_code=ExitCode.UNREACHABLE,
    )


def plugin_hangs(path: Path, command: str, seconds: float) -> InstallError:
    if not command:
        return invalid(path, f"it could not be read within {seconds:g} s")
    return _error(
        "EXEC",
        "The kubeconfig's exec plugin does not end",
        f"{command!r} gave no answer within {seconds:g} s and was stopped. It has no terminal "
        "here: it may be waiting for somebody to log in.",
        "Run it by hand, log in if it asks, and try again.",
        exit_code=ExitCode.UNREACHABLE,
    )


def expired(grant: Grant, now: datetime, *, renewable: bool) -> InstallError | None:
    """An error if the credentials have ended by this machine's clock."""
    if grant.expires is None or grant.expires > now:
        return None
    what = "client certificate" if grant.certificate else "token"
    source = " that the exec plugin gave" if renewable else ""
    return _error(
        "EXPIRED",
        f"The kubeconfig's {what} has expired",
        f"The {what}{source} was valid until {grant.expires:%Y-%m-%d %H:%M} UTC; this machine's "
        f"clock says {now:%Y-%m-%d %H:%M} UTC.",
        "See that the clock is right, then fetch a new kubeconfig (on a control plane of kubeadm: "
        "kubeadm certs renew admin.conf).",
        exit_code=ExitCode.UNREACHABLE,
    )


def _error(
    code: str, title: str, cause: str, remedy: str, *, exit_code: ExitCode = ExitCode.SETTINGS
) -> InstallError:
    return InstallError(
        f"KUBECONFIG-{code}", title, cause, remedy, retryable=True, exit_code=exit_code
    )
