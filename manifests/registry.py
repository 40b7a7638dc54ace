"""All components there are: each folder of ``manifests/components`` is one."""

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from functools import cache

from installer.core.secrets import SecretDeclaration, unique_declarations
from installer.core.settings import Settings, build_settings_model
from installer.core.settings_problem import Finding
from installer.core.sizing_connections import ConnectionConsumer
from manifests import assembly, components
from manifests.assembly import Chosen, Unfit
from manifests.component import Component, UnverifiedFact
from manifests.install_facts import install_facts


@cache
def all_components() -> tuple[Component, ...]:
    """Every component, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(components.__path__) if m.ispkg)
    found = tuple(
        importlib.import_module(f"{components.__name__}.{name}.component").COMPONENT
        for name in names
    )
    for component in found:
        if component.folder.name != component.name.replace("-", "_"):
            raise ValueError(f"component {component.name} stands in folder {component.folder.name}")
    return found


@cache
def settings_model() -> type[Settings]:
    """The whole settings tree, with every component's part mounted."""
    return build_settings_model(
        {c.name: c.settings for c in all_components()},
        {c.name: c.parts for c in all_components()},
    )


def assembled(settings: Settings, of: Sequence[Component] | None = None) -> tuple[Chosen, ...]:
    """What the settings choose, declared, in an order that follows needs. Raises Unfit."""
    install = install_facts(settings)
    picked = assembly.choose(of or all_components(), install, settings.component)
    return assembly.assemble(picked, install, settings.component)


def chosen(settings: Settings) -> tuple[Component, ...]:
    """The components that the settings choose, each after what it needs. Raises Unfit."""
    return tuple(item.component for item in assembled(settings))


def check(settings: Settings) -> Iterable[Finding]:
    """What components find wrong with settings that are valid in themselves."""
    try:
        assembled(settings)
    except Unfit as unfit:
        return unfit.findings
    return ()


def secret_declarations(settings: Settings) -> tuple[SecretDeclaration, ...]:
    """The secrets of the chosen components, each once."""
    declared = [s for item in assembled(settings) for s in item.declaration.secrets]
    return tuple(unique_declarations(declared).values())


def connection_consumers(settings: Settings) -> tuple[ConnectionConsumer, ...]:
    """Who keeps connections to our database, for the connection budget."""
    return tuple(c for item in assembled(settings) for c in item.declaration.connections)


def unverified_facts(settings: Settings) -> tuple[UnverifiedFact, ...]:
    """Facts about third parties that no test of ours has run, of the chosen components."""
    return tuple(fact for c in chosen(settings) for fact in c.unverified)
