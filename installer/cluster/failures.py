"""The vocabulary of failed API calls: what it was, and what the caller does next.

``classifier`` judges answers, ``network`` judges calls that got none; both give a Verdict.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from installer.core.errors import ExitCode, InstallError
from installer.core.redaction import redact


class FailureKind(StrEnum):
    FIELD_CONFLICT = "field-conflict"  # another field manager owns what we apply
    VERSION_CONFLICT = "version-conflict"  # the object changed between read and write
    ALREADY_EXISTS = "already-exists"
    UNKNOWN_FIELD = "unknown-field"  # the schema does not know what we sent
    NO_SUCH_API = "no-such-api"  # group, version or kind is not served (its CRD is missing)
    NOT_FOUND = "not-found"
    NAMESPACE_MISSING = "namespace-missing"
    NAMESPACE_TERMINATING = "namespace-terminating"
    IMMUTABLE = "immutable"  # the change needs another way than an update
    INVALID = "invalid"
    TOO_LARGE = "too-large"
    QUOTA = "quota"
    WEBHOOK_DOWN = "webhook-down"
    POLICY_DENIED = "policy-denied"  # a webhook, an admission policy or Pod Security says no
    OVERLOAD = "overload"  # 429
    UNAVAILABLE = "unavailable"  # 502, 503, 504: starting, shutting down, or a proxy before it
    SERVER_ERROR = "server-error"  # 500 without a known shape (a busy etcd looks so)
    EXPIRED = "expired"  # 410: the resourceVersion or continue token is too old
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    REJECTED = "rejected"  # any other 4xx
    NOT_KUBERNETES = "not-kubernetes"  # a redirect, or a page where JSON was due
    REFUSED = "connection-refused"
    NO_ROUTE = "no-route"
    DNS = "dns"
    TLS_UNTRUSTED = "tls-untrusted"  # the CA does not match
    TLS_HOSTNAME = "tls-hostname"
    TLS_EXPIRED = "tls-expired"  # the server's certificate
    TLS_OTHER = "tls-other"
    PROXY = "proxy"
    NO_ANSWER = "no-answer"  # timed out: the outcome of a write is unknown
    CONNECTION_LOST = "connection-lost"  # broken off: the outcome of a write is unknown
    ANSWER_TOO_LARGE = "answer-too-large"


class Action(StrEnum):
    """What the caller does next."""

    RETRY = "retry"  # the same call again, bounded by a budget
    WAIT_FOR_API = "wait-for-api"  # wait for the CRD, look at discovery again, repeat
    APPLY_NAMESPACE = "apply-namespace"
    WAIT_GONE = "wait-gone"  # wait until the namespace answers 404, then create it anew
    REPLACE = "replace"  # see Verdict.replacement
    RESOLVE = "resolve"  # field conflict: our old managers, co-owned fields, else stop
    RELIST = "relist"
    STOP = "stop"


class Replacement(StrEnum):
    """How a change of an immutable field is made, by kind."""

    RECREATE = "recreate"  # delete and create: nothing of value is lost
    ORPHAN_RECREATE = "orphan-recreate"  # delete without its pods and claims, create again
    RECREATE_WITH_CONSENT = "recreate-with-consent"  # an outage or a loss: ask first
    NEW_NAME = "new-name"  # an immutable ConfigMap or Secret gets another name
    NEVER = "never"  # data hangs on it


@dataclass(frozen=True)
class FieldConflict:
    """One field that another manager owns. ``path`` as the API prints it: ``.spec.replicas``."""

    path: str
    manager: str


@dataclass(frozen=True)
class CallContext:
    """What was asked. ``verb`` is an access-review verb (get, list, watch, patch, create,
    update, delete); ``target`` is shown to people (``Deployment synapse in mx-synapse``).
    """

    verb: str
    target: str
    kind: str = ""
    timeout: float = 0.0  # seconds


@dataclass(frozen=True)
class Verdict:
    """One answer, judged. Its texts are redacted when it is made.

    ``retry_after`` is in seconds, None where the server said nothing. ``outcome_unknown`` is
    true where a write may or may not have been done; server-side apply is safe to repeat.
    """

    kind: FailureKind
    action: Action
    title: str
    cause: str
    remedy: str
    status: int = 0  # HTTP; 0 when there was no answer
    reason: str = ""  # Status.reason
    retry_after: float | None = None
    conflicts: tuple[FieldConflict, ...] = ()
    fields: tuple[str, ...] = ()  # paths of the Status' causes
    replacement: Replacement | None = None
    webhook: str = ""  # or the policy's name
    outcome_unknown: bool = False
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("title", "cause"):
            object.__setattr__(self, name, redact(getattr(self, name)))
        object.__setattr__(self, "evidence", tuple(map(redact, self.evidence)))

    @property
    def transient(self) -> bool:
        return self.action is Action.RETRY


UNREACHABLE_KINDS = frozenset(
    {
        FailureKind.REFUSED,
        FailureKind.NO_ROUTE,
        FailureKind.DNS,
        FailureKind.TLS_UNTRUSTED,
        FailureKind.TLS_HOSTNAME,
        FailureKind.TLS_EXPIRED,
        FailureKind.TLS_OTHER,
        FailureKind.PROXY,
        FailureKind.NO_ANSWER,
        FailureKind.CONNECTION_LOST,
        FailureKind.UNAUTHENTICATED,
        FailureKind.NOT_KUBERNETES,
    }
)


@dataclass
class ApiFailure(InstallError):
    """A call of the API that failed; ``code`` is ``API-`` and the verdict's kind.

    ``repeated``: a retry budget has sent it again for as long as it may.
    """

    verdict: Verdict = field(kw_only=True)
    repeated: bool = field(default=False, kw_only=True)

    @classmethod
    def of(cls, verdict: Verdict) -> "ApiFailure":
        unreachable = verdict.kind in UNREACHABLE_KINDS
        return cls(
            code="API-" + verdict.kind.value.upper(),
            title=verdict.title,
            cause=verdict.cause,
            remedy=verdict.remedy,
            retryable=True,
            evidence=verdict.evidence,
            exit_code=ExitCode.UNREACHABLE if unreachable else ExitCode.FAILED,
            verdict=verdict,
        )

    @property
    def kind(self) -> FailureKind:
        return self.verdict.kind


@dataclass
class WatchExpired(ApiFailure):
    """The version from which a watch was to go on is gone: list anew."""
