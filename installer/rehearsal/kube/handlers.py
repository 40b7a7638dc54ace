"""From a request to an answer: authentication, routing, verbs."""

import hmac
import json
import logging
from dataclasses import dataclass
from typing import Any

from installer.rehearsal.kube import discovery
from installer.rehearsal.kube.deletion import Deletion, read_options
from installer.rehearsal.kube.http import Request, Response
from installer.rehearsal.kube.incoming import Place
from installer.rehearsal.kube.patches import Change, json_patch, merge_patch
from installer.rehearsal.kube.problems import (
    ApiError,
    Json,
    bad_request,
    internal,
    method_not_allowed,
    unauthorized,
    unknown_path,
    unknown_resource,
    unsupported_media,
)
from installer.rehearsal.kube.registry import Registry, WriteOptions
from installer.rehearsal.kube.resources import builtin_types
from installer.rehearsal.kube.scale import get_scale, set_scale
from installer.rehearsal.kube.store import encode
from installer.rehearsal.kube.watching import Scope, Watch, list_objects

_log = logging.getLogger(__name__)

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_READABLE = ("application/json", APPLY)

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version"})


@dataclass(frozen=True)
class Route:
    """What a resource path points at; an empty name means the whole collection."""

    place: Place
    all_namespaces: bool


