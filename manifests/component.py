"""What a component is: one folder under ``manifests/components``, declared as data.

A component does nothing itself. :class:`Component` holds what is always true of it; what depends
on the settings comes from its ``declare`` function as a :class:`Declaration`. All else (waves,
network policies, rights, images, budgets, reference pages) is derived from these two.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeAlias

from installer.core.objects import Gate
from installer.core.secrets import SecretDeclaration
from installer.core.settings_problem import Finding
from installer.core.sizing_connections import ConnectionConsumer
from manifests.config import Config
from manifests.context import ComponentContext
from manifests.contributions import Contribution
from manifests.pods import PodSet, Port
from manifests.settings import ComponentSettings


class Phase(StrEnum):
    """Phases of an install, in order; the values are what the operator reads."""

    INFRASTRUCTURE = "infrastructure"
    MAIN = "main instance"
    LAWFUL_INTERCEPT = "lawful intercept"
    MONITORING = "monitoring"
    ANTIVIRUS = "antivirus"


@dataclass(frozen=True)
class Image:
    """One container image. The digest is added by a bundle's lock.

    ``floor`` is the oldest version that may run and ``floor_reason`` why; ``source`` says where
    the tag was seen to exist. ``variant`` is what follows the version in the tag.
    """

    name: str  # how templates ask for it
    repository: str  # with its registry: "docker.io/valkey/valkey"
    version: str
    source: str
    floor: str = ""
    floor_reason: str = ""
    variant: str = ""

    @property
    def tag(self) -> str:
        return f"{self.version}-{self.variant}" if self.variant else self.version


@dataclass(frozen=True)
class ToPods:
    """Pods of the same component, by pod set and names of their ports."""

    pod_set: str
    ports: tuple[str, ...]


@dataclass(frozen=True)
class ToEndpoint:
    """What another component offers (:class:`Endpoint`)."""

    component: str
    endpoint: str


@dataclass(frozen=True)
class ToNetworks:
    """Addresses outside the cluster."""

    networks: tuple[IPv4Network, ...]
    ports: tuple[Port, ...]


Target: TypeAlias = ToPods | ToEndpoint | ToNetworks


@dataclass(frozen=True)
class Flow:
    """Traffic that is allowed: from a pod set of this component to a target. All else is denied.

    Both sides' policies come from it. ``why`` is shown on the reference page.
    """

    source: str
    target: Target
    why: str


@dataclass(frozen=True)
class Endpoint:
    """What a component offers to others, by name.

    ``host`` and ``port`` are what a client is configured with. ``pods`` names the pod set behind
    it and ``pod_ports`` its ports (policies see pods, never a Service); a service outside the
    cluster has ``networks`` in their place. ``facts`` is what a client must know beside these,
    such as a Sentinel's master name; ``secrets`` names the secrets that open it, by purpose.
    """

    name: str
    title: str
    host: str
    port: int
    pods: str = ""
    pod_ports: tuple[str, ...] = ()
    networks: tuple[IPv4Network, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectFile:
    """One template under ``objects/`` and what it is rendered with.

    ``config`` holds the texts for ConfigMaps and Secrets; templates see them as ``config``.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Config] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """Shows that the component works, beyond being ready. ``kind`` names who can check it."""

    kind: str
    title: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Right:
    """What the installer must be allowed to do. ``namespace`` is empty for the whole cluster."""

    verbs: tuple[str, ...]
    group: str
    resource: str
    namespace: str = ""
    why: str = ""


@dataclass(frozen=True)
class UnverifiedFact:
    """A fact about a third party that no test of ours has run; counted in the plan."""

    fact: str
    source: str
    if_wrong: str


@dataclass(frozen=True)
class Declaration:
    """What a component is under given settings."""

    objects: tuple[ObjectFile, ...] = ()
    pods: tuple[PodSet, ...] = ()
    flows: tuple[Flow, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    secrets: tuple[SecretDeclaration, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    gates: tuple[Gate, ...] = ()  # beyond every object's own readiness
    proofs: tuple[Proof, ...] = ()
    connections: tuple[ConnectionConsumer, ...] = ()


@dataclass(frozen=True)
class NamespaceDeclaration:
    """A namespace that the component's objects live in: ``<install id>-<suffix>``."""

    suffix: str
    title: str
    pod_security: str = "restricted"


def _nothing_to_check(_: ComponentContext) -> Iterable[Finding]:
    return ()


def _always(_: ComponentContext) -> bool:
    return True


@dataclass(frozen=True)
class Component:
    """One component. ``folder`` holds its templates, alerts and operator's page.

    ``parts`` are the names that ``scale.overrides`` may give figures to, as COMPONENT/PART.
    ``accepts`` are the contribution types that others may send it. ``enabled`` says whether the
    settings choose it; ``check`` finds what its settings model alone cannot see.
    """

    name: str
    title: str
    phase: Phase
    folder: Path
    settings: type[ComponentSettings]
    declare: Callable[[ComponentContext], Declaration]
    needs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    namespaces: tuple[NamespaceDeclaration, ...] = ()
    images: tuple[Image, ...] = ()
    accepts: tuple[type[Contribution], ...] = ()
    rights: tuple[Right, ...] = ()  # beyond those that its objects show
    unverified: tuple[UnverifiedFact, ...] = ()
    enabled: Callable[[ComponentContext], bool] = _always
    check: Callable[[ComponentContext], Iterable[Finding]] = _nothing_to_check

    def image(self, name: str) -> Image:
        """Raises KeyError."""
        for image in self.images:
            if image.name == name:
                return image
        raise KeyError(f"{self.name} declares no image {name}")
