"""A small Redis client for tests: RESP2 over a socket, every wait bounded."""

import socket
from typing import Self, TypeAlias

Reply: TypeAlias = "str | int | list[Reply] | None"


class RedisError(Exception):
    """The server answered with an error."""


class Connection:
    """One connection. Methods raise RedisError, or OSError when the line is gone."""

    def __init__(self, connected: socket.socket, password: str = "") -> None:
        self._socket = connected
        self._file = connected.makefile("rb")
        try:
            if password:
                self.call("AUTH", password)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, *words: str) -> Reply:
        self.send(*words)
        return self.receive()

    def send(self, *words: str) -> None:
        parts = [f"*{len(words)}\r\n".encode()]
        parts += [b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words]
        self._socket.sendall(b"".join(parts))

    def receive(self) -> Reply:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed by the server")
        kind, rest = line[:1], line[1:-2].decode()
        match kind:
            case b"+":
                return rest
            case b"-":
                raise RedisError(rest)
            case b":":
                return int(rest)
            case b"$":
                length = int(rest)
                return None if length < 0 else self._file.read(length + 2)[:-2].decode()
            case b"*":
                return None if int(rest) < 0 else [self.receive() for _ in range(int(rest))]
        raise RedisError(f"unknown reply {line!r}")

    def receive_or_error(self) -> "Reply | RedisError":
        """A reply; an error of the server is returned, not raised."""
        try:
            return self.receive()
        except RedisError as error:
            return error

    def role(self) -> str:
        """``master`` or ``slave``, of the server that this connection leads to."""
        answer = self.call("ROLE")
        assert isinstance(answer, list)
        return str(answer[0])

    def close(self) -> None:
        self._file.close()
        self._socket.close()
