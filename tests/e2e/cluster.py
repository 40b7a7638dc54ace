"""Somebody else at the simulated cluster: reads and writes it as kubectl would."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Self

from installer.rehearsal.process import control

Object = dict[str, Any]


class Cluster:
    """An administrator's connection to the rehearsal in ``folder``; it must be running."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port = json.loads((folder / "server.json").read_bytes())["api"]
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._http = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Object:
        return self._ask("GET", path)

    def replace(self, obj: Object, collection: str, *, by: str) -> Object:
        """A PUT by the field manager ``by``."""
        path = f"{collection}/{obj['metadata']['name']}?fieldManager={by}"
        return self._ask("PUT", path, obj)

    def create(self, obj: Object, collection: str, *, by: str) -> Object:
        return self._ask("POST", f"{collection}?fieldManager={by}", obj)

    def delete(self, path: str) -> Object:
        return self._ask("DELETE", path)

    def steer(self, method: str, path: str) -> Object:
        """A request to the rehearsal's control address: faults, freezing."""
        return control(self._folder, method, path)

    def _ask(self, method: str, path: str, body: Object | None = None) -> Object:
        headers = {
            "Authorization": f"Bearer {(self._folder / 'token').read_text()}",
            "Content-Type": "application/json",
            "User-Agent": "somebody-else",
        }
        self._http.request(method, path, json.dumps(body) if body else None, headers)
        response = self._http.getresponse()
        answer: Object = json.loads(response.read())
        assert response.status < 300, answer
        return answer
