"""The one door for views: open an install, seal its secrets, plan, start or attach, render."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from installer.core.clock import Clock, SystemClock
from installer.core.commands import Verb
from installer.core.errors import ExitCode, InstallError
from installer.core.events import RunStarted
from installer.core.plan import Plan, RunKind, not_covered
from installer.core.settings import Settings, settings_json_schema
from installer.core.state import Folding, RunState
from installer.core.survey import PlanReport
from installer.engine import locks, reports
from installer.engine.client import EngineClient
from installer.engine.estimate import remaining
from installer.engine.journal import Journal
from installer.engine.process import KEPT_ALIVE_BY, killed_at_logout, spawn, started
from installer.rehearsal.faults import FAULTS, checked
from installer.store.directory import (
    InstallDirectory,
    check_directory,
    choose_directory,
    installs_below,
)
from installer.store.sealed_key import (
    SealKey,
    checked_passphrase,
    read_identity_file,
    read_passphrase_file,
)
from installer.wiring import found, rendering, target, workspace
from installer.wiring.attached import Attached
from installer.wiring.compose import Composition, compose
from installer.wiring.far_end import reach
from installer.wiring.link import VIEW_PATIENCE, open_link
from installer.wiring.rehearsal_key import rehearsal_key
from installer.wiring.target import Rehearsal, Target
from installer.wiring.timing import time_left
from installer.wiring.work import Request, engine_arguments, keep, kept
from installer.wiring.workspace import Workspace
from manifests import registry

__all__ = [
    "Attached",
    "Inputs",
    "Rehearsal",
    "Request",
    "Session",
    "fault_lines",
    "schema",
    "time_left",
    "unforeseen",
]


@dataclass(frozen=True)
class Inputs:
    """What the operator gave besides the settings themselves."""

    answers: Path | None = None
    directory: Path | None = None
    kubeconfig: Path | None = None
    context: str = ""
    rehearsal: Rehearsal | None = None


def unforeseen(directory: Path | None, error: Exception) -> InstallError:
    """INTERNAL for a defect in a view or on the way to an engine, its report saved in the
    install's directory, or in a new temporary one while there is none."""
    if directory is None or not directory.is_dir():
        directory = Path(tempfile.mkdtemp(prefix="matrix-install-"))
    return reports.internal(directory, error, "the command", SystemClock().now())


def fault_lines() -> tuple[str, ...]:
    """What ``--rehearse-fault list`` prints."""
    return tuple(f"{fault.name:<18} {fault.title}. {fault.shows}" for fault in FAULTS)


def schema() -> dict[str, Any]:
    """The JSON Schema of a settings file."""
    return settings_json_schema(registry.settings_model())


