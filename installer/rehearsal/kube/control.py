"""The rehearsal's own address: start and heal faults, freeze, restart, look at the state.

It is apart from the API so that a frozen or restarting API can be healed. Same CA, same token.

    GET    /state            faults that are on, version, number of objects
    POST   /faults/NAME      start a fault
    DELETE /faults/NAME      heal it
    POST   /freeze /thaw /freeze-etcd /thaw-etcd /compact /restart /overload/on /overload/off /stop
"""

import hmac
from typing import Protocol

from installer.rehearsal.faults import FaultBoard
from installer.rehearsal.kube.handlers import answer, refused
from installer.rehearsal.kube.http import Request, Response
from installer.rehearsal.kube.problems import unauthorized, unknown_path
from installer.rehearsal.kube.store import Store
from installer.rehearsal.kube.tls import Identity


class Controlled(Protocol):
    """What the control address needs of the server."""

    faults: FaultBoard
    store: Store
    identity: Identity
    overloaded: bool

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def freeze_etcd(self) -> None: ...

    def thaw_etcd(self) -> None: ...

    async def restart(self, seconds: float) -> None: ...

    def end(self) -> None: ...


class Control:
    """Answers requests to the control address."""

    def __init__(self, server: Controlled) -> None:
        self._server = server

    async def handle(self, request: Request) -> Response:
        """Carry out one control request."""
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self._server.identity.token}".encode()):
            return refused(unauthorized())
        parts = request.path.strip("/").split("/")
        if request.method == "GET" and parts == ["state"]:
            return answer(self._state())
        if parts[0] == "faults" and len(parts) == 2:
            return self._fault(request.method, parts[1])
        if request.method == "POST" and await self._act("/".join(parts)):
            return answer(self._state())
        return refused(unknown_path())

    def _state(self) -> dict[str, object]:
        return {
            "faults": self._server.faults.active(),
            "version": self._server.store.version,
            "objects": sum(1 for _ in self._server.store.places()),
        }

    def _fault(self, method: str, name: str) -> Response:
        try:
            if method == "POST":
                self._server.faults.start(name)
            elif method == "DELETE":
                self._server.faults.heal(name)
            else:
                return refused(unknown_path())
        except KeyError:
            return refused(unknown_path())
        return answer(self._state())

    async def _act(self, action: str) -> bool:
        server = self._server
        match action:
            case "freeze":
                server.freeze()
            case "thaw":
                server.thaw()
            case "freeze-etcd":
                server.freeze_etcd()
            case "thaw-etcd":
                server.thaw_etcd()
            case "compact":
                server.store.compact()
            case "restart":
                await server.restart(0.0)
            case "overload/on" | "overload/off":
                server.overloaded = action.endswith("on")
            case "stop":
                server.end()
            case _:
                return False
        return True
