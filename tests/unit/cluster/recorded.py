"""Answers as kube-apiserver 1.36.2 gave them, by name: status, headers, body."""

import json
from typing import Any

Recorded = tuple[int, dict[str, str], bytes]


def status(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> Recorded:
    data: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        data["reason"] = reason
    if details is not None:
        data["details"] = details
    data["code"] = code
    return code, {"content-type": "application/json"}, json.dumps(data).encode()


def plain(code: int, text: str, **headers: str) -> Recorded:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return code, {"content-type": "text/plain; charset=utf-8", **sent}, text.encode()


def invalid(kind: str, name: str, *causes: tuple[str, str, str]) -> Recorded:
    """``causes`` as (reason, field, message)."""
    texts = "; ".join(f"{path}: {message}" for _, path, message in causes)
    details = {
        "name": name,
        "kind": kind,
        "causes": [{"reason": r, "message": m, "field": f} for r, f, m in causes],
    }
    return status(422, "Invalid", f'{kind} "{name}" is invalid: {texts}', details)


FIELD_CONFLICT = status(
    409,
    "Conflict",
    'Apply failed with 2 conflicts: conflict with "kubectl" using apps/v1: .spec.replicas ...',
    {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kubectl" using apps/v1',
                "field": ".spec.replicas",
            },
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kube-controller-manager" with subresource "scale" '
                "using autoscaling/v1",
                "field": '.spec.template.spec.containers[name="synapse"].image',
            },
        ]
    },
)
UNKNOWN_FIELD = status(
    500,
    "",
    "failed to create typed patch object (x1/d; apps/v1, Kind=Deployment): .spec.foo: field not "
    "declared in schema",
)
DUPLICATE_KEY = status(
    500,
    "",
    "failed to create typed patch object (x1/d; apps/v1, Kind=Deployment): "
    '.spec.template.spec.containers[name="c"].env: duplicate entries for key [name="A"]',
)
STRICT_CREATE = status(
    400,
    "BadRequest",
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown '
    'field "foo"',
)
NO_SUCH_GROUP = plain(404, "404 page not found\n")
NO_SUCH_KIND = status(404, "NotFound", "the server could not find the requested resource", {})
NO_SUCH_OBJECT = status(
    404, "NotFound", 'configmaps "a" not found', {"name": "a", "kind": "configmaps"}
)
NO_SUCH_NAMESPACE = status(
    404, "NotFound", 'namespaces "nope" not found', {"name": "nope", "kind": "namespaces"}
)
TERMINATING = status(
    403,
    "Forbidden",
    'configmaps "new" is forbidden: unable to create new content in namespace x2 because it is '
    "being terminated",
    {
        "name": "new",
        "kind": "configmaps",
        "causes": [
            {
                "reason": "NamespaceTerminating",
                "message": "namespace x2 is being terminated",
                "field": "metadata.namespace",
            }
        ],
    },
)
_CALL = (
    'failed calling webhook "w.example.com": failed to call webhook: Post '
    '"https://w.x1.svc:443/x?timeout=2s": dial tcp 10.0.0.1:443: connect: connection refused'
)
WEBHOOK_DOWN = status(
    500, "InternalError", f"Internal error occurred: {_CALL}", {"causes": [{"message": _CALL}]}
)
WEBHOOK_DENIED = status(
    400, "BadRequest", 'admission webhook "w.example.com" denied the request: replicas must be odd'
)
POLICY_DENIED = status(
    422,
    "Invalid",
    "serviceaccounts \"q\" is forbidden: ValidatingAdmissionPolicy 'v' with binding 'v' denied "
    "request: no",
    {"name": "q", "kind": "serviceaccounts", "causes": [{"message": "denied request: no"}]},
)
POD_SECURITY = status(
    403,
    "Forbidden",
    'pods "p" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
    {"name": "p", "kind": "pods"},
)
OVERLOAD = plain(429, "Too many requests, please try again later.\n", retry_after="1")
OVERLOAD_STATUS = status(
    429,
    "TooManyRequests",
    "the server is currently unable to handle the request",
    {"retryAfterSeconds": 7},
)
SHUTTING_DOWN = plain(503, "apiserver is shutting down\n", retry_after="5")
PROXY_PAGE = plain(502, "<html><h1>502 Bad Gateway</h1></html>")
ETCD_SLOW = status(500, "", "etcdserver: request timed out")
SERVER_TIMEOUT = status(
    500, "ServerTimeout", "The POST operation against Lease could not be completed", {}
)
EXPIRED = status(410, "Expired", "too old resource version: 1 (2)")
TOO_LONG = invalid(
    "ConfigMap", "big", ("FieldValueTooLong", "[]", "Too long: may not be more than 1048576 bytes")
)
ENTITY_TOO_LARGE = status(
    413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", {}
)
QUOTA = status(
    403,
    "Forbidden",
    'configmaps "qq" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=3',
    {"name": "qq", "kind": "configmaps"},
)
QUOTA_RACE = status(
    409,
    "Conflict",
    'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
    {"name": "q", "kind": "resourcequotas"},
)
MODIFIED = status(
    409,
    "Conflict",
    'Operation cannot be fulfilled on configmaps "a": the object has been modified',
    {"name": "a", "kind": "configmaps"},
)
ALREADY_EXISTS = status(
    409, "AlreadyExists", 'configmaps "a" already exists', {"name": "a", "kind": "configmaps"}
)
UNAUTHORIZED = status(401, "Unauthorized", "Unauthorized")
FORBIDDEN = status(
    403,
    "Forbidden",
    'secrets is forbidden: User "u" cannot list resource "secrets" in API group "" at the cluster '
    "scope",
    {"kind": "secrets"},
)
LOGIN_PAGE = (302, {"location": "https://sso.example.org/"}, b"")

SELECTOR = ("FieldValueInvalid", "spec.selector", "Invalid value: {}: field is immutable")
JOB_TEMPLATE = ("FieldValueInvalid", "spec.template", "Invalid value: {}: field is immutable")
CLAIM_TEMPLATE = (
    "FieldValueForbidden",
    "spec",
    "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
)
CLUSTER_IP = (
    "FieldValueInvalid",
    "spec.clusterIPs[0]",
    'Invalid value: ["10.96.0.99"]: may not change once set',
)
FROZEN = (
    "FieldValueForbidden",
    "data",
    "Forbidden: field is immutable when `immutable` is set",
)
SECRET_TYPE = ("FieldValueInvalid", "type", 'Invalid value: "x": field is immutable')
ROLE_REF = ("FieldValueInvalid", "roleRef", "Invalid value: {}: cannot change roleRef")
CLAIM_SPEC = ("FieldValueForbidden", "spec", "Forbidden: spec is immutable after creation except")
NEGATIVE = ("FieldValueInvalid", "spec.replicas", "Invalid value: -1: must be greater than 0")
SAYS_IMMUTABLE = (
    "FieldValueInvalid",
    "spec.template.spec.containers[0].image",
    "Invalid value: immutable-tag-only: this image's tag is not immutable",
)
