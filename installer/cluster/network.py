"""Judges a call that got no answer: DNS, refused, TLS, time-outs, broken connections.

httpx wraps what the system said; the chain of causes is searched for it, because the remedy of a
refused connection is not that of a CA that does not match.
"""

import errno
import socket
import ssl
from collections.abc import Iterator

import httpx

from installer.cluster.classifier import WRITES
from installer.cluster.failures import Action, CallContext, FailureKind, Verdict
from installer.cluster.transport import AnswerTooLarge

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES})
# OpenSSL's X509_V_ERR_* (openssl/x509_vfy.h)
_X509_NOT_YET_VALID = 9
_X509_EXPIRED = 10
_X509_HOSTNAME = frozenset({62, 64})  # host name, IP address

_AGAIN = "See the network and the control plane's state, then start again."


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first.

    ``__context__`` counts only where httpx and httpcore hide in it what they translate; elsewhere
    it may be an older failure altogether.
    """
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        translated = type(current).__module__.partition(".")[0] in ("httpx", "httpcore")
        behind = current.__cause__ or (current.__context__ if translated else None)
        if behind is not None:
            pending.append(behind)


def classify_exception(error: BaseException, context: CallContext, url: str = "") -> Verdict:
    """The verdict on an exception of httpx, ssl, socket or asyncio's time-out."""
    where = url or "the API server"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        # What stood still shows as an unfinished TLS read or the like; it decides nothing.
        return _by_httpx(error, context, where)
    for cause in causes(error):
        verdict = _by_cause(cause, context, where)
        if verdict is not None:
            return verdict
    return _by_httpx(error, context, where)


def _by_cause(cause: BaseException, context: CallContext, where: str) -> Verdict | None:
    match cause:
        case AnswerTooLarge():
            return _stop(
                FailureKind.ANSWER_TOO_LARGE,
                f"The answer for {context.target} is too large",
                str(cause),
                "See what in the cluster is so large.",
            )
        case ssl.SSLCertVerificationError():
            return _untrusted(cause, where)
        case ssl.SSLError():
            return _no_tls(cause, where)
        case OSError():
            return _no_connection(cause, context, where)
        case _:
            return None


def _no_tls(error: ssl.SSLError, where: str) -> Verdict | None:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None  # a connection that broke off, not a disagreement
    if "WRONG_VERSION_NUMBER" in str(error):
        return _stop(
            FailureKind.TLS_OTHER,
            f"{where} does not speak TLS",
            str(error),
            "See the scheme and port of the kubeconfig's server.",
        )
    return _stop(
        FailureKind.TLS_OTHER,
        f"No TLS connection to {where}",
        str(error),
        "See whether a proxy stands between, and the client certificate's state.",
    )


def _no_connection(error: OSError, context: CallContext, where: str) -> Verdict | None:
    if isinstance(error, socket.gaierror):
        return _retry(
            FailureKind.DNS,
            context,
            f"The name in {where} cannot be resolved",
            str(error),
            "See the name in the kubeconfig and this machine's DNS.",
        )
    if isinstance(error, ConnectionRefusedError):
        return _retry(
            FailureKind.REFUSED,
            context,
            f"{where} refuses the connection",
            "Nothing listens at this address and port.",
            "See the address in the kubeconfig and whether the API server runs.",
        )
    if error.errno in _NO_ROUTE:
        return _retry(
            FailureKind.NO_ROUTE,
            context,
            f"There is no route to {where}",
            str(error),
            "See this machine's network, VPN and firewall.",
        )
    return None


def _untrusted(error: ssl.SSLCertVerificationError, where: str) -> Verdict:
    message = getattr(error, "verify_message", "") or str(error)
    code = getattr(error, "verify_code", 0)
    if code in _X509_HOSTNAME:
        return _stop(
            FailureKind.TLS_HOSTNAME,
            f"The certificate of {where} is for another name",
            message,
            "Use an address that the certificate names, or set tls-server-name in the kubeconfig.",
        )
    if code in (_X509_EXPIRED, _X509_NOT_YET_VALID):
        return _stop(
            FailureKind.TLS_EXPIRED,
            f"The certificate of {where} is not valid now",
            message,
            "See this machine's clock, then renew the API server's certificate.",
        )
    return _stop(
        FailureKind.TLS_UNTRUSTED,
        f"The certificate of {where} is not signed by the kubeconfig's CA",
        message,
        "Fetch the kubeconfig anew: the cluster was rebuilt, or something else answers there.",
    )


def _by_httpx(error: BaseException, context: CallContext, where: str) -> Verdict:
    within = f" within {context.timeout:g} s" if context.timeout else ""
    said = str(error) or type(error).__name__
    match error:
        case httpx.ProxyError():
            title = f"The proxy does not connect to {where}"
            return _stop(FailureKind.PROXY, title, said, "See proxy-url in the kubeconfig.")
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            kind, sent = FailureKind.NO_ANSWER, False
            title = f"No connection to {where}{within}"
            cause = "The connection attempt timed out."
        case TimeoutError() | httpx.TimeoutException():
            kind, sent = FailureKind.NO_ANSWER, True
            title = f"No answer from {where}{within}"
            cause = f"The API did not answer the {context.verb} of {context.target} in time."
        case httpx.ConnectError():
            kind, sent = FailureKind.NO_ROUTE, False
            title, cause = f"No connection to {where}", said
        case _:
            kind, sent = FailureKind.CONNECTION_LOST, True
            title, cause = f"The connection to {where} broke off", said
    return _retry(kind, context, title, cause, _AGAIN, sent=sent)


def _stop(kind: FailureKind, title: str, cause: str, remedy: str) -> Verdict:
    return Verdict(kind, Action.STOP, title, cause, remedy, evidence=(f"{title}: {cause}",))


def _retry(
    kind: FailureKind,
    context: CallContext,
    title: str,
    cause: str,
    remedy: str,
    *,
    sent: bool = False,
) -> Verdict:
    """``sent``: the request may have reached the server, so that a write may have been done."""
    return Verdict(
        kind,
        Action.RETRY,
        title,
        cause,
        remedy,
        outcome_unknown=sent and context.verb in WRITES,
        evidence=(f"{title}: {cause}",),
    )