@dataclass
class Session:
    """One install as its views see it. Made by :meth:`open`; writes nothing until asked to."""

    directory: InstallDirectory
    settings: Settings
    target: Target | None
    inputs: Inputs
    clock: Clock = field(default_factory=SystemClock)
    key: SealKey | None = None
    workspace: Workspace | None = None
    shown: Path | None = None  # the directory to name, where it is not the one worked in

    # -- opening ------------------------------------------------------------------------------

    @classmethod
    def open(cls, inputs: Inputs, *, clock: Clock | None = None) -> "Session":
        """Reads settings (``answers``, else those of the directory) and the remembered target.

        Raises SettingsError, InstallError SETTINGS-UNREADABLE, NO-INSTALL, DIRECTORY-UNUSABLE,
        FAULT-UNKNOWN, IDENTITY-FIXED, NOT-A-REHEARSAL.
        """
        if inputs.answers is not None:
            settings = workspace.read_settings(inputs.answers).settings
            directory = choose_directory(inputs.directory, settings.install_id)
            workspace.refuse_other_identity(directory, settings)
        else:
            directory = choose_directory(inputs.directory, "")
            if not directory.settings.is_file():
                raise _no_install(directory)
            settings = workspace.read_settings(directory.settings).settings
        goal = _target(directory, settings, inputs)
        if goal is not None and goal.rehearsal is not None:
            _refuse_unknown_faults(goal.rehearsal)
        session = cls(directory, settings, goal, inputs, clock or SystemClock())
        if session.target is not None and session.target.rehearsal is None:
            check_directory(directory.root)
        return session

    @property
    def is_rehearsal(self) -> bool:
        return self.target is not None and self.target.rehearsal is not None

    @property
    def sealed_to_recipients(self) -> bool:
        return self.settings.secrets.seal == "recipients"

    @property
    def is_established(self) -> bool:
        """Whether secrets were sealed here before, so that a key must fit instead of being new."""
        return self.directory.secrets.exists()

    def require_target(self) -> None:
        """Raises InstallError TARGET-UNKNOWN."""
        if self.target is None:
            target.required(self.directory.root)

    def engine(self) -> locks.Holder | None:
        """Who is at work on this directory now."""
        return locks.holder(self.directory.root) if self.directory.root.is_dir() else None

    def cautions(self) -> tuple[str, ...]:
        """What about this machine may harm a run, in lines with what to do about it."""
        if not killed_at_logout():
            return ()
        return (
            "This machine ends your programs when you log out (KillUserProcesses of logind), the "
            f"engine too. Start it as: {' '.join(KEPT_ALIVE_BY)} matrix-install ...",
        )

    def last_run(self) -> RunState:
        """What the journal says. Raises InstallError JOURNAL-DAMAGED and its like."""
        if not workspace.has_records(self.directory):
            return RunState()
        journal, state, _ = Journal.open(self.directory.root, self.clock)
        journal.close()
        return state

    # -- the key ------------------------------------------------------------------------------

    def unlock(self, text: str) -> None:
        """Takes the passphrase as typed. Raises InstallError PASSPHRASE-EMPTY."""
        self.key = checked_passphrase(text)

    def unlock_with(self, passphrase_file: Path | None, identity_file: Path | None) -> bool:
        """Takes the key out of files, or a rehearsal's own; False when it must be asked for."""
        if identity_file is not None:
            self.key = read_identity_file(identity_file)
        elif passphrase_file is not None:
            self.key = read_passphrase_file(passphrase_file)
        return self.key is not None or self.is_rehearsal

    # -- working ------------------------------------------------------------------------------

    def check_given(self, given: Sequence[str]) -> None:
        """Refuses ``--secret`` options as :meth:`establish` would; keeps nothing of them."""
        workspace.given_values(self.settings, given)

    async def establish(self, given: Sequence[str] = ()) -> None:
        """Makes the directory, puts settings and target into it, makes and seals the secrets.

        ``given``: the ``--secret`` options; a rehearsal looks at their form and seals made values
        instead. Raises InstallError before anything is written when a given secret is missing or
        refused.
        """
        self.require_target()
        assert self.target is not None
        values = workspace.given_values(self.settings, given)
        if not self.is_established:
            workspace.require_all_given(self.settings, values)
        self.directory.create()
        if self.inputs.answers is not None:
            workspace.adopt_settings(self.directory, workspace.read_settings(self.inputs.answers))
        target.remember(self.directory.root, self.target)
        if self.key is None and self.is_rehearsal:
            self.key = rehearsal_key(self.directory)
        self.workspace = await workspace.prepare_secrets(
            self.directory,
            self.settings,
            self._sealing_key(),
            self.clock,
            values,
            rehearsal=self.is_rehearsal,
        )

    def _sealing_key(self) -> SealKey:
        if self.key is None:
            raise RuntimeError("the secrets' key was not given")
        return workspace.with_recipients(self.settings, self.key)

    @asynccontextmanager
    async def preview(self) -> AsyncIterator["Session"]:
        """A session like this one in a directory that is thrown away: for a plan before there is
        an install. Its secrets are made for the moment and never sealed."""
        with tempfile.TemporaryDirectory(prefix="matrix-install-") as folder:
            directory = InstallDirectory(Path(folder))
            made = workspace.momentary(directory, self.settings, self.clock)
            yield replace(self, directory=directory, workspace=made, shown=self.directory.root)

    async def plan(self, request: Request) -> PlanReport:
        """Looks at the cluster and says what would be done. Raises InstallError."""
        opened, goal = self._opened()
        goal = await reach(self.directory, goal, self.settings.size_row)
        link = await open_link(goal, opened, self.clock, patience=VIEW_PATIENCE)
        try:
            made = await compose(link, opened, goal, request)
            if workspace.has_records(self.directory) or self.is_established:
                target.remember(self.directory.root, replace(goal, cluster_uid=link.cluster_uid))
        finally:
            await link.close()
        return self._report(made, request)

    def _report(self, made: Composition, request: Request) -> PlanReport:
        install = request.kind is RunKind.INSTALL
        left = remaining(made.plan, self.last_run(), {})
        facts = registry.unverified_facts(self.settings) if install else ()
        return PlanReport(
            plan=made.plan,
            survey=made.survey,
            directory=str(self.shown or self.directory.root),
            rehearsal=self.is_rehearsal,
            seconds=(left.low, left.high) if left else None,
            unproven=tuple(fact.fact for fact in facts),
            sizing=found.sizing(self.settings, made.facts) if install else (),
        )

    def interrupted(self) -> Request:
        """What the last run was asked to do. Raises InstallError NOTHING-TO-RESUME."""
        request = kept(self.directory.root)
        if request is None or not workspace.has_records(self.directory):
            raise InstallError(
                code="NOTHING-TO-RESUME",
                title="Nothing was started here yet",
                cause=f"The journal in {self.directory.root} is empty.",
                remedy="Start with --answers FILE.",
                exit_code=ExitCode.USAGE,
            )
        return request

    def calm(self) -> None:
        """A rehearsal that is resumed goes on without its faults: they count as mended."""
        if self.target is not None and self.target.rehearsal and self.inputs.rehearsal is None:
            self.target = replace(self.target, rehearsal=replace(self.target.rehearsal, faults=()))

    def beyond_last_approval(self, plan: Plan) -> tuple[str, ...]:
        """Why a resume needs a new approval; empty when the plan approved last covers it."""
        before = self.last_run().plan
        return not_covered(before, plan) if before else ("no plan was approved here before",)

    async def start(self, plan: Plan, request: Request, *, by: str, unattended: bool) -> Attached:
        """Starts an engine on the approved plan and attaches to it.

        Raises InstallError: LOCKED, PLAN-CHANGED, CONSENT-MISSING, and the engine's own.
        """
        self._opened()
        before = self.last_run()
        keep(self.directory.root, request)
        process = spawn(engine_arguments(self.directory.root, request), self.directory.root)
        client = await started(process, self.directory.root, after=before.seq)
        attached = Attached(client, before, process)
        key = workspace.unlocking_text(self._sealing_key())
        approval = {
            "digest": plan.digest,
            "plan": plan.to_json(),
            "consents": list(request.consents),
            "unattended": unattended,
        }
        try:
            await attached.insist(Verb.UNLOCK, params={"secret": key})
            await attached.insist(Verb.START, by=by, params=approval)
        except InstallError:
            await attached.dismiss()
            raise
        return attached

    async def attach(self) -> Attached:
        """Joins the engine that is at work here, with all that happened in its run so far."""
        before = self._before_this_run()
        client = await EngineClient.connect(self.directory.root, after=before.seq)
        return Attached(client, before)

    def _before_this_run(self) -> RunState:
        """The state in which the last run began; older runs are not told again."""
        journal, _, _ = Journal.open(self.directory.root, self.clock)
        folding = Folding(RunState())
        before = RunState()
        for record in journal.records(0):
            if isinstance(record.event, RunStarted):
                before = folding.state()
            folding.add(record)
        journal.close()
        return before

    def render(self, to: Path, *, with_secrets: bool) -> tuple[Path, ...]:
        """Writes the objects as files and returns their paths in apply order."""
        if self.workspace is not None:
            return rendering.render_workspace(self.workspace, to, secrets=with_secrets)
        return rendering.render_settings(self.settings, to)

    async def open_secrets(self) -> None:
        """Opens what was sealed here before, changing nothing. Raises InstallError."""
        if self.key is None and self.is_rehearsal:
            self.key = rehearsal_key(self.directory)
        self.workspace = await workspace.open_workspace(
            self.directory, self._sealing_key(), self.clock, self.settings
        )

    def _opened(self) -> tuple[Workspace, Target]:
        if self.workspace is None:
            raise RuntimeError("the secrets are not open")
        return self.workspace, self.target or target.required(self.directory.root)


