"""How components meet: typed records from one to a named other.

A record to a component that was not chosen is dropped where its type is optional (a scrape target
without a monitoring system is no loss), and refused as an error of the settings otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Contribution:
    """Base of all. ``to`` names the component that takes it."""

    optional: ClassVar[bool] = False
    to: str


@dataclass(frozen=True)
class ScrapeTarget(Contribution):
    """Pods that serve metrics. ``path`` and ``params`` are those of the HTTP request."""

    optional: ClassVar[bool] = True
    job: str
    pod_set: str
    port: str
    path: str = "/metrics"
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AlertRules(Contribution):
    """Prometheus rule groups, as the file ``alerts.yaml`` of a component holds them."""

    optional: ClassVar[bool] = True
    groups: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Dashboard(Contribution):
    """A Grafana dashboard, as JSON data."""

    optional: ClassVar[bool] = True
    name: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class NamespaceDemand(Contribution):
    """What was rendered into one namespace; made by the renderer, never by a component.

    CPU in millicores, memory in MiB, as requested by all replicas in all.
    """

    namespace: str  # full name
    title: str
    pod_security: str
    components: tuple[str, ...]
    cpu_request: int = 0
    memory_request: int = 0
    memory_limit: int = 0
    pods: int = 0
    volume_claims: int = 0
    load_balancers: int = 0
    node_ports: int = 0


@dataclass(frozen=True)
class PriorityDemand(Contribution):
    """A priority class that pods use; made by the renderer, never by a component."""

    priority: str
    class_name: str
