"""From a kubeconfig to a cluster: where it is, and credentials that renew themselves.

The ``kubernetes`` package reads the file and runs exec plugins, in a child process
(``kubeconfig_reader``). Its temporary key files lie in the install's scratch directory and are
overwritten and removed before the child's answer is used.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from installer.cluster.certificate import validity
from installer.cluster.credentials import Grant, grant_from
from installer.cluster.kubeconfig_problems import as_error, expired, invalid, plugin_hangs
from installer.cluster.kubeconfig_reader import wipe
from installer.cluster.target import ClusterTarget
from installer.cluster.transport import tls_context
from installer.core.clock import Clock
from installer.core.errors import InstallError
from installer.core.redaction import register

READER = Path(__file__).with_name("kubeconfig_reader.py")
READ_TIMEOUT = 60.0  # seconds; an exec plugin may ask a server far away
RENEW_BEFORE = timedelta(seconds=60)
TOKEN_FILE_AGE = 60.0  # seconds; the kubelet rewrites projected tokens, client-go looks as often
RENEW_AT_MOST_EVERY = 10.0  # seconds: a refused new token does not start the plugin in a loop
_LONGEST_ANSWER = 4 * 1024 * 1024  # bytes
_OURS = re.compile(r"kube-(\d+)-[0-9a-f]+")


async def load_target(
    path: Path,
    context: str | None,
    scratch: Path,
    *,
    clock: Clock,
    within: float = READ_TIMEOUT,
) -> ClusterTarget:
    """The cluster of a kubeconfig's context (its current one if None).

    ``scratch`` is made with mode 0700 if it is not there. Raises InstallError KUBECONFIG-MISSING,
    -INVALID, -CONTEXT, -AUTH, -EXEC, -EXPIRED. Nothing is asked of the API.
    """
    source = _Source(path, context or "", scratch, clock, within)
    raw = await source.read()
    grant = _grant(raw)
    refused = expired(grant, clock.now(), renewable=bool(raw["exec"]))
    if refused is not None:
        raise refused
    target = ClusterTarget(
        name=raw["name"],
        url=raw["url"],
        credentials=KubeconfigCredentials(source, raw, grant),
        ca=raw["ca"],
        server_name=raw["server_name"],
        verify=raw["verify"],
        proxy=_proxy(path, raw["proxy"]),
        user=raw["user"],
        namespace=raw["namespace"],
        warnings=_warnings(raw),
    )
    try:
        tls_context(target, grant)
    except (ssl.SSLError, ValueError) as error:
        raise invalid(path, f"its certificates and keys cannot be used together: {error}") from None
    return target


@dataclass(frozen=True)
class _Source:
    """The kubeconfig's context, read as often as need be."""

    path: Path
    context: str
    scratch: Path
    clock: Clock
    within: float

    async def read(self) -> dict[str, Any]:
        """The reader's target. Raises InstallError in words."""
        self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        _wipe_left_over(self.scratch)
        place = self.scratch / f"kube-{os.getpid()}-{secrets.token_hex(4)}"
        place.mkdir(mode=0o700)
        try:
            answer = await self._ask(place)
        finally:
            wipe(place)
            place.rmdir()
        if "problem" in answer:
            raise as_error(self.path, answer["problem"])
        raw: dict[str, Any] = answer["target"]
        register(value for value in (raw["token"], raw["key"]) if value)
        if raw["token_file"]:
            raw["token"] = _token_of(Path(raw["token_file"]), self.path)
        return raw

    async def _ask(self, place: Path) -> Mapping[str, Any]:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(READER),
            str(self.path),
            self.context,
            str(place),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LONGEST_ANSWER,
        )
        plugin = ""
        try:
            async with asyncio.timeout(self.within):
                assert child.stdout is not None
                async for line in child.stdout:
                    said: dict[str, Any] = json.loads(line)
                    if "running" not in said:
                        await child.wait()
                        return said
                    plugin = str(said["running"])
                assert child.stderr is not None
                told = (await child.stderr.read()).decode("utf-8", "replace")
                await child.wait()
        except TimeoutError:
            raise plugin_hangs(self.path, plugin, self.within) from None
        finally:
            await _end(child)
        last = told.strip().rpartition("\n")[2]
        raise invalid(self.path, f"the kubernetes package failed on it: {last}")


class KubeconfigCredentials:
    """Credentials out of a kubeconfig, read again when they end or are refused."""

    def __init__(self, source: _Source, raw: Mapping[str, Any], grant: Grant) -> None:
        self._source = source
        self._clock = source.clock
        self._grant = grant
        self._token_file = str(raw["token_file"])
        self._read_at = self._clock.monotonic()
        self._renewed = False
        self._lock = asyncio.Lock()

    async def current(self) -> Grant:
        """Raises InstallError when what has ended cannot be renewed."""
        if self._due():
            async with self._lock:
                if self._due():
                    await self._renew_early()
        return self._grant

    async def renew(self, refused: Grant) -> Grant | None:
        async with self._lock:
            if self._grant != refused:
                return self._grant
            if self._renewed and self._age() < RENEW_AT_MOST_EVERY:
                return None
            await self._read()
            return self._grant if self._grant != refused else None

    def _age(self) -> float:
        return self._clock.monotonic() - self._read_at

    def _due(self) -> bool:
        if self._token_file:
            return self._age() >= TOKEN_FILE_AGE
        expires = self._grant.expires
        soon = expires is not None and expires - RENEW_BEFORE <= self._clock.now()
        return soon and self._age() >= RENEW_AT_MOST_EVERY

    async def _renew_early(self) -> None:
        """What still holds goes on being used if it cannot be renewed yet."""
        try:
            await self._read()
        except InstallError:
            expires = self._grant.expires
            if expires is None or expires <= self._clock.now():
                raise
            self._read_at = self._clock.monotonic()

    async def _read(self) -> None:
        raw = await self._source.read()
        self._renewed = True
        self._read_at = self._clock.monotonic()
        self._grant = _grant(raw)


def _grant(raw: Mapping[str, Any]) -> Grant:
    dates = validity(raw["certificate"])
    return grant_from(
        token=raw["token"],
        certificate=raw["certificate"],
        key=raw["key"],
        told=raw["expires"],
        certificate_ends=dates.not_after if dates else None,
    )


def _token_of(path: Path, kubeconfig: Path) -> str:
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise invalid(kubeconfig, f"its tokenFile cannot be read: {error}") from None
    register([token])
    return token


def _proxy(path: Path, url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise invalid(path, f"proxy-url has the scheme {parts.scheme!r}; http and https are served")
    if parts.password:
        register([parts.password])
    return url


def _warnings(raw: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    if not raw["verify"]:
        found.append("the kubeconfig says insecure-skip-tls-verify: anybody between can read along")
    if raw["url"].startswith("http:"):
        found.append("the kubeconfig's server is http: nothing is encrypted")
    return tuple(found)


def _wipe_left_over(scratch: Path) -> None:
    """Removes what a process that was killed could not."""
    for place in scratch.iterdir():
        ours = _OURS.fullmatch(place.name)
        if ours and not Path(f"/proc/{ours.group(1)}").exists():
            wipe(place)
            place.rmdir()


async def _end(child: asyncio.subprocess.Process) -> None:
    """Kills the child and the plugin it may have started, unless it has ended by itself."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
