"""Kubeconfig files of a lab cluster, one way of proving who one is each."""

import base64
import datetime as dt
import json
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.lab.pki import KeyPair, write_private

_EXEC_API = "client.authentication.k8s.io/v1"


@dataclass(frozen=True)
class Endpoint:
    """Where a cluster answers and which authority signed its certificate (PEM)."""

    server: str
    authority: bytes


def with_certificate(path: Path, endpoint: Endpoint, user: str, pair: KeyPair) -> Path:
    """Certificate and key inline, as kubeadm writes admin.conf."""
    credential = {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }
    return _write(path, endpoint, user, credential)


def with_token(path: Path, endpoint: Endpoint, user: str, token: str) -> Path:
    """A bearer token inline."""
    return _write(path, endpoint, user, {"token": token})


def with_exec(path: Path, endpoint: Endpoint, user: str, credential: Path) -> Path:
    """An exec plugin that prints the ExecCredential lying in `credential` at that moment.

    Each call appends one line to `<credential>.calls`, so that a test can count them.
    """
    plugin = credential.with_name(f"{credential.name}.plugin")
    plugin.write_text(
        f"#!{sys.executable} -I\n"
        "import sys\n"
        f"open({str(credential) + '.calls'!r}, 'a').write('call\\n')\n"
        f"sys.stdout.write(open({str(credential)!r}).read())\n"
    )
    plugin.chmod(stat.S_IRWXU)
    command = {
        "apiVersion": _EXEC_API,
        "command": str(plugin),
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }
    return _write(path, endpoint, user, {"exec": command})


def write_exec_credential(credential: Path, token: str, expires: dt.datetime) -> None:
    """What the plugin prints from now on; clients ask again once `expires` has passed."""
    status = {
        "token": token,
        "expirationTimestamp": expires.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    content = {"apiVersion": _EXEC_API, "kind": "ExecCredential", "status": status}
    write_private(credential, json.dumps(content).encode())


def _write(path: Path, endpoint: Endpoint, user: str, credential: Mapping[str, object]) -> Path:
    authority = base64.b64encode(endpoint.authority).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "lab",
                "cluster": {"server": endpoint.server, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": user, "user": dict(credential)}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
    return path
