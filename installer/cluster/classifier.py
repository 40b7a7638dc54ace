"""Judges an answer of the Kubernetes API.

The shapes were recorded from kube-apiserver 1.36; RULES is read from top to bottom and the first
rule that applies gives the verdict. Where the API gives a reason, a cause or a field, that decides
and never the wording; the cases without any structure (typed patch errors, webhook calls) go by
the fixed prefix that the server's code prints, and say so.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from installer.cluster.failures import (
    Action,
    CallContext,
    FailureKind,
    FieldConflict,
    Verdict,
)
from installer.cluster.immutable import replacement_for
from installer.cluster.reply import Reply, read_reply

WRITES = frozenset({"patch", "create", "update", "delete"})

# k8s.io/apiserver .../handlers/fieldmanager and structured-merge-diff: these answers have no
# reason and no causes, so the fixed text is all there is.
_TYPED_PATCH = "failed to create typed patch object"
_STRICT_DECODING = "strict decoding error"
_WEBHOOK_CALL = re.compile(r'failed calling webhook "([^"]+)"')
_DENIALS = (
    re.compile(r'^admission webhook "([^"]+)" denied the request'),
    re.compile(r"\bValidatingAdmissionPolicy '([^']+)' .*?\bdenied request"),
    re.compile(r'\bviolates (PodSecurity "[^"]+")'),
)
_MANAGER = re.compile(r'^conflict with ("(?:[^"\\]|\\.)*")')
_QUOTA = "exceeded quota"


@dataclass(frozen=True)
class Rule:
    """``applies`` looks at the answer only; texts may use {target}, {message} and {fields}."""

    kind: FailureKind
    action: Action
    applies: Callable[[Reply, CallContext], bool]
    title: str
    remedy: str


def _cause(name: str) -> Callable[[Reply, CallContext], bool]:
    return lambda reply, _: name in reply.cause_reasons


def _status(*codes: int) -> Callable[[Reply, CallContext], bool]:
    return lambda reply, _: reply.status in codes


def _reason(name: str) -> Callable[[Reply, CallContext], bool]:
    return lambda reply, _: reply.reason == name


def _typed_patch(reply: Reply, _: CallContext) -> bool:
    return (reply.status == 500 and reply.message.startswith(_TYPED_PATCH)) or (
        reply.status in (400, 422) and _STRICT_DECODING in reply.message
    )


def _webhook_down(reply: Reply, _: CallContext) -> bool:
    return reply.status == 500 and bool(_WEBHOOK_CALL.search(reply.message))


def _denied_by(reply: Reply) -> str:
    """Name of the webhook or policy that refused; empty where none did."""
    found = (pattern.search(reply.message) for pattern in _DENIALS)
    return next((match.group(1) for match in found if match), "")


def _no_such_api(reply: Reply, _: CallContext) -> bool:
    """No such group or version: a plain page. No such kind in a version that is served (its CRD
    was deleted): a Status that names no object."""
    names_nothing = not reply.details_kind and not reply.details_name
    return reply.status == 404 and (not reply.is_status or names_nothing)


def _namespace_missing(reply: Reply, context: CallContext) -> bool:
    about_namespace = reply.details_kind == "namespaces"
    return reply.status == 404 and about_namespace and context.kind != "Namespace"


def _server_side_conflict(reply: Reply, context: CallContext) -> bool:
    """A race inside the server, not a decision of ours: applying again settles it."""
    busy_quota = reply.status == 409 and reply.details_kind == "resourcequotas"
    return busy_quota or (reply.status == 409 and context.verb == "patch")


def _immutable(reply: Reply, context: CallContext) -> bool:
    updates = context.verb in ("patch", "update")
    return reply.status == 422 and updates and replacement_for(reply, context) is not None


RULES: tuple[Rule, ...] = (
    Rule(
        FailureKind.FIELD_CONFLICT,
        Action.RESOLVE,
        _cause("FieldManagerConflict"),
        "{target} has fields that somebody else manages",
        "See who set them and whether the change is wanted; accept to let this install take them "
        "over, or take them out of the other tool.",
    ),
    Rule(
        FailureKind.NAMESPACE_TERMINATING,
        Action.WAIT_GONE,
        _cause("NamespaceTerminating"),
        "The namespace of {target} is being deleted",
        "It is made anew as soon as it is gone; if it stays, see which finalizer holds it: "
        "kubectl get namespace NAME -o yaml",
    ),
    Rule(
        FailureKind.UNKNOWN_FIELD,
        Action.STOP,
        _typed_patch,
        "The API does not know a field of {target}",
        "The cluster's version or its CRD differs from what was declared; compare the versions. "
        "Trying again changes nothing.",
    ),
    Rule(
        FailureKind.WEBHOOK_DOWN,
        Action.RETRY,
        _webhook_down,
        "An admission webhook did not answer for {target}",
        "See whether the webhook's pods run and its service has endpoints.",
    ),
    Rule(
        FailureKind.POLICY_DENIED,
        Action.STOP,
        lambda reply, _: reply.status < 500 and bool(_denied_by(reply)),
        "A policy of the cluster refuses {target}",
        "The policy must allow it, or the settings must follow the policy; trying again changes "
        "nothing.",
    ),
    Rule(
        FailureKind.NO_SUCH_API,
        Action.WAIT_FOR_API,
        _no_such_api,
        "The API does not serve the kind of {target}",
        "Its CRD is not there (yet); see which component brings it.",
    ),
    Rule(
        FailureKind.NAMESPACE_MISSING,
        Action.APPLY_NAMESPACE,
        _namespace_missing,
        "The namespace of {target} does not exist",
        "It is applied first; if it went away since, somebody deleted it.",
    ),
    Rule(
        FailureKind.NOT_FOUND,
        Action.STOP,
        _status(404),
        "{target} does not exist",
        "Somebody deleted it; run again to make it anew.",
    ),
    Rule(
        FailureKind.ALREADY_EXISTS,
        Action.STOP,
        lambda reply, context: reply.reason == "AlreadyExists" and context.verb != "patch",
        "{target} exists already",
        "See who made it.",
    ),
    Rule(
        FailureKind.VERSION_CONFLICT,
        Action.RETRY,
        _server_side_conflict,
        "{target} changed while it was being written",
        "It is tried again by itself.",
    ),
    Rule(
        FailureKind.VERSION_CONFLICT,
        Action.STOP,
        _status(409),
        "{target} is no longer the object that was read",
        "Somebody else wrote it in between; it must be read again first.",
    ),
    Rule(
        FailureKind.EXPIRED,
        Action.RELIST,
        _status(410),
        "The cluster no longer keeps the version from which {target} was to be read on",
        "It is listed anew by itself.",
    ),
    Rule(
        FailureKind.TOO_LARGE,
        Action.STOP,
        lambda reply, _: reply.status == 413 or "FieldValueTooLong" in reply.cause_reasons,
        "{target} is too large for the API",
        "A ConfigMap or Secret holds at most 1 MiB; split it.",
    ),
    Rule(
        FailureKind.IMMUTABLE,
        Action.REPLACE,
        _immutable,
        "{target} cannot be changed in place",
        "The fields named can only be set when the object is made; it must be replaced.",
    ),
    Rule(
        FailureKind.INVALID,
        Action.STOP,
        _status(422),
        "The API refuses {target} as invalid",
        "The fields named must be mended; trying again changes nothing.",
    ),
    Rule(
        FailureKind.OVERLOAD,
        Action.RETRY,
        _status(429),
        "The API server is overloaded",
        "It is asked more slowly by itself; if it lasts, see what else keeps the API busy.",
    ),
    Rule(
        FailureKind.UNAUTHENTICATED,
        Action.STOP,
        _status(401),
        "The cluster does not accept our credentials",
        "Renew the kubeconfig's token or certificate and try again.",
    ),
    Rule(
        FailureKind.QUOTA,
        Action.STOP,
        lambda reply, _: reply.status == 403 and _QUOTA in reply.message,
        "A quota of the namespace does not allow {target}",
        "Raise the quota or free what counts against it.",
    ),
    Rule(
        FailureKind.FORBIDDEN,
        Action.STOP,
        _status(403),
        "The cluster does not allow us to {verb} {target}",
        "Ask the cluster's administrators for the right, or let them apply these objects "
        "(--render writes them).",
    ),
    Rule(
        FailureKind.UNAVAILABLE,
        Action.RETRY,
        lambda reply, _: reply.status in (502, 503, 504) or reply.reason == "ServerTimeout",
        "The API server is not available",
        "See the control plane's state, then start again.",
    ),
    Rule(
        FailureKind.SERVER_ERROR,
        Action.RETRY,
        lambda reply, _: reply.status >= 500,
        "The API server failed on {target}",
        "See the logs of the API server and of etcd, then start again.",
    ),
    Rule(
        FailureKind.NOT_KUBERNETES,
        Action.STOP,
        lambda reply, _: reply.status < 400,
        "The address does not answer as a Kubernetes API",
        "See that the kubeconfig's server is the API itself and not a login page or proxy.",
    ),
    Rule(
        FailureKind.REJECTED,
        Action.STOP,
        lambda reply, _: True,
        "The API refuses the request for {target}",
        "This is not mended by trying again; see the answer.",
    ),
)


def classify_answer(
    status: int, headers: Mapping[str, str], body: bytes, context: CallContext
) -> Verdict:
    """The verdict on an answer that is not a success.

    ``headers`` must find lower-case names. Never raises: an answer of no known shape is judged by
    its status alone.
    """
    reply = read_reply(status, headers, body)
    rule = next(rule for rule in RULES if rule.applies(reply, context))
    words = {"target": context.target, "verb": context.verb}
    called = _WEBHOOK_CALL.search(reply.message)
    webhook = called.group(1) if called else _denied_by(reply)
    waits = rule.action is Action.RETRY and rule.kind is not FailureKind.VERSION_CONFLICT
    return Verdict(
        kind=rule.kind,
        action=rule.action,
        title=rule.title.format(**words),
        cause=_cause_words(rule.kind, reply, webhook),
        remedy=rule.remedy,
        status=reply.status,
        reason=reply.reason,
        retry_after=reply.retry_after if waits else None,
        conflicts=_conflicts(reply),
        fields=reply.fields,
        replacement=replacement_for(reply, context) if rule.kind is FailureKind.IMMUTABLE else None,
        webhook=webhook,
        outcome_unknown=reply.status >= 500 and context.verb in WRITES,
        evidence=_evidence(reply),
    )


def not_kubernetes(status: int, body: bytes, context: CallContext) -> Verdict:
    """The verdict on a success whose body is not what the API sends."""
    rule = next(rule for rule in RULES if rule.kind is FailureKind.NOT_KUBERNETES)
    seen = _short(body[:300].decode("utf-8", "replace"))
    cause = f"the answer to the {context.verb} of {context.target} is not a Kubernetes object"
    evidence = (f"HTTP {status}: {seen}",)
    return Verdict(
        rule.kind, rule.action, rule.title, cause, rule.remedy, status, evidence=evidence
    )


def _conflicts(reply: Reply) -> tuple[FieldConflict, ...]:
    found = []
    for reason, path, message in reply.causes:
        if reason == "FieldManagerConflict":
            quoted = _MANAGER.match(message)
            name = quoted.group(1)[1:-1].replace('\\"', '"') if quoted else "an unnamed manager"
            found.append(FieldConflict(path, name))
    return tuple(found)


def _cause_words(kind: FailureKind, reply: Reply, webhook: str) -> str:
    if kind is FailureKind.FIELD_CONFLICT:
        return "; ".join(f"{c.path} is set by {c.manager}" for c in _conflicts(reply))
    if kind is FailureKind.WEBHOOK_DOWN:
        return f"webhook {webhook} could not be called: {_short(reply.message)}"
    if kind is FailureKind.NO_SUCH_API:
        return "the API answers 404 and names no object: there is no such path"
    return _short(reply.message) or f"HTTP status {reply.status} without a text"


def _evidence(reply: Reply) -> tuple[str, ...]:
    lines = [f"HTTP {reply.status} {reply.reason}".rstrip() + f": {_short(reply.message)}"]
    lines += [
        f"{path or '(no field)'}: {reason}: {_short(text)}" for reason, path, text in reply.causes
    ]
    return tuple(lines[:12])


def _short(text: str, limit: int = 600) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit] + " ..."
