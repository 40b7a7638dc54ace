"""The command line: arguments, exit codes, choice of view. Nothing heavy is imported here.

``docs/cli.md`` says the same in prose; a test holds the two together.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from installer.core.errors import ExitCode
from installer.core.version import PRODUCT_VERSION
from installer.views.options import Options

DESCRIPTION = (
    "Installs a production Matrix homeserver on Kubernetes. Nothing is done before it was shown, "
    "nothing done is forgotten, nothing that failed is left unexplained."
)


def parser() -> argparse.ArgumentParser:
    """Every option, in the groups that ``--help`` shows."""
    top = argparse.ArgumentParser(
        prog="matrix-install", description=DESCRIPTION, allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {PRODUCT_VERSION}")
    _add_actions(top.add_argument_group("what to do (default: install)"))
    _add_inputs(top.add_argument_group("what it needs"))
    _add_consent(top.add_argument_group("consent"))
    _add_views(top.add_argument_group("how it speaks"))
    _add_rehearsal(top.add_argument_group("rehearsal"))
    return top


def _add_actions(group: argparse._ArgumentGroup) -> None:
    one = group.add_mutually_exclusive_group()
    one.add_argument("--resume", action="store_true", help="go on with the interrupted install")
    one.add_argument("--plan", action="store_true", help="show the plan in words, change nothing")
    one.add_argument(
        "--render",
        metavar="DIR",
        type=Path,
        help="write the objects as YAML under DIR/cluster-admin and DIR/namespace",
    )
    one.add_argument(
        "--uninstall",
        nargs="?",
        const="keep-data",
        choices=("keep-data", "destroy"),
        help="remove what was installed; volumes and their namespaces stay unless 'destroy'",
    )
    one.add_argument("--schema", action="store_true", help="print the settings' JSON Schema")


def _add_inputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--answers", metavar="FILE", type=Path, help="settings to start from (YAML)")
    group.add_argument(
        "--dir",
        metavar="DIR",
        type=Path,
        help="the install's directory (default: this one if it holds an install, "
        "else install-ID in it)",
    )
    group.add_argument("--kubeconfig", metavar="FILE", type=Path, help="how to reach the cluster")
    group.add_argument("--context", metavar="NAME", default="", help="context of the kubeconfig")
    group.add_argument(
        "--passphrase-file",
        metavar="FILE",
        type=Path,
        help="passphrase of the sealed secrets in its first line (default: asked for)",
    )
    group.add_argument(
        "--identity-file",
        metavar="FILE",
        type=Path,
        help="age identity, where the secrets are sealed to recipients",
    )
    group.add_argument(
        "--secret",
        metavar="NAME=@FILE",
        action="append",
        default=[],
        help="a secret that only you have, out of a file, @- or @fd:N (repeatable)",
    )


def _add_consent(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--yes", action="store_true", help="accept the plan without being asked")
    group.add_argument(
        "--yes-destroy",
        metavar="NAME",
        action="append",
        default=[],
        help="confirm that NAME is destroyed for ever (repeatable)",
    )


def _add_views(group: argparse._ArgumentGroup) -> None:
    how = group.add_mutually_exclusive_group()
    how.add_argument("--plain", action="store_true", help="one line an event (the default for now)")
    how.add_argument("--json", action="store_true", help="one JSON object a line, see docs/json.md")
    group.add_argument(
        "--render-secrets",
        action="store_true",
        help="with --render: real values instead of placeholders, files 0600",
    )


def _add_rehearsal(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rehearse",
        action="store_true",
        help="against a simulated cluster on loopback; nothing real is touched",
    )
    group.add_argument(
        "--rehearse-speed",
        metavar="N",
        type=_speed,
        default=20.0,
        help="times faster than a real cluster (default 20)",
    )
    group.add_argument(
        "--rehearse-fault",
        metavar="NAME",
        action="append",
        default=[],
        help="make something fail (repeatable); 'list' prints the names",
    )


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError("a number above 0, at most 10000")
    return value


def options_from(argv: Sequence[str] | None = None) -> Options:
    """Parses. Ends the process with ``ExitCode.USAGE`` when the words are wrong."""
    args = parser().parse_args(argv)
    action = "install"
    for name in ("resume", "plan", "schema"):
        action = name if getattr(args, name) else action
    action = "render" if args.render else action
    action = "uninstall" if args.uninstall else action
    action = "faults" if "list" in args.rehearse_fault else action
    return Options(
        action=action,
        answers=args.answers,
        directory=args.dir,
        kubeconfig=args.kubeconfig,
        context=args.context,
        passphrase_file=args.passphrase_file,
        identity_file=args.identity_file,
        secrets=tuple(args.secret),
        json=args.json,
        yes=args.yes,
        yes_destroy=tuple(args.yes_destroy),
        uninstall_mode=args.uninstall or "",
        render_to=args.render,
        render_secrets=args.render_secrets,
        rehearse=args.rehearse,
        rehearse_speed=args.rehearse_speed,
        rehearse_faults=tuple(args.rehearse_fault),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``matrix-install``; returns an :class:`ExitCode`."""
    options = options_from(argv)
    # Deferred: --help and usage errors must not wait for pydantic and httpx to load.
    from installer.views.command import run

    try:
        return int(run(options, sys.stdout, sys.stderr))
    except KeyboardInterrupt:
        sys.stderr.write("\nLeft.\n")
        return int(ExitCode.REFUSED)
    except BrokenPipeError:
        return int(ExitCode.FAILED)


if __name__ == "__main__":
    raise SystemExit(main())