class Handlers:
    """Answers every request of the API proper."""

    def __init__(self, registry: Registry, token: str) -> None:
        self._registry = registry
        self._deletion = Deletion(registry)
        self._token = token
        self._builtin = {kind.group for kind in builtin_types()}

    async def handle(self, request: Request) -> Response:
        """The answer to one request; refusals become Status answers."""
        try:
            return self._respond(request)
        except ApiError as refusal:
            return refused(refusal)
        except Exception:
            _log.exception("%s %s", request.method, request.path)
            return refused(internal("the simulated API server has a defect; see its log"))

    def authenticated(self, request: Request) -> bool:
        """Whether the request carries the one administrator's token."""
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())

    def _respond(self, request: Request) -> Response:
        if not self.authenticated(request) and request.path not in _OPEN_PATHS:
            raise unauthorized()
        fixed = self._fixed(request)
        if fixed is not None:
            return fixed
        route = self._route(request.path)
        if route.place.name:
            return self._one(request, route.place)
        return self._many(request, route)

    # Discovery

    def _fixed(self, request: Request) -> Response | None:
        path = request.path.rstrip("/")
        if path in ("/healthz", "/livez", "/readyz"):
            return Response(200, b"ok", "text/plain; charset=utf-8")
        if path == "/version":
            return answer(discovery.VERSION)
        parts = path.split("/")[1:]
        if parts[0] not in ("api", "apis"):
            raise unknown_path()
        if len(parts) > (2 if parts[0] == "api" else 3):
            return None
        found = self._discover(parts, request.headers.get("accept", ""))
        if found is None:
            raise self._unknown(path)
        return found

    def _unknown(self, path: str) -> ApiError:
        """A built-in group answers for what it lacks; nobody does for any other group."""
        parts = path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        if group in self._builtin or not self._registry.rules.unknown_api_is_plain_404:
            return unknown_resource()
        return unknown_path()

    def _discover(self, parts: list[str], accept: str) -> Response | None:
        catalogue = self._registry.catalogue
        core = parts[0] == "api"
        if len(parts) == 1:
            if discovery.wants_aggregated(accept):
                body = discovery.aggregated(catalogue, core=core)
                return Response(200, encode(body), discovery.AGGREGATED_MEDIA)
            if core:
                return answer(discovery.core_versions("127.0.0.1"))
            return answer(discovery.group_list(catalogue))
        if core:
            found = discovery.resource_list(catalogue, "", parts[1])
        elif len(parts) == 2:
            found = discovery.group(catalogue, parts[1])
        else:
            found = discovery.resource_list(catalogue, parts[1], parts[2])
        return answer(found) if found is not None else None

    # Resources

    def _route(self, path: str) -> Route:
        parts = path.strip("/").split("/")
        group, version, rest = (
            ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
        )
        namespace = ""
        if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = self._registry.catalogue.find(group, version, rest[0]) if rest else None
        if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
            raise self._unknown(path)
        name = rest[1] if len(rest) > 1 else ""
        subresource = rest[2] if len(rest) > 2 else ""
        if subresource and subresource not in kind.subresources:
            raise self._unknown(path)
        place = Place(kind, namespace, name, subresource)
        return Route(place, kind.namespaced and not namespace)

    def _many(self, request: Request, route: Route) -> Response:
        kind = route.place.kind
        namespace = None if route.all_namespaces else route.place.namespace
        if request.method == "GET" and "list" in kind.verbs:
            scope = Scope.read(kind, namespace, request.query)
            if request.query.get("watch") in ("true", "1"):
                watch = Watch(self._registry, scope, request.query)
                return Response(200, chunks=watch.lines())
            return Response(200, list_objects(self._registry, scope, request.query))
        if request.method == "POST":
            return self._create(request, route)
        if request.method == "DELETE" and "deletecollection" in kind.verbs:
            return self._delete_all(request, kind, namespace)
        raise method_not_allowed()

    def _create(self, request: Request, route: Route) -> Response:
        kind = route.place.kind
        if kind.kind == "SelfSubjectAccessReview":
            review = {**read_body(request), "status": {"allowed": True}}
            return answer(review, 201)
        if kind.namespaced and not route.place.namespace:
            raise method_not_allowed()
        created = self._registry.create(route.place, read_body(request), write_options(request))
        return answer(created, 201)

    def _delete_all(self, request: Request, kind: Any, namespace: str | None) -> Response:
        scope = Scope.read(kind, namespace, request.query)
        found = [
            stored.obj
            for stored in self._registry.store.items(kind.storage_key, namespace)
            if scope.takes(stored.obj)
        ]
        places = [
            Place(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            for obj in found
        ]
        options = read_options(read_body(request, optional=True), dict(request.query))
        deleted = self._deletion.delete_all(places, options)
        return answer(
            {
                "kind": f"{kind.kind}List",
                "apiVersion": kind.api_version,
                "metadata": {"resourceVersion": str(self._registry.store.version)},
                "items": deleted,
            }
        )

    def _one(self, request: Request, place: Place) -> Response:
        match request.method:
            case "GET":
                if place.subresource == "log":
                    return Response(200, b"", "text/plain")
                if place.subresource == "scale":
                    return answer(get_scale(self._registry, place))
                return Response(200, self._registry.get(place).raw)
            case "PUT":
                if place.subresource == "scale":
                    options = write_options(request)
                    return answer(set_scale(self._registry, place, read_body(request), options))
                return answer(
                    self._registry.update(place, read_body(request), write_options(request))
                )
            case "PATCH":
                return self._patch(request, place)
            case "DELETE" if not place.subresource:
                wanted = read_options(read_body(request, optional=True), dict(request.query))
                return answer(self._deletion.delete(place, wanted))
        raise method_not_allowed()

    def _patch(self, request: Request, place: Place) -> Response:
        media = request.headers.get("content-type", "").split(";")[0].strip()
        options = write_options(request)
        if media == APPLY:
            found, fresh = self._registry.apply(place, read_body(request), options)
            return answer(found, 201 if fresh else 200)
        change = self._change(media, request)
        if place.subresource == "scale":
            scaled = change(get_scale(self._registry, place))
            return answer(set_scale(self._registry, place, scaled, options))
        return answer(self._registry.patch(place, change, options))

    def _change(self, media: str, request: Request) -> Change:
        body = _json(request.body)
        if media == MERGE:
            return merge_patch(body)
        if media == JSON_PATCH and isinstance(body, list):
            return json_patch(body)
        raise unsupported_media(media, (JSON_PATCH, MERGE, APPLY))


def write_options(request: Request) -> WriteOptions:
    """Field manager, dry run, force and validation from a request's URL."""
    query = request.query
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        raise bad_request(f'Invalid value: "{dry_run}": dryRun must be "All"')
    applying = request.headers.get("content-type", "").startswith(APPLY)
    agent = request.headers.get("user-agent", "unknown").split("/")[0]
    return WriteOptions(
        manager=query.get("fieldManager") or ("" if applying else agent),
        dry_run=dry_run == "All",
        force=query.get("force") in ("true", "1"),
        validation=query.get("fieldValidation") or "Warn",
    )


def read_body(request: Request, *, optional: bool = False) -> Json:
    """The request's JSON object; ApiError 400 when it is none."""
    if optional and not request.body:
        return {}
    media = request.headers.get("content-type", "application/json").split(";")[0].strip()
    if media not in _READABLE:
        raise unsupported_media(media, _READABLE)
    body = _json(request.body)
    if not isinstance(body, dict):
        raise bad_request("the request's body is not an object")
    return body


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None


def answer(body: Json, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, encode(body))


def refused(refusal: ApiError) -> Response:
    """A refusal as it goes out: a Status, or plain text where the real server sends that."""
    if refusal.plain:
        text = refusal.message.encode()
        return Response(refusal.code, text, "text/plain; charset=utf-8", headers=refusal.headers)
    return Response(refusal.code, encode(refusal.status()), headers=refusal.headers)
