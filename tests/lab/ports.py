"""Loopback ports that stay ours while their server is down.

A port found by binding to 0 and closing again can be given to somebody else before the server
binds it. Here the socket stays bound (never listening, so a connection is refused as if nobody
were there) with SO_REUSEPORT, and the server binds the same port with SO_REUSEPORT too, which
the kernel grants to the same user (socket(7)). kube-apiserver has `--permit-port-sharing` for
this, etcd `--socket-reuse-port`.
"""

import socket


class ReservedPort:
    """A TCP port on 127.0.0.1, held until `release`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        self._socket.close()


def unreserved_port() -> int:
    """A port free at this moment, for a server that cannot share one: be ready to try again."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
