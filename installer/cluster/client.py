"""The installer's own client of the Kubernetes API: raw JSON, one request a call.

Reads are repeated under the retry budget, if one is given. Writes are sent once: whoever repeats
them passes the mutation gate again first, because the lease may have run out while waiting.
"""

import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

from installer.cluster.classifier import classify_answer, not_kubernetes
from installer.cluster.concurrency import RetryBudget
from installer.cluster.failures import Action, ApiFailure, CallContext, FailureKind, Verdict
from installer.cluster.listing import Listing, read_listing
from installer.cluster.network import classify_exception
from installer.cluster.resources import Discovery, Resource, group_path
from installer.cluster.target import ClusterTarget
from installer.cluster.transport import TRANSPORT_ERRORS, Answer, Transport
from installer.cluster.watching import (
    WATCH_LASTS,
    OpenWatches,
    WatchEvent,
    read_watch,
    watch_params,
)
from installer.core.clock import Clock
from installer.core.objects import FIELD_MANAGER, Manifest, ObjectRef

# A write to an API server whose etcd hung for 12 s was seen to succeed after 12.0 s: a shorter
# time-out would call unknown what is about to be done.
WRITE_TIMEOUT = 30.0  # seconds
READ_TIMEOUT = 30.0
LIST_TIMEOUT = 60.0
# As many as AdaptiveLimit ever lets in; more only made answers slower when it was measured.
CONNECTIONS = 16
WATCH_IDLE = 90.0  # seconds; the server sends a bookmark about once a minute
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
# A kube-apiserver that has just started refuses for a moment what it allows a second later: its
# roles are not loaded yet (three refusals in 0.1 s were seen on 1.36.2). So soon after a broken
# connection or a 503 a refusal is worth another try.
SETTLING = 20.0  # seconds
MERGE_PATCH = "application/merge-patch+json"

T = TypeVar("T")

