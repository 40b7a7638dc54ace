"""The plan in words: what, where, how long, what cannot be undone."""

import re
import textwrap
from collections.abc import Iterable

from installer.core.plan import Plan, RunKind
from installer.core.step import PlannedStep
from installer.core.survey import PlanReport, Survey
from installer.views import words

WIDTH = 80
_NOUNS = {
    "configmap": "config map",
    "cronjob": "cron job",
    "customresourcedefinition": "resource definition",
    "limitrange": "limit range",
    "networkpolicy": "network policy",
    "persistentvolume": "volume",
    "persistentvolumeclaim": "volume claim",
    "poddisruptionbudget": "disruption budget",
    "priorityclass": "priority class",
    "resourcequota": "resource quota",
    "rolebinding": "role binding",
    "clusterrole": "cluster role",
    "clusterrolebinding": "cluster role binding",
    "serviceaccount": "service account",
    "daemonset": "daemon set",
    "statefulset": "stateful set",
}
# A pod's annotation carries the digest of what the pod mounts, so that a change starts it anew.
_MOUNTED = re.compile(r'.*annotations\[checksum/([^]]+)\]: "[0-9a-f]{64}" -> "[0-9a-f]{64}"')
_NUMBERED = re.compile(r"^(.*?)(?:-\d+)?$")


def plan_lines(report: PlanReport) -> list[str]:
    """Lines of at most 80 columns, complete: nothing happens that is not said here."""
    plan = report.plan
    lines = _heading(report)
    for title in plan.phases:
        lines += _phase(title, [s for s in plan.steps if s.phase == title], report)
    # Before what an operator decides on: the last screenful is what stands above the question.
    lines += _section(f"Not proven by our own tests: {len(report.unproven)}", report.unproven)
    lines += _survey(report.survey, plan.kind)
    lines += _section("Sizing", report.sizing)
    lines += _section("Notes", plan.notes)
    lines += _section("Written besides, in every run", _standing(plan.standing))
    return lines + _undo(plan)


def _heading(report: PlanReport) -> list[str]:
    plan = report.plan
    verb = "Install" if plan.kind is RunKind.INSTALL else "Uninstall"
    where = f"{verb} {plan.install_id} on {plan.place}"
    lines = ["REHEARSAL: a simulated cluster, nothing real is touched"] if report.rehearsal else []
    lines += _wrap(where, "", "  ")
    lines += _wrap(f"Directory: {report.directory}", "", "  ")
    if report.seconds:
        lines.append(f"Time: {words.time_range(*report.seconds)}")
    else:
        lines.append("Time: no figure yet, nothing like it has run from this directory")
    lines.append(f"Plan: {plan.digest[:12]}, {words.count(len(plan.steps), 'step')}")
    return lines


def _phase(title: str, steps: list[PlannedStep], report: PlanReport) -> list[str]:
    objects = sum(len(step.targets) for step in steps)
    took = report.phase_seconds.get(title)
    time = f", {words.time_range(*took)}" if took else ""
    counts = f"{words.count(len(steps), 'step')}, {words.count(objects, 'object')}{time}"
    lines = ["", f"{title[:1].upper()}{title[1:]} ({counts})"]
    for step in steps:
        lines += _wrap(step.title, "  - ", "    ")
        if step.summary:
            lines += _wrap(step.summary, "      ", "      ")
    return lines


def _survey(survey: Survey, kind: RunKind) -> list[str]:
    if not survey.read:
        return ["", "The cluster was not asked: what is there already is not known."]
    lines = _section("Found", survey.found)
    if kind is RunKind.UNINSTALL:
        lines += _section("Will be removed", _by_kind(survey.removed))
        return lines + _section("Stays", survey.stays)
    changes = len(survey.new) + len(survey.changed) + len(survey.removed)
    lines += ["", "Difference to what is there"]
    if changes == 0:
        return [*lines, f"  nothing to change ({len(survey.unchanged)} objects as desired)"]
    lines += _wrap(f"new: {', '.join(_by_kind(survey.new)) or 'nothing'}", "  ", "    ")
    for change in survey.changed:
        lines += _wrap(f"change: {change.target.replace('/-/', '/')}", "  ", "    ")
        for detail in change.details:
            lines += _wrap(_detail(detail), "      ", "        ")
    for target in survey.removed:
        lines += _wrap(f"remove: {target.replace('/-/', '/')}", "  ", "    ")
    return [*lines, f"  unchanged: {words.count(len(survey.unchanged), 'object')}"]


def _detail(text: str) -> str:
    """A difference as the cluster reader told it; a digest says nothing to a person."""
    mounted = _MOUNTED.fullmatch(text)
    return f"pods start anew, because {mounted[1]} differs" if mounted else text


def _standing(targets: Iterable[str]) -> list[str]:
    """Numbered shards of one thing are one line."""
    names = dict.fromkeys(found[1] for t in targets if (found := _NUMBERED.match(t)))
    return [name.replace("/-/", "/") for name in names]


def _by_kind(targets: Iterable[str]) -> list[str]:
    tally: dict[str, int] = {}
    for target in targets:
        kind = target.split("/", 1)[0].split(".", 1)[0]
        noun = _NOUNS.get(kind, kind)
        tally[noun] = tally.get(noun, 0) + 1
    return [words.count(number, noun, _plural(noun)) for noun, number in sorted(tally.items())]


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith("ss") else "s")


def _undo(plan: Plan) -> list[str]:
    forever = [text for step in plan.steps for text in step.cannot_undo]
    destroyed = [name for step in plan.steps for name in step.destroys]
    lines = _section("Cannot be undone", list(dict.fromkeys(forever)))
    lines += _section("Lost for ever, each name must be confirmed", list(dict.fromkeys(destroyed)))
    if plan.kind is RunKind.INSTALL:
        rest = "everything else" if forever else "everything"
        lines += ["", f"Can be undone: {rest}, by --uninstall."]
    return lines


def _section(title: str, body: Iterable[str]) -> list[str]:
    items = list(body)
    if not items:
        return []
    return ["", title, *(line for item in items for line in _wrap(item, "  ", "    "))]


def _wrap(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    ) or [first.rstrip()]
