"""The command line as data: what ``installer.cli`` parses and the views carry out."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """See ``docs/cli.md`` for what each means."""

    action: str  # install, resume, plan, render, uninstall, schema, faults
    answers: Path | None
    directory: Path | None
    kubeconfig: Path | None
    context: str
    passphrase_file: Path | None
    identity_file: Path | None
    secrets: tuple[str, ...]
    json: bool
    yes: bool
    yes_destroy: tuple[str, ...]
    uninstall_mode: str
    render_to: Path | None
    render_secrets: bool
    rehearse: bool
    rehearse_speed: float
    rehearse_faults: tuple[str, ...]
