"""Pods as components declare them: sets that are the same to network, scheduler and budgets."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from installer.core.sizing_rows import Role


class Priority(StrEnum):
    """Who gives way when a cluster runs short; lower ones are evicted first."""

    INFRASTRUCTURE = "infrastructure"  # what everything else needs to run
    SERVICE = "service"


@dataclass(frozen=True)
class Port:
    """A port that pods listen on."""

    name: str
    number: int
    title: str
    protocol: str = "TCP"


@dataclass(frozen=True)
class PodSet:
    """Pods that are the same to the network, the scheduler and a disruption budget.

    ``selector`` are the labels that tell them from all others; it never changes, as workloads
    cannot change theirs.
    """

    name: str
    role: str
    namespace: str  # full name
    selector: Mapping[str, str]
    replicas: int
    ports: tuple[Port, ...]
    node_role: Role
    priority: Priority = Priority.SERVICE

    def port(self, name: str) -> Port:
        """Raises KeyError."""
        for port in self.ports:
            if port.name == name:
                return port
        raise KeyError(f"{self.name} has no port {name}")
