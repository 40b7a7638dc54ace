"""What the steps of one run share: the client, the inventory, and what the operator allowed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.cluster.api import Api, Followers
from installer.cluster.concurrency import AdaptiveLimit, RetryBudget
from installer.cluster.inventory import Inventory
from installer.cluster.snapshot import Snapshot
from installer.core.clock import Clock


@dataclass(frozen=True)
class Consents:
    """What the operator saw and accepted beyond the plan's ordinary lines; keys of objects.

    ``adopt``: foreign objects to take over. ``take_back``: objects of ours whose fields somebody
    changed, to be set back. ``recreate``: objects that may be deleted and made anew.
    ``destroy``: objects that may be deleted although data hangs on them.
    """

    adopt: frozenset[str] = frozenset()
    take_back: frozenset[str] = frozenset()
    recreate: frozenset[str] = frozenset()
    destroy: frozenset[str] = frozenset()

    def may_take_back(self, key: str) -> bool:
        """Adopting an object includes the fields that its former owner manages."""
        return key in self.take_back or key in self.adopt

    def to_json(self) -> dict[str, list[str]]:
        return {
            "adopt": sorted(self.adopt),
            "take_back": sorted(self.take_back),
            "recreate": sorted(self.recreate),
            "destroy": sorted(self.destroy),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Consents":
        return cls(**{name: frozenset(data.get(name, ())) for name in cls().to_json()})


@dataclass
class ClusterHandle:
    """One cluster, one install, one run. Made by :func:`open_handle`.

    ``load_balancer``: whether a controller gives addresses to Services of that type.
    ``control_removed``: the namespace with the lease was deleted by us, at the end of all.
    """

    api: Api
    followers: Followers
    install_id: str
    install_uid: str
    clock: Clock
    retry: RetryBudget
    limit: AdaptiveLimit
    inventory: Inventory
    snapshot: Snapshot
    consents: Consents = field(default_factory=Consents)
    load_balancer: bool = False
    control_removed: bool = False


def open_handle(
    api: Api,
    followers: Followers,
    *,
    install_id: str,
    install_uid: str,
    clock: Clock,
    consents: Consents | None = None,
    load_balancer: bool = False,
    retry: RetryBudget | None = None,
) -> ClusterHandle:
    """Reads and writes nothing yet."""
    budget = retry or RetryBudget(clock)
    limit = AdaptiveLimit()
    return ClusterHandle(
        api=api,
        followers=followers,
        install_id=install_id,
        install_uid=install_uid,
        clock=clock,
        retry=budget,
        limit=limit,
        inventory=Inventory(api, install_id, install_uid, budget),
        snapshot=Snapshot(api, install_id, clock, limit, budget),
        consents=consents or Consents(),
        load_balancer=load_balancer,
    )