_VERBS = {"GET": "get", "PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}


class ApiClient:
    """An async context manager. Every call has a time-out in seconds; failures are ApiFailure."""

    def __init__(
        self,
        target: ClusterTarget,
        *,
        clock: Clock,
        retry: RetryBudget | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        self.target = target
        self.clock = clock
        self._retry = retry
        self._transport = Transport(target, connections=connections)
        self._watches = OpenWatches()
        self._discovery = Discovery(self._resource_list)
        self._rng = random.Random()
        self._troubled_at = float("-inf")

    async def __aenter__(self) -> "ApiClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watches.close_all()
        await self._transport.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        within: float = READ_TIMEOUT,
        context: CallContext | None = None,
    ) -> Answer:
        """One call, its answer unjudged. Raises ApiFailure where there was no answer.

        Credentials that the API refuses are renewed once, if they can be.
        """
        asked = context or CallContext(_VERBS[method], path)
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            for last in (False, True):
                answer, grant = await self._transport.send(
                    method,
                    path,
                    params=params or {},
                    content=content,
                    content_type=content_type,
                    within=within,
                )
                if answer.status != 401 or last:
                    break
                if await self.target.credentials.renew(grant) is None:
                    break
        except TRANSPORT_ERRORS as error:
            raise self._no_answer(error, replace(asked, timeout=within)) from error
        self._notice(answer.status)
        return answer

    async def ask(self, method: str, path: str, body: Any, context: CallContext) -> Manifest:
        """One call whose answer is a JSON object, for paths that discovery does not list."""
        return self._object(await self.request(method, path, body=body, context=context), context)

    async def resource(self, api_version: str, kind: str) -> Resource:
        """What discovery says of a kind. Raises ApiFailure NO_SUCH_API if it is not served."""
        found = await self.find_resource(api_version, kind)
        if found is None:
            context = CallContext("get", f"{kind} ({api_version})", kind)
            raise ApiFailure.of(classify_answer(404, {}, b"404 page not found", context))
        return found

    async def find_resource(self, api_version: str, kind: str) -> Resource | None:
        """As ``resource``, with None for a kind that is not served."""
        return await self._discovery.find(api_version, kind)

    async def apply(
        self,
        manifest: Manifest,
        *,
        force: bool = False,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
        within: float = WRITE_TIMEOUT,
    ) -> Manifest:
        """Server-side apply with strict field validation; the object as it is then."""
        params = {"fieldManager": manager, "fieldValidation": "Strict"}
        params["force"] = "true" if force else "false"
        if dry_run:
            params["dryRun"] = "All"
        ref = ObjectRef.of(manifest)
        return await self._write("PATCH", ref, manifest, params, APPLY_PATCH, within)

    async def patch(
        self,
        ref: ObjectRef,
        patch: Any,
        *,
        content_type: str = MERGE_PATCH,
        subresource: str = "",
        within: float = WRITE_TIMEOUT,
    ) -> Manifest:
        """A merge (or JSON) patch under our field manager."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self._write(
            "PATCH", ref, patch, params, content_type, within, subresource=subresource
        )

    async def create(self, manifest: Manifest, *, within: float = WRITE_TIMEOUT) -> Manifest:
        """Raises ApiFailure ALREADY_EXISTS if there is one of this name."""
        params = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        ref = ObjectRef.of(manifest)
        return await self._write("POST", ref, manifest, params, "application/json", within)

    async def replace(self, manifest: Manifest, *, within: float = WRITE_TIMEOUT) -> Manifest:
        """PUT; raises ApiFailure VERSION_CONFLICT if metadata.resourceVersion is outdated."""
        params = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        ref = ObjectRef.of(manifest)
        return await self._write("PUT", ref, manifest, params, "application/json", within)

    async def delete(
        self,
        ref: ObjectRef,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        within: float = WRITE_TIMEOUT,
    ) -> bool:
        """Whether there was something to delete. Raises ApiFailure VERSION_CONFLICT if the object
        has another uid or version than the one given."""
        resource = await self.find_resource(ref.api_version, ref.kind)
        if resource is None:
            return False
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        wanted = {"uid": uid, "resourceVersion": resource_version}
        if any(wanted.values()):
            options["preconditions"] = {key: value for key, value in wanted.items() if value}
        context = CallContext("delete", str(ref), ref.kind)
        answer = await self.request(
            "DELETE",
            resource.path(ref.namespace, ref.name),
            body=options,
            within=within,
            context=context,
        )
        if answer.status == 404:
            return False
        self._judge(answer, context)
        return True

    async def get(self, ref: ObjectRef) -> Manifest | None:
        """The object, or None where it, its namespace or its kind is not there."""
        return await self._reading(lambda: self._get(ref))

    async def _get(self, ref: ObjectRef) -> Manifest | None:
        resource = await self.find_resource(ref.api_version, ref.kind)
        if resource is None:
            return None
        context = CallContext("get", str(ref), ref.kind)
        path = resource.path(ref.namespace, ref.name)
        answer = await self.request("GET", path, context=context)
        if answer.status == 404:
            return None
        return self._object(answer, context)

    async def list(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        once: bool = False,
    ) -> Listing:
        """All objects of a kind, in pages. Raises ApiFailure NO_SUCH_API if it is not served.

        ``once``: a failure is raised at once, whatever the retry budget (for whoever repeats it).
        """
        context = CallContext("list", f"all {kind} ({api_version})", kind)
        selectors = _selectors(labels, fields)

        async def page(params: Mapping[str, str]) -> Manifest:
            resource = await self.resource(api_version, kind)
            path = resource.path(namespace)
            answer = await self.request(
                "GET", path, params=params, within=LIST_TIMEOUT, context=context
            )
            return self._object(answer, context)

        async def repeated(params: Mapping[str, str]) -> Manifest:
            return await self._reading(lambda: page(params))

        return await read_listing(page if once else repeated, selectors, api_version, kind)

    async def watch(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        resource_version: str,
        idle_timeout: float = WATCH_IDLE,
    ) -> AsyncGenerator[WatchEvent]:
        """Changes after ``resource_version``, bookmarks among them, until the stream ends.

        It just ends when the server ends it, when nothing (no bookmark either) came for
        ``idle_timeout`` seconds, and when any call met a 503: go on from the last version seen.
        Raises WatchExpired if that is too old, ApiFailure. ``aclosing`` it when leaving early.
        """
        context = CallContext("watch", f"{kind} ({api_version})", kind)
        resource = await self.resource(api_version, kind)
        lasts = self._rng.randint(*WATCH_LASTS)
        ends = self.clock.monotonic() + lasts
        params = _selectors(labels, fields) | watch_params(resource_version, lasts)
        path = resource.path(namespace)
        for renewed in (False, True):
            stream = read_watch(self._transport, self._watches, path, params, idle_timeout, context)
            try:
                async with aclosing(stream):
                    async for event in stream:
                        yield event
                self._ended_early(ends)
                return
            except ApiFailure as failure:
                self._notice(failure.verdict.status)
                if renewed or not await self._renewed_after(failure):
                    raise type(failure).of(self._settled(failure.verdict)) from None
            except TRANSPORT_ERRORS as error:
                raise self._no_answer(error, context) from error

    def _ended_early(self, ends: float) -> None:
        """A watch that ends before its time may mean that the server goes."""
        now = self.clock.monotonic()
        if now < ends:
            self._troubled_at = now

    async def _renewed_after(self, failure: ApiFailure) -> bool:
        """Whether the credentials were refused and there are new ones."""
        if failure.kind is not FailureKind.UNAUTHENTICATED or self._transport.grant is None:
            return False
        return await self.target.credentials.renew(self._transport.grant) is not None

    async def _write(
        self,
        method: str,
        ref: ObjectRef,
        body: Any,
        params: Mapping[str, str],
        content_type: str,
        within: float,
        *,
        subresource: str = "",
    ) -> Manifest:
        context = CallContext(_VERBS[method], str(ref), ref.kind)
        resource = await self.resource(ref.api_version, ref.kind)
        path = resource.path(ref.namespace, "" if method == "POST" else ref.name)
        answer = await self.request(
            method,
            f"{path}/{subresource}" if subresource else path,
            params=params,
            body=body,
            content_type=content_type,
            within=within,
            context=context,
        )
        return self._object(answer, context)

    async def _resource_list(self, api_version: str) -> Manifest | None:
        context = CallContext("get", f"the kinds of {api_version}")
        answer = await self.request("GET", group_path(api_version), context=context)
        return None if answer.status == 404 else self._object(answer, context)

    async def _reading(self, read: Callable[[], Awaitable[T]]) -> T:
        return await (read() if self._retry is None else self._retry.run(read))

    def _judge(self, answer: Answer, context: CallContext) -> None:
        if answer.ok:
            return
        verdict = classify_answer(answer.status, answer.headers, answer.body, context)
        raise ApiFailure.of(self._settled(verdict))

    def _notice(self, status: int) -> None:
        if status in (502, 503, 504):
            self._troubled_at = self.clock.monotonic()
        if status == 503:
            # A server that shuts down waits for its watches; open ones delay it by half a minute.
            self._watches.close_all()

    def _settled(self, verdict: Verdict) -> Verdict:
        """A refusal is not final while the API server comes up: see SETTLING."""
        refused = verdict.kind in (FailureKind.FORBIDDEN, FailureKind.UNAUTHENTICATED)
        if refused and self.clock.monotonic() - self._troubled_at < SETTLING:
            return replace(verdict, action=Action.RETRY)
        grant = self._transport.grant
        ended = grant.expires if grant is not None else None
        if verdict.kind is FailureKind.UNAUTHENTICATED and ended is not None:
            cause = f"{verdict.cause}; the token or certificate is valid until {ended:%F %H:%M} UTC"
            return replace(verdict, cause=cause)
        return verdict

    def _object(self, answer: Answer, context: CallContext) -> Manifest:
        self._judge(answer, context)
        try:
            data = answer.json()
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise ApiFailure.of(not_kubernetes(answer.status, answer.body, context))
        return data

    def _no_answer(self, error: BaseException, context: CallContext) -> ApiFailure:
        self._troubled_at = self.clock.monotonic()
        return ApiFailure.of(classify_exception(error, context, self.target.url))


def _selectors(labels: str, fields: str) -> dict[str, str]:
    selectors = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in selectors.items() if value}
