"""A small synchronous client of a Kubernetes API server, for tests to arrange and to look.

It is deliberately another client than the product's, which is what the tests are about.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

Object = dict[str, Any]
_PAUSE = 0.2


class ApiError(Exception):
    """The server answered with an error; `status` is HTTP's, `body` its Status object."""

    def __init__(self, status: int, body: Object, what: str) -> None:
        super().__init__(f"{what}: {status} {body.get('reason')}: {body.get('message')}")
        self.status = status
        self.body = body


class NotReached(Exception):
    """A state was not reached in time; the text says what was seen last."""


class Api:
    """Requests by path, objects by kind. `server` is https://host:port."""

    def __init__(self, server: str, authority: Path, token: str) -> None:
        self.server = server
        context = ssl.create_default_context(cafile=str(authority))
        self._client = httpx.Client(
            base_url=server,
            verify=context,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def close(self) -> None:
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Object:
        """One request, no retries. Raises ApiError, or httpx's errors when nothing answered."""
        answer = self._client.request(
            method,
            path,
            content=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type},
            params=params,
            timeout=timeout,
        )
        if answer.is_error:
            raise ApiError(answer.status_code, _status_of(answer), f"{method} {path}")
        content: Object = answer.json()
        return content

    def text(self, path: str, *, timeout: float = 30) -> str:
        """The body of a GET as text: /readyz, /metrics, logs."""
        answer = self._client.get(path, timeout=timeout)
        if answer.is_error:
            raise ApiError(answer.status_code, _status_of(answer), f"GET {path}")
        return answer.text

    def get(self, path: str) -> Object:
        return self.request("GET", path)

    def exists(self, path: str) -> bool:
        return self._peek(path) is not None

    def items(self, path: str, **params: str) -> list[Object]:
        """The objects of a collection; `labelSelector=`, `fieldSelector=` as keywords."""
        found: list[Object] = self.request("GET", path, params=params)["items"]
        return found

    def delete(self, path: str, **options: object) -> Object:
        """Deletes; `options` are DeleteOptions, such as `propagationPolicy="Foreground"`."""
        return self.request("DELETE", path, options or None)

    def apply(self, manifest: Mapping[str, Any], *, manager: str = "lab") -> Object:
        """Server-side apply, conflicts forced."""
        return self.request(
            "PATCH",
            self.path_of(manifest),
            manifest,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": manager, "force": "true"},
        )

    def patch(self, path: str, change: Mapping[str, Any]) -> Object:
        """A JSON merge patch."""
        return self.request("PATCH", path, change, content_type="application/merge-patch+json")

    def path_of(self, manifest: Mapping[str, Any]) -> str:
        """The path of the object that a manifest names, found by discovery."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._kinds:
            for resource in self.get(root)["resources"]:
                if "/" not in resource["name"]:
                    known = (resource["name"], resource["namespaced"])
                    self._kinds[version, resource["kind"]] = known
        plural, namespaced = self._kinds[version, kind]
        metadata = manifest["metadata"]
        place = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{root}{place}/{plural}/{metadata['name']}"

    def watch(
        self, path: str, *, resource_version: str, seconds: float = 30, **params: str
    ) -> Iterator[Object]:
        """Events of one WATCH until it ends. Raises ApiError, also for an ERROR event."""
        query = {"watch": "true", "resourceVersion": resource_version, **params}
        query["timeoutSeconds"] = str(max(1, int(seconds)))
        timeout = httpx.Timeout(10, read=seconds + 1)
        with self._client.stream("GET", path, params=query, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                raise ApiError(answer.status_code, _status_of(answer), f"WATCH {path}")
            for line in answer.iter_lines():
                event: Object = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"]["code"], event["object"], f"WATCH {path}")
                yield event

    def wait_for(
        self,
        path: str,
        until: Callable[[Object | None], bool],
        *,
        seconds: float = 30,
        what: str = "",
    ) -> Object | None:
        """Follows one object until the condition holds; it is called with None when absent.

        Outlives restarts of the server. Raises NotReached after `seconds`.
        """
        deadline = time.monotonic() + seconds
        seen: Object | None = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                for seen in self._states(path, left):
                    if until(seen):
                        return seen
            except (httpx.HTTPError, ApiError):
                threading.Event().wait(min(_PAUSE, left))
        state = json.dumps((seen or {}).get("status", seen))
        raise NotReached(f"{what or path}: not so after {seconds:g} s; last seen: {state}")

    def _states(self, path: str, seconds: float) -> Iterator[Object | None]:
        """The object now and after each change, by one LIST and one WATCH."""
        collection, _, name = path.rpartition("/")
        selector = f"metadata.name={name}"
        listed = self.request(
            "GET", collection, params={"fieldSelector": selector}, timeout=min(10.0, seconds)
        )
        yield listed["items"][0] if listed["items"] else None
        version = listed["metadata"]["resourceVersion"]
        for event in self.watch(
            collection, resource_version=version, seconds=seconds, fieldSelector=selector
        ):
            yield None if event["type"] == "DELETED" else event["object"]

    def _peek(self, path: str) -> Object | None:
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise


def _status_of(answer: httpx.Response) -> Object:
    try:
        content = answer.json()
    except ValueError:
        return {"message": answer.text[:2000]}
    return content if isinstance(content, dict) else {"message": answer.text[:2000]}
