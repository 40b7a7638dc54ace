"""Requests that a server holds in flight for as long as a test wants."""

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from tests.lab.api import Api, ApiError, NotReached

_PATH = "/api/v1/namespaces/default/configmaps?dryRun=All"
_SECONDS = 20.0
_POLL = 0.05


@contextmanager
def mutations(api: Api, context: ssl.SSLContext, token: str, count: int) -> Iterator[None]:
    """Holds `count` unfinished POSTs, and returns once one more is answered 429.

    They count against --max-mutating-requests-inflight for up to a minute, the server's request
    timeout. `api` and `token` must not be of system:masters.
    """
    with ExitStack() as stack:
        for _ in range(count):
            stack.callback(_begin(api.server, context, token).close)
        deadline = time.monotonic() + _SECONDS
        while not _refused(api):
            if time.monotonic() > deadline:
                raise NotReached(f"{count} mutations in flight do not make a 429")
            threading.Event().wait(_POLL)
        yield


def _begin(server: str, context: ssl.SSLContext, token: str) -> http.client.HTTPSConnection:
    """Sends the head and the first byte of the body; the server waits for the rest."""
    address = urlsplit(server)
    connection = http.client.HTTPSConnection(
        str(address.hostname), address.port, context=context, timeout=10
    )
    connection.putrequest("POST", _PATH)
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    connection.send(b"{")
    return connection


def _refused(api: Api) -> bool:
    try:
        api.request("POST", _PATH, {"metadata": {"generateName": "lab-"}})
    except ApiError as error:
        return error.status == 429
    return False
