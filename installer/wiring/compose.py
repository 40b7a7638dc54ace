"""From settings and a cluster to a plan with its steps. View and engine both come through here,
so that what was shown is what is done: the engine composes again and compares the digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from installer.cluster.facts import ClusterFacts, gather_facts
from installer.cluster.handle import Consents
from installer.cluster.holder import Holder
from installer.cluster.inventory import standing_targets
from installer.cluster.lease import ClusterLease
from installer.cluster.ownership import refusal
from installer.cluster.steps import install_steps
from installer.cluster.survey import Survey as ClusterSurvey
from installer.cluster.survey import refused_changes, survey
from installer.cluster.uninstall import LeaseUntilRemoved, uninstall_steps
from installer.cluster.uninstall_survey import UninstallMode, survey_uninstall
from installer.core.objects import Manifest
from installer.core.plan import Plan, RunKind
from installer.core.step import FarEndLock, Step
from installer.core.survey import ObjectChange, Survey
from installer.store.sealed_gather import refuse_values_in
from installer.wiring import found
from installer.wiring.link import Link
from installer.wiring.permission import refuse_missing_rights
from installer.wiring.target import Target
from installer.wiring.work import Request
from installer.wiring.workspace import Workspace


@dataclass(frozen=True)
class Composition:
    """A plan, the steps behind it, their lock, and what was seen on the way."""

    plan: Plan
    steps: tuple[Step, ...]
    lock: FarEndLock
    survey: Survey
    facts: ClusterFacts


async def compose(
    link: Link, workspace: Workspace, target: Target, request: Request
) -> Composition:
    """Reads the cluster, changes nothing.

    Raises InstallError: FOREIGN-OWNER, CHANGE-REFUSED, RIGHTS-MISSING, the API's failures, and
    what settings and components refuse.
    """
    facts = await gather_facts(link.client)
    link.handle.load_balancer = facts.load_balancer.present
    if request.kind is RunKind.UNINSTALL:
        return await _uninstall(link, workspace, target, request, facts)
    return await _install(link, workspace, target, request, facts)


async def _install(
    link: Link, workspace: Workspace, target: Target, request: Request, facts: ClusterFacts
) -> Composition:
    renderer = workspace.renderer()
    sealed, handle = workspace.sealed, link.handle
    waves = renderer.waves(sealed.hmac)
    await refuse_missing_rights(link.client, handle.install_id, renderer.rights())

    # Rendered when first needed, and once: it takes as long as the plan itself.
    revealed = cache(partial(renderer.revealed, sealed.value))

    def reveal(wave: str) -> Sequence[Manifest]:
        return revealed()[wave]

    handle.consents = Consents(destroy=frozenset(request.consents))
    seen = await survey(handle, waves, reveal)
    if seen.foreign:
        raise refusal(seen.foreign)
    if refused := refused_changes(seen):
        raise refused
    needed = frozenset(item.ref.key for item in seen.need_consent)
    # An engine starts such a plan only with each of these names among its consents.
    handle.consents = seen.consents(Consents(recreate=needed, destroy=frozenset(request.consents)))
    recreate = {item.ref.key: item.wave for item in seen.need_consent}
    steps = install_steps(waves, reveal, handle, prune=seen.prune, recreate=recreate)
    notes = (*renderer.changed_by_operator(), *_taken_back(seen), *_kept(seen))
    plan = _plan(RunKind.INSTALL, link, workspace, target, steps, notes)
    warnings = (*link.cluster.warnings, *found.missing_classes(workspace.settings, facts))
    return Composition(
        plan,
        steps,
        _lease(link, workspace, request),
        _install_survey(seen, facts, warnings),
        facts,
    )


async def _uninstall(
    link: Link, workspace: Workspace, target: Target, request: Request, facts: ClusterFacts
) -> Composition:
    mode = UninstallMode.DESTROY if request.destroy else UninstallMode.KEEP_DATA
    seen = await survey_uninstall(link.handle, mode)
    # The names are asked for by the plan's steps; an engine starts only with all of them.
    link.handle.consents = Consents(destroy=frozenset(seen.confirm))
    steps = uninstall_steps(link.handle, seen, frozenset(seen.confirm))
    plan = _plan(RunKind.UNINSTALL, link, workspace, target, steps, ())
    shown = Survey(
        read=True,
        removed=tuple(item.ref.key for item in (*seen.removes, *seen.volumes)),
        stays=seen.stays,
        found=(*link.cluster.warnings, *found.lines(facts)),
    )
    lock = LeaseUntilRemoved(_lease(link, workspace, request), link.handle)
    return Composition(plan, steps, lock, shown, facts)


def _plan(
    kind: RunKind,
    link: Link,
    workspace: Workspace,
    target: Target,
    steps: Sequence[Step],
    notes: tuple[str, ...],
) -> Plan:
    planned = tuple(step.planned for step in steps)
    install_id = workspace.settings.install_id
    plan = Plan(
        kind=kind,
        install_id=install_id,
        place=target.place(link.cluster.name, link.cluster.url),
        steps=planned,
        phases=tuple(dict.fromkeys(step.phase for step in planned)),
        standing=standing_targets(install_id),
        notes=notes,
    )
    refuse_values_in(plan.to_json(), workspace.sealed)
    return plan


def _lease(link: Link, workspace: Workspace, request: Request) -> ClusterLease:
    holder = Holder.here(
        workspace.directory.root, run=request.words, install_uid=workspace.sealed.install_uid
    )
    return ClusterLease(link.client, install_id=workspace.settings.install_id, holder=holder)


def _taken_back(seen: ClusterSurvey) -> tuple[str, ...]:
    """Approval of the plan covers these, so they are part of what is digested."""
    return tuple(
        f"set back: {item.ref}: {line}"
        for item in seen.objects
        if item.conflict
        for line in item.lines
    )


def _kept(seen: ClusterSurvey) -> tuple[str, ...]:
    return tuple(
        f"{record.ref} stays although no longer wanted: it may hold data. "
        f"--yes-destroy {record.ref.key} removes it."
        for record in seen.kept
    )


def _install_survey(seen: ClusterSurvey, facts: ClusterFacts, warnings: tuple[str, ...]) -> Survey:
    return Survey(
        read=True,
        new=tuple(item.ref.key for item in seen.new),
        changed=tuple(
            ObjectChange(item.ref.key, item.wave.partition("/")[0], item.lines)
            for item in seen.changed
        ),
        unchanged=tuple(item.ref.key for item in seen.unchanged),
        removed=tuple(record.ref.key for record in seen.prune),
        found=(*warnings, *found.lines(facts)),
    )
