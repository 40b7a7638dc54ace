"""Each answer of the API, as recorded, and what it means."""

import pytest

from installer.cluster.classifier import classify_answer
from installer.cluster.failures import (
    Action,
    ApiFailure,
    CallContext,
    FailureKind,
    FieldConflict,
    Replacement,
    Verdict,
)
from installer.core.errors import ExitCode
from installer.core.redaction import forget_all, register
from tests.unit.cluster import recorded
from tests.unit.cluster.recorded import Recorded, invalid


def judge(answer: Recorded, kind: str = "ConfigMap", verb: str = "patch") -> Verdict:
    status, headers, body = answer
    return classify_answer(status, headers, body, CallContext(verb, f"{kind} a in x1", kind))


@pytest.mark.parametrize(
    ("answer", "kind", "action"),
    [
        (recorded.FIELD_CONFLICT, FailureKind.FIELD_CONFLICT, Action.RESOLVE),
        (recorded.UNKNOWN_FIELD, FailureKind.UNKNOWN_FIELD, Action.STOP),
        (recorded.DUPLICATE_KEY, FailureKind.UNKNOWN_FIELD, Action.STOP),
        (recorded.STRICT_CREATE, FailureKind.UNKNOWN_FIELD, Action.STOP),
        (recorded.NO_SUCH_GROUP, FailureKind.NO_SUCH_API, Action.WAIT_FOR_API),
        (recorded.NO_SUCH_KIND, FailureKind.NO_SUCH_API, Action.WAIT_FOR_API),
        (recorded.NO_SUCH_OBJECT, FailureKind.NOT_FOUND, Action.STOP),
        (recorded.NO_SUCH_NAMESPACE, FailureKind.NAMESPACE_MISSING, Action.APPLY_NAMESPACE),
        (recorded.TERMINATING, FailureKind.NAMESPACE_TERMINATING, Action.WAIT_GONE),
        (recorded.WEBHOOK_DOWN, FailureKind.WEBHOOK_DOWN, Action.RETRY),
        (recorded.WEBHOOK_DENIED, FailureKind.POLICY_DENIED, Action.STOP),
        (recorded.POLICY_DENIED, FailureKind.POLICY_DENIED, Action.STOP),
        (recorded.POD_SECURITY, FailureKind.POLICY_DENIED, Action.STOP),
        (recorded.OVERLOAD, FailureKind.OVERLOAD, Action.RETRY),
        (recorded.OVERLOAD_STATUS, FailureKind.OVERLOAD, Action.RETRY),
        (recorded.SHUTTING_DOWN, FailureKind.UNAVAILABLE, Action.RETRY),
        (recorded.PROXY_PAGE, FailureKind.UNAVAILABLE, Action.RETRY),
        (recorded.SERVER_TIMEOUT, FailureKind.UNAVAILABLE, Action.RETRY),
        (recorded.ETCD_SLOW, FailureKind.SERVER_ERROR, Action.RETRY),
        (recorded.EXPIRED, FailureKind.EXPIRED, Action.RELIST),
        (recorded.TOO_LONG, FailureKind.TOO_LARGE, Action.STOP),
        (recorded.ENTITY_TOO_LARGE, FailureKind.TOO_LARGE, Action.STOP),
        (recorded.QUOTA, FailureKind.QUOTA, Action.STOP),
        (recorded.QUOTA_RACE, FailureKind.VERSION_CONFLICT, Action.RETRY),
        (recorded.MODIFIED, FailureKind.VERSION_CONFLICT, Action.RETRY),
        (recorded.UNAUTHORIZED, FailureKind.UNAUTHENTICATED, Action.STOP),
        (recorded.FORBIDDEN, FailureKind.FORBIDDEN, Action.STOP),
        (recorded.LOGIN_PAGE, FailureKind.NOT_KUBERNETES, Action.STOP),
        (recorded.plain(418, "teapot"), FailureKind.REJECTED, Action.STOP),
    ],
)
def test_each_answer_to_an_apply(answer: Recorded, kind: FailureKind, action: Action) -> None:
    verdict = judge(answer)
    assert (verdict.kind, verdict.action) == (kind, action)
    assert verdict.evidence
    assert "{" not in verdict.title
    assert verdict.cause


@pytest.mark.parametrize(
    ("kind", "cause", "how"),
    [
        ("Job", recorded.JOB_TEMPLATE, Replacement.RECREATE),
        ("StatefulSet", recorded.CLAIM_TEMPLATE, Replacement.ORPHAN_RECREATE),
        ("Deployment", recorded.SELECTOR, Replacement.RECREATE_WITH_CONSENT),
        ("DaemonSet", recorded.SELECTOR, Replacement.RECREATE_WITH_CONSENT),
        ("Service", recorded.CLUSTER_IP, Replacement.RECREATE_WITH_CONSENT),
        ("ConfigMap", recorded.FROZEN, Replacement.NEW_NAME),
        ("Secret", recorded.FROZEN, Replacement.NEW_NAME),
        ("Secret", recorded.SECRET_TYPE, Replacement.RECREATE_WITH_CONSENT),
        ("RoleBinding", recorded.ROLE_REF, Replacement.RECREATE),
        ("PersistentVolumeClaim", recorded.CLAIM_SPEC, Replacement.NEVER),
    ],
)
def test_each_kind_has_its_way_round_what_cannot_be_changed(
    kind: str, cause: tuple[str, str, str], how: Replacement
) -> None:
    verdict = judge(invalid(kind, "a", cause), kind)
    assert (verdict.kind, verdict.action) == (FailureKind.IMMUTABLE, Action.REPLACE)
    assert verdict.replacement is how
    assert verdict.fields == (cause[1],)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("StatefulSet", recorded.NEGATIVE),
        ("Deployment", recorded.SAYS_IMMUTABLE),
        ("StatefulSet", ("FieldValueRequired", "spec", "Required value")),
        ("Deployment", ("FieldValueRequired", "spec.selector", "Required value")),
        ("NetworkPolicy", recorded.SELECTOR),
    ],
)
def test_a_wrong_value_is_not_taken_for_an_immutable_one(
    kind: str, cause: tuple[str, str, str]
) -> None:
    verdict = judge(invalid(kind, "a", cause), kind)
    assert verdict.kind is FailureKind.INVALID
    assert verdict.replacement is None


