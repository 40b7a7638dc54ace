"""The simulated nodes of a lab cluster, to be lost and found."""

import datetime as dt

from tests.lab.api import Api, Object
from tests.lab.nodes import MANAGED

_SECONDS = 60.0
_GONE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class Nodes:
    """`tainted` says whether a kube-controller-manager is there to keep taints in step."""

    def __init__(self, api: Api, *, tainted: bool) -> None:
        self._api, self._tainted = api, tainted

    def lose(self, name: str) -> None:
        """A node falls silent: Ready becomes Unknown and it is tainted, as after 50 s of it."""
        path = f"/api/v1/nodes/{name}"
        self._api.patch(path, {"metadata": {"labels": dict.fromkeys(MANAGED)}})
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {
                **condition,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": now,
            }
            for condition in self._api.get(path)["status"]["conditions"]
        ]
        self._api.patch(f"{path}/status", {"status": {"conditions": conditions}})
        self.wait_for(name, ready=False)

    def restore(self, name: str) -> None:
        """A lost node comes back."""
        self._api.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": dict(MANAGED)}})
        self.wait_for(name, ready=True)

    def wait_for(self, name: str, *, ready: bool) -> None:
        """Waits until the node's Ready condition and, with controllers, its taints say so."""

        def settled(node: Object | None) -> bool:
            if node is None:
                return False
            is_ready = any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in node["status"].get("conditions", [])
            )
            tainted = any(t["key"] in _GONE for t in node["spec"].get("taints", []))
            return is_ready == ready and (not self._tainted or tainted != ready)

        self._api.wait_for(f"/api/v1/nodes/{name}", settled, seconds=_SECONDS)