def _target(directory: InstallDirectory, settings: Settings, inputs: Inputs) -> Target | None:
    """Options first, then what the directory remembers, then the settings."""
    remembered = target.recall(directory.root)
    if inputs.rehearsal is not None:
        if remembered is not None and remembered.rehearsal is None:
            raise _not_a_rehearsal(directory)
        return Target(directory.kubeconfig, rehearsal=inputs.rehearsal)
    if remembered is not None and (remembered.rehearsal or inputs.kubeconfig is None):
        return remembered
    uid = remembered.cluster_uid if remembered else ""
    if inputs.kubeconfig is not None:
        return Target(inputs.kubeconfig.expanduser().absolute(), inputs.context, cluster_uid=uid)
    if settings.cluster.kubeconfig is not None:
        folder = (inputs.answers or directory.settings).absolute().parent
        path = folder / Path(settings.cluster.kubeconfig).expanduser()
        return Target(path, inputs.context or settings.cluster.context or "", cluster_uid=uid)
    return None


def _refuse_unknown_faults(rehearsal: Rehearsal) -> None:
    try:
        checked(rehearsal.faults)
    except ValueError as unknown:
        raise InstallError(
            code="FAULT-UNKNOWN",
            title="There is no such fault to rehearse",
            cause=str(unknown),
            remedy="--rehearse-fault list says what each of them shows.",
            exit_code=ExitCode.USAGE,
        ) from unknown


def _no_install(directory: InstallDirectory) -> InstallError:
    below = ", ".join(found.root.name for found in installs_below(directory.root))
    several = f" There are installs in it: {below}." if below else ""
    return InstallError(
        code="NO-INSTALL",
        title="There is no install here",
        cause=f"{directory.root} holds no settings.yaml.{several}",
        remedy="Give --answers FILE to start one (see examples/), or --dir DIR of an existing one.",
        exit_code=ExitCode.USAGE,
    )


def _not_a_rehearsal(directory: InstallDirectory) -> InstallError:
    return InstallError(
        code="NOT-A-REHEARSAL",
        title="This directory belongs to a real install",
        cause=f"{directory.root} was used for a real cluster; a rehearsal would mix with it.",
        remedy="Give --dir with a new directory for the rehearsal.",
        exit_code=ExitCode.REFUSED,
    )