def test_the_wording_alone_decides_nothing() -> None:
    """The same refusal in other words, and other refusals in these words."""
    reworded = (recorded.SELECTOR[0], recorded.SELECTOR[1], "Invalid value: quite another text")
    assert judge(invalid("Deployment", "a", reworded), "Deployment").kind is FailureKind.IMMUTABLE


def test_a_create_is_never_told_that_a_field_is_immutable() -> None:
    verdict = judge(invalid("Deployment", "a", recorded.SELECTOR), "Deployment", "create")
    assert verdict.kind is FailureKind.INVALID


def test_conflicts_name_field_and_manager() -> None:
    verdict = judge(recorded.FIELD_CONFLICT)
    assert verdict.conflicts == (
        FieldConflict(".spec.replicas", "kubectl"),
        FieldConflict(
            '.spec.template.spec.containers[name="synapse"].image', "kube-controller-manager"
        ),
    )
    assert ".spec.replicas is set by kubectl" in verdict.cause


def test_a_replace_that_met_another_version_must_be_read_again() -> None:
    verdict = judge(recorded.MODIFIED, verb="update")
    assert (verdict.kind, verdict.action) == (FailureKind.VERSION_CONFLICT, Action.STOP)
    assert judge(recorded.ALREADY_EXISTS, verb="create").kind is FailureKind.ALREADY_EXISTS
    assert judge(recorded.QUOTA_RACE, verb="create").action is Action.RETRY


def test_the_server_says_how_long_to_wait() -> None:
    assert judge(recorded.OVERLOAD).retry_after == 1
    assert judge(recorded.OVERLOAD_STATUS).retry_after == 7
    assert judge(recorded.SHUTTING_DOWN).retry_after == 5
    assert judge(recorded.plain(503, "x", retry_after="Wed, 21 Oct")).retry_after is None


def test_a_webhook_or_policy_is_named() -> None:
    assert judge(recorded.WEBHOOK_DOWN).webhook == "w.example.com"
    assert "w.example.com" in judge(recorded.WEBHOOK_DOWN).cause
    assert judge(recorded.WEBHOOK_DENIED).webhook == "w.example.com"
    assert judge(recorded.POLICY_DENIED).webhook == "v"
    assert judge(recorded.POD_SECURITY).webhook == 'PodSecurity "restricted:latest"'


def test_whether_a_write_was_done_is_unknown_after_a_server_error_only() -> None:
    assert judge(recorded.ETCD_SLOW).outcome_unknown
    assert judge(recorded.SHUTTING_DOWN).outcome_unknown
    assert not judge(recorded.ETCD_SLOW, verb="get").outcome_unknown
    assert not judge(recorded.OVERLOAD).outcome_unknown
    assert not judge(recorded.FORBIDDEN).outcome_unknown


def test_a_registered_secret_shows_nowhere_in_a_verdict() -> None:
    register(["hunter2-hunter2"])
    try:
        cause = ("FieldValueInvalid", "data", "Invalid value: hunter2-hunter2")
        verdict = judge(invalid("Secret", "a", cause), "Secret", "create")
    finally:
        forget_all()
    assert "hunter2" not in repr(verdict)


def test_the_missing_namespace_itself_is_simply_not_found() -> None:
    assert judge(recorded.NO_SUCH_NAMESPACE, "Namespace", "get").kind is FailureKind.NOT_FOUND


def test_a_failure_says_whether_the_cluster_was_reached() -> None:
    refused = ApiFailure.of(judge(recorded.UNAUTHORIZED))
    assert refused.exit_code is ExitCode.UNREACHABLE
    assert refused.code == "API-UNAUTHENTICATED"
    invalid_object = ApiFailure.of(judge(recorded.TOO_LONG))
    assert invalid_object.exit_code is ExitCode.FAILED
    assert "ConfigMap a in x1" in invalid_object.title


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"kind": "Status"}',
        b'{"kind": "Status", "code": "x", "details": "y", "reason": 7}',
        b'{"kind": "Status", "details": {"causes": ["z"]}}',
    ],
)
@pytest.mark.parametrize("status", [200, 301, 400, 404, 409, 422, 500, 599])
def test_no_answer_is_too_odd_to_be_judged(status: int, body: bytes) -> None:
    assert judge((status, {}, body)).cause
