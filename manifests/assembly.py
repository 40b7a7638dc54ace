"""From chosen components to their declarations: contributions routed, endpoints resolved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from installer.core.errors import ExitCode, InstallError
from installer.core.settings_problem import Finding, dotted
from manifests.component import Component, Declaration, Endpoint, ToEndpoint
from manifests.context import ComponentContext, InstallFacts
from manifests.contributions import Contribution


class Unfit(InstallError):
    """Components do not fit each other under these settings; ``findings`` say where and why."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__(
            code="COMPONENTS-UNFIT",
            title="The components cannot be set up like this",
            cause=f"{len(self.findings)} of their rules are broken by the settings",
            remedy="Mend what is listed and start again: nothing was done or written.",
            evidence=tuple(_line(finding) for finding in self.findings),
            exit_code=ExitCode.SETTINGS,
        )


def _line(finding: Finding) -> str:
    text = f"{dotted(finding.path)}: {finding.why}"
    return f"{text} -> {finding.suggestion}" if finding.suggestion else text


@dataclass(frozen=True)
class Chosen:
    """A component with what the settings make of it."""

    component: Component
    context: ComponentContext
    declaration: Declaration

    @property
    def name(self) -> str:
        return self.component.name


def choose(
    components: Sequence[Component],
    install: InstallFacts,
    settings_of: Callable[[str], Any],
) -> tuple[Component, ...]:
    """Those that the settings choose, each after what it needs. Raises Unfit."""
    picked = {
        c.name: c
        for c in components
        if c.enabled(ComponentContext(c.name, install, settings_of(c.name)))
    }
    findings = [
        Finding(("components", c.name), f"needs {name}, which is not chosen")
        for c in picked.values()
        for name in c.needs
        if name not in picked
    ]
    if findings:
        raise Unfit(findings)
    ordered: list[Component] = []
    while len(ordered) < len(picked):
        placed = {c.name for c in ordered}
        ready = [c for n, c in sorted(picked.items()) if n not in placed and placed >= set(c.needs)]
        if not ready:
            circle = sorted(set(picked) - placed)
            raise ValueError(f"components need each other in a circle: {', '.join(circle)}")
        ordered.append(ready[0])
    return tuple(ordered)


def assemble(
    chosen: Sequence[Component],
    install: InstallFacts,
    settings_of: Callable[[str], Any],
) -> tuple[Chosen, ...]:
    """Declares each component, after all contributions were collected. Raises Unfit.

    A component's contributions may depend on the settings, never on what it received.
    """
    contexts = {c.name: ComponentContext(c.name, install, settings_of(c.name)) for c in chosen}
    first = [Chosen(c, contexts[c.name], c.declare(contexts[c.name])) for c in chosen]
    received = _route(first)
    result = []
    for item in first:
        context = replace(item.context, received=received[item.name])
        again = item.component.declare(context) if context.received else item.declaration
        result.append(Chosen(item.component, context, again))
    findings = [f for item in result for f in item.component.check(item.context)]
    findings += _unmet_endpoints(result)
    if findings:
        raise Unfit(findings)
    return tuple(result)


def _route(chosen: Sequence[Chosen]) -> Mapping[str, tuple[Contribution, ...]]:
    received: dict[str, list[Contribution]] = {item.name: [] for item in chosen}
    accepts = {item.name: item.component.accepts for item in chosen}
    findings = []
    for item in chosen:
        for record in item.declaration.contributions:
            kind = type(record)
            if record.to not in received:
                if not kind.optional:
                    why = f"{item.name} needs {record.to}, which is not chosen"
                    findings.append(Finding(("components", item.name), why))
            elif kind in accepts[record.to]:
                received[record.to].append(record)
            else:
                raise TypeError(f"{item.name} sends {kind.__name__}, {record.to} takes none")
    if findings:
        raise Unfit(findings)
    return {name: tuple(records) for name, records in received.items()}


def endpoint(chosen: Sequence[Chosen], component: str, name: str) -> Endpoint | None:
    """What ``component`` offers under that name, or None."""
    for item in chosen:
        if item.name == component:
            for offered in item.declaration.endpoints:
                if offered.name == name:
                    return offered
    return None


def _unmet_endpoints(chosen: Sequence[Chosen]) -> list[Finding]:
    return [
        Finding(
            ("components", item.name),
            f"needs {flow.target.endpoint} of {flow.target.component}, which is not there",
        )
        for item in chosen
        for flow in item.declaration.flows
        if isinstance(flow.target, ToEndpoint)
        and endpoint(chosen, flow.target.component, flow.target.endpoint) is None
    ]
