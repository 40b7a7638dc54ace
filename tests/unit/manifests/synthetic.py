"""Components made up for tests, in a folder of their own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifests.component import Component, Declaration, NamespaceDeclaration, Phase
from manifests.context import ComponentContext, InstallFacts
from manifests.contributions import Contribution
from manifests.registry import all_components
from manifests.settings import ComponentSettings
from tests.unit.manifests.samples import settings


class PlainSettings(ComponentSettings):
    """Nothing of its own."""


def component(
    name: str,
    declare: Callable[[ComponentContext], Declaration] = lambda _: Declaration(),
    **parts: Any,
) -> Component:
    """A component without objects, in namespace ``<id>-<name>``."""
    made = Component(
        name=name,
        title=name.title(),
        phase=Phase.MAIN,
        folder=Path(__file__).parent,
        settings=PlainSettings,
        declare=declare,
        namespaces=(NamespaceDeclaration(name, f"Pods of {name}"),),
    )
    return replace(made, **parts)


def sends(record: Contribution) -> Callable[[ComponentContext], Declaration]:
    """A ``declare`` that contributes one record."""
    return lambda _: Declaration(contributions=(record,))


def install(row: str = "100") -> InstallFacts:
    return InstallFacts(id="example", row=settings(row).size_row)


def plain_settings(_: str) -> PlainSettings:
    return PlainSettings()


def real(name: str) -> Component:
    """A component of the product."""
    (found,) = [c for c in all_components() if c.name == name]
    return found
