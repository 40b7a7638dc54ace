"""A raw HTTP client for the contract cases: nothing between a case and the wire."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.contract.far_end import FarEnd

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PATIENCE_SECONDS = 30.0

_PLURALS = {
    "Namespace": ("api/v1", "namespaces"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "Pod": ("api/v1", "pods"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "Job": ("apis/batch/v1", "jobs"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "LimitRange": ("api/v1", "limitranges"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "CustomResourceDefinition": (
        "apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
    ),
    "ValidatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
    ),
}


def give_up_at() -> float:
    """The loop's time after which a case waits no longer for what must come."""
    return asyncio.get_running_loop().time() + PATIENCE_SECONDS


def collection(kind: str, namespace: str = "", api: str = "", plural: str = "") -> str:
    """The path of all objects of a kind; `api` and `plural` for kinds that are not built in."""
    if not plural:
        api, plural = _PLURALS[kind]
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"/{api}{inside}/{plural}"


def path_of(obj: Json) -> str:
    """The path of a built-in object."""
    metadata = obj["metadata"]
    return f"{collection(obj['kind'], metadata.get('namespace', ''))}/{metadata['name']}"


class Client:
    """Requests to one far end, and a namespace of the case's own."""

    def __init__(self, far_end: FarEnd) -> None:
        self.far_end = far_end
        self.namespace = f"contract-{uuid.uuid4().hex[:8]}"
        self._trust = far_end.trust()
        self._http = self._connect()

    def _connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._trust,
            headers={"Authorization": f"Bearer {self.far_end.token}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def reconnect(self) -> None:
        """Forget all connections: the server's end of them is gone."""
        await self._http.aclose()
        self._http = self._connect()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        headers: dict[str, str] | None = None,
        within: float = PATIENCE_SECONDS,
        **query: Any,
    ) -> httpx.Response:
        """One request, answered or raised as httpx does."""
        sent = {"Content-Type": media, **(headers or {})} if body is not None else headers or {}
        return await self._http.request(
            method,
            self.far_end.url + path,
            params=query,
            content=None if body is None else json.dumps(body).encode(),
            headers=sent,
            timeout=within,
        )

    async def apply(
        self, obj: Json, manager: str = "one", *, path: str = "", **query: Any
    ) -> httpx.Response:
        """Server-side apply, strict."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", **query}
        return await self.request("PATCH", path or path_of(obj), obj, media=APPLY, **query)

    async def applied(self, obj: Json, manager: str = "one", **query: Any) -> Json:
        """Server-side apply that must succeed."""
        answer = await self.apply(obj, manager, **query)
        assert answer.status_code in (200, 201), answer.text
        found: Json = answer.json()
        return found

    async def answered(self, obj: Json, *, well: bool) -> httpx.Response:
        """Apply, changing one datum each time, until it succeeds or until it fails."""
        deadline = give_up_at()
        while True:
            answer = await self.apply({**obj, "data": {"try": uuid.uuid4().hex}})
            late = asyncio.get_running_loop().time() > deadline
            if answer.is_success == well or late:
                return answer
            await asyncio.sleep(0.05)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """GET."""
        return await self.request("GET", path, **query)

    async def seen(self, path: str, **query: Any) -> Json:
        """GET that must succeed."""
        answer = await self.get(path, **query)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def make_namespace(self) -> None:
        """The case's namespace, with its default account."""
        await self.applied(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        )
        account = f"{collection('ServiceAccount', self.namespace)}/default"
        await self.until(account, lambda obj: obj is not None)

    async def until(self, path: str, holds: Callable[[Json | None], bool]) -> Json | None:
        """Look at an object (None: it is not there) until something holds of it."""
        last: Json | None = None
        deadline = give_up_at()
        while asyncio.get_running_loop().time() < deadline:
            answer = await self.get(path)
            last = answer.json() if answer.status_code == 200 else None
            if holds(last):
                return last
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path}: not reached in {PATIENCE_SECONDS} s; last seen {last}")

    @asynccontextmanager
    async def watch(self, path: str, **query: Any) -> AsyncIterator[AsyncIterator[Json]]:
        """A watch; its answer's status must be 200."""
        query = {"watch": "true", "timeoutSeconds": "20", **query}
        async with self._http.stream(
            "GET", self.far_end.url + path, params=query, timeout=PATIENCE_SECONDS
        ) as answer:
            assert answer.status_code == 200
            yield (json.loads(line) async for line in answer.aiter_lines() if line)


async def take(events: AsyncIterator[Json], count: int) -> list[Json]:
    """The next events of a watch."""
    found: list[Json] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            found.append(await anext(events))
    return found


def causes(answer: httpx.Response) -> list[tuple[str, str]]:
    """(reason, field) of each cause in a Status."""
    details = answer.json().get("details") or {}
    return [(item.get("reason", ""), item.get("field", "")) for item in details.get("causes") or []]


def refused(answer: httpx.Response, code: int, reason: str) -> str:
    """Assert that a Status refuses with this code and reason; its message."""
    body = answer.json()
    told = (answer.status_code, body.get("kind"), body.get("code"), body.get("reason", ""))
    assert told == (code, "Status", code, reason), answer.text
    return str(body.get("message", ""))
