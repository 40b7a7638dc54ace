"""What a component sees of an install: who it is, how large, what others sent it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from installer.core.objects import LABEL_COMPONENT, LABEL_INSTALL
from installer.core.sizing_rows import Role, Size, SizeRow
from manifests.contributions import Contribution
from manifests.pods import PodSet, Port, Priority

SecretView = Callable[[str], str]  # a secret's name -> the text to put in its place
AnyContribution = TypeVar("AnyContribution", bound=Contribution)

LABEL_NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class PartOverride:
    """The operator's own figures for one part; None where the size row's hold."""

    replicas: int | None = None
    cpu: float | None = None  # cores
    memory_gb: float | None = None


@dataclass(frozen=True)
class RegistryLogin:
    """How pods log in to the mirror at ``server``, host and port. ``password``: a secret's name."""

    server: str
    user: str
    password: str


@dataclass(frozen=True)
class InstallFacts:
    """What the whole install has in common, taken from the settings.

    ``registry`` is the mirror that images are pulled from, empty for their makers' registries.
    ``overrides`` are by COMPONENT or COMPONENT/PART.
    """

    id: str
    row: SizeRow
    registry: str = ""
    registry_login: RegistryLogin | None = None
    cluster_domain: str = "cluster.local"
    overrides: Mapping[str, PartOverride] = field(default_factory=dict)

    def namespace(self, suffix: str) -> str:
        """The full name of one of the install's namespaces."""
        return f"{self.id}-{suffix}"


@dataclass(frozen=True)
class ComponentContext:
    """Given to a component's functions. ``settings`` is its own part of the settings."""

    component: str
    install: InstallFacts
    settings: Any
    received: tuple[Contribution, ...] = ()

    def contributions(self, kind: type[AnyContribution]) -> tuple[AnyContribution, ...]:
        """What other components sent, of one type, in their order."""
        return tuple(item for item in self.received if isinstance(item, kind))

    def size(self, part: str, figure: Size) -> Size:
        """The row's figure for a part, unless the operator has one of their own."""
        cpu, memory = figure.cpu, figure.memory_gb
        for override in self._overrides(part):
            cpu = override.cpu if override.cpu is not None else cpu
            memory = override.memory_gb if override.memory_gb is not None else memory
        return Size(cpu, memory)

    def replicas(self, part: str, figure: int) -> int:
        """The row's number of a part, unless the operator has one of their own."""
        for override in self._overrides(part):
            figure = override.replicas if override.replicas is not None else figure
        return figure

    def _overrides(self, part: str) -> tuple[PartOverride, ...]:
        keys = (self.component, f"{self.component}/{part}")
        return tuple(self.install.overrides[key] for key in keys if key in self.install.overrides)

    def pod_set(
        self,
        name: str,
        *,
        role: str,
        namespace: str,
        replicas: int,
        ports: tuple[Port, ...] = (),
        node_role: Role = Role.APP,
        priority: Priority = Priority.SERVICE,
    ) -> PodSet:
        """A pod set in the namespace of that suffix, with its selector."""
        selector = {
            LABEL_INSTALL: self.install.id,
            LABEL_COMPONENT: self.component,
            LABEL_NAME: name,
        }
        full = self.install.namespace(namespace)
        return PodSet(name, role, full, selector, replicas, ports, node_role, priority)
