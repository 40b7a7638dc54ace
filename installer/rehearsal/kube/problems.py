"""What the API server answers when it refuses: Status objects as kube-apiserver words them."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A refusal that is sent to the client as a Status (or as plain text)."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        headers: Mapping[str, str] | None = None,
        plain: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = dict(headers or {})
        self.plain = plain

    def status(self) -> Json:
        """The Status object of the refusal."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def cause(reason: str, message: str, field: str = "") -> Json:
    """One cause in a Status' details."""
    found: Json = {"reason": reason, "message": message}
    if field:
        found["field"] = field
    return found


def qualified(resource: str, group: str) -> str:
    """`deployments.apps`; plain `pods` in the core group."""
    return f"{resource}.{group}" if group else resource


def _details(name: str, group: str, kind: str) -> Json:
    found: Json = {}
    if name:
        found["name"] = name
    if group:
        found["group"] = group
    found["kind"] = kind
    return found


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404 for an object that is not there."""
    return ApiError(
        404,
        "NotFound",
        f'{qualified(resource, group)} "{name}" not found',
        details=_details(name, group, resource),
    )


def unknown_path() -> ApiError:
    """404 for a path that no API serves: plain text, not a Status."""
    return ApiError(404, "", "404 page not found\n", plain=True)


def unknown_resource() -> ApiError:
    """404 for a resource that a built-in API group does not have: a Status without details."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: str, group: str, name: str) -> ApiError:
    """409 for a create of a name that is taken."""
    return ApiError(
        409,
        "AlreadyExists",
        f'{qualified(resource, group)} "{name}" already exists',
        details=_details(name, group, resource),
    )


def modified(resource: str, group: str, name: str) -> ApiError:
    """409 for a write with a resourceVersion that is no longer current."""
    why = (
        "the object has been modified; please apply your changes to the latest version and try "
        "again"
    )
    return conflict(resource, group, name, why)


def conflict(resource: str, group: str, name: str, why: str) -> ApiError:
    """409 for a precondition that does not hold."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}',
        details=_details(name, group, resource),
    )


def invalid(kind: str, group: str, name: str, causes: Iterable[Json]) -> ApiError:
    """422 with one cause per field that is wrong."""
    listed = list(causes)
    texts = [f"{item['field']}: {item['message']}" for item in listed]
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return ApiError(
        422,
        "Invalid",
        f'{qualified(kind, group)} "{name}" is invalid: {joined}',
        details={**_details(name, group, kind), "causes": listed},
    )


def forbidden(
    resource: str, group: str, name: str, why: str, causes: Iterable[Json] = ()
) -> ApiError:
    """403; admission refuses with it."""
    details = _details(name, group, resource)
    listed = list(causes)
    if listed:
        details["causes"] = listed
    return ApiError(
        403,
        "Forbidden",
        f'{qualified(resource, group)} "{name}" is forbidden: {why}',
        details=details,
    )


def bad_request(message: str) -> ApiError:
    """400 for a request that cannot be read."""
    return ApiError(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    """500 InternalError, as a failed webhook call gives it."""
    return ApiError(
        500,
        "InternalError",
        f"Internal error occurred: {message}",
        details={"causes": [{"message": message}]},
    )


def untyped_failure(message: str) -> ApiError:
    """500 without any reason: an error that the server did not expect, told as its text."""
    return ApiError(500, "", message)


def unauthorized() -> ApiError:
    """401 without a token or with a wrong one."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiError:
    """410 for a resourceVersion or continue token whose history is gone."""
    return ApiError(410, "Expired", message)


def too_many_requests() -> ApiError:
    """429 as max-in-flight gives it: plain text and a header."""
    return ApiError(
        429,
        "TooManyRequests",
        "Too many requests, please try again later.\n",
        headers={"Retry-After": "1"},
        plain=True,
    )


def shutting_down() -> ApiError:
    """503 of a server that is about to stop."""
    return ApiError(
        503,
        "ServiceUnavailable",
        "apiserver is shutting down",
        details={"retryAfterSeconds": 5},
        headers={"Retry-After": "5"},
    )


def unsupported_media(given: str, known: Iterable[str]) -> ApiError:
    """415 for a body type that the verb does not read."""
    return ApiError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(known),
    )


def method_not_allowed() -> ApiError:
    """405 for a verb that the resource does not have."""
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details={},
    )
