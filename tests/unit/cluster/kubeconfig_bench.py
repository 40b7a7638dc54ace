"""A folder with a kubeconfig, its exec plugin and a clock that a test moves on."""

import base64
import datetime as dt
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.cluster.credentials import Grant
from installer.cluster.kubeconfig import load_target
from installer.cluster.target import ClusterTarget
from installer.core.clock import SystemClock
from installer.core.errors import InstallError
from tests.lab.pki import Authority

AUTHORITY = Authority("test")
CA = AUTHORITY.pair.certificate


class MovableClock(SystemClock):
    ahead = 0.0

    def now(self) -> dt.datetime:
        return super().now() + dt.timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


@dataclass
class Bench:
    folder: Path
    clock: MovableClock

    @property
    def path(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def scratch(self) -> Path:
        return self.folder / "install" / "scratch"

    def write(self, user: dict[str, Any], **cluster: Any) -> None:
        """A kubeconfig of one context named main."""
        place = {
            "server": "https://api.example.org:6443/",
            "certificate-authority-data": encoded(CA),
            **cluster,
        }
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "main",
            "clusters": [{"name": "c", "cluster": place}],
            "contexts": [
                {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}
            ],
            "users": [{"name": "u", "user": user}],
        }
        self.path.write_text(yaml.safe_dump(data))

    def plugin(self, body: str, **more: Any) -> dict[str, Any]:
        """An exec section whose program has this Python body."""
        program = self.folder / "plugin"
        program.write_text(f"#!{sys.executable} -I\nimport json, os, sys, time\n{body}\n")
        program.chmod(stat.S_IRWXU)
        return {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(program),
                "interactiveMode": "IfAvailable",
                **more,
            }
        }

    async def load(self, context: str | None = None, *, within: float = 30) -> ClusterTarget:
        return await load_target(self.path, context, self.scratch, clock=self.clock, within=within)

    async def refusal(self, context: str | None = None, *, within: float = 30) -> InstallError:
        with pytest.raises(InstallError) as caught:
            await self.load(context, within=within)
        assert not self.left_over()
        return caught.value

    def left_over(self) -> list[Path]:
        return list(self.scratch.iterdir()) if self.scratch.exists() else []


async def grant_of(target: ClusterTarget) -> Grant:
    return await target.credentials.current()
