"""A handler for FakeApi that keeps objects: create, read, replace, delete, with versions."""

import itertools
from collections.abc import Callable
from typing import Any

from installer.core.objects import Manifest
from tests.unit.cluster.fake_api import Reply, Request, status


class StoredApi:
    """Objects by path. ``before`` is called with each request first and may answer it instead."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.before: Callable[[Request], Reply | None] = lambda _: None
        self._versions = itertools.count(1)

    async def __call__(self, request: Request) -> Reply | None:
        instead = self.before(request)
        if instead is not None:
            return instead
        found = self.objects.get(request.path)
        match request.method:
            case "POST":
                return self._create(request)
            case "PUT" if found is not None:
                return self._replace(request, found)
            case "DELETE" if found is not None:
                return self._delete(request, found)
            case "GET" if found is not None:
                return Reply(data=found)
            case _:
                return status(404, "NotFound", f"{request.path} not found", kind="things")

    def put(self, path: str, manifest: Manifest) -> Manifest:
        """Writes as somebody else would, without being asked for a version."""
        version = str(next(self._versions))
        old = self.objects.get(path, {}).get("metadata", {})
        meta = {"uid": f"uid-{version}", **old, **manifest["metadata"], "resourceVersion": version}
        self.objects[path] = {**manifest, "metadata": meta}
        return self.objects[path]

    def _create(self, request: Request) -> Reply:
        body: dict[str, Any] = request.json()
        path = f"{request.path}/{body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists", f"{path} already exists")
        return Reply(201, self.put(path, body))

    def _replace(self, request: Request, found: Manifest) -> Reply:
        body: dict[str, Any] = request.json()
        if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            return status(409, "Conflict", "the object has been modified")
        return Reply(data=self.put(request.path, body))

    def _delete(self, request: Request, found: Manifest) -> Reply:
        wanted = request.json().get("preconditions") or {}
        if any(found["metadata"][name] != value for name, value in wanted.items()):
            return status(409, "Conflict", "the precondition failed")
        del self.objects[request.path]
        return Reply(data={"kind": "Status", "status": "Success"})
