"""Seals and opens in a child process, so that the caller's event loop goes on.

age's scrypt takes a second and more of one CPU and its Python binding holds the interpreter's
lock meanwhile: a thread would not help. Key and data travel through pipes to our own child, never
in its arguments or environment.
"""

import asyncio
import base64
import json
import sys
from contextlib import suppress
from typing import Any

from installer.core.errors import ExitCode, InstallError
from installer.core.protect import protect_process
from installer.core.secrets import SecretText
from installer.store.sealed_key import (
    CannotUnseal,
    Passphrase,
    Recipients,
    SealKey,
    scrypt_memory,
)

_COMMAND = (sys.executable, "-P", "-m", "installer.store.sealed_process")
TIMEOUT = 120.0  # seconds; age refuses by itself what would take more than about 16


async def seal(key: SealKey, data: bytes, *, limit: float = TIMEOUT) -> bytes:
    """Raises InstallError SECRETS-TIMEOUT, SECRETS-NO-MEMORY."""
    return await _ask("seal", key, data, limit)


async def unseal(key: SealKey, data: bytes, *, limit: float = TIMEOUT) -> bytes:
    """Raises CannotUnseal; InstallError SECRETS-TIMEOUT, SECRETS-NO-MEMORY."""
    return await _ask("unseal", key, data, limit)


async def _ask(verb: str, key: SealKey, data: bytes, limit: float) -> bytes:
    request = json.dumps({"verb": verb, "key": _to_json(key), "data": _text(data)}).encode()
    child = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        answer, _ = await asyncio.wait_for(child.communicate(request), limit)
    except TimeoutError:
        raise _too_long(verb, limit) from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode is not None and child.returncode < 0:
        raise _killed(verb, -child.returncode, scrypt_memory(data))
    if child.returncode:
        raise RuntimeError(f"the child that should {verb} the secrets ended with an error")
    told = json.loads(answer)
    if "refused" in told:
        raise CannotUnseal(told["refused"])
    return base64.b64decode(told["data"])


def _killed(verb: str, number: int, memory: int) -> InstallError:
    needs = f" This file needs {memory >> 20} MiB for that." if memory else ""
    return InstallError(
        code="SECRETS-NO-MEMORY",
        title="Sealing or opening the secrets was cut off",
        cause=f"the process that was to {verb} them ended by signal {number}, as happens when "
        f"memory runs out.{needs}",
        remedy="Free some memory and try again, or work from a machine that has more.",
        retryable=True,
        exit_code=ExitCode.SECRETS,
    )


def _too_long(verb: str, limit: float) -> InstallError:
    return InstallError(
        code="SECRETS-TIMEOUT",
        title="Sealing or opening the secrets took too long",
        cause=f"age did not {verb} them within {limit:g} s",
        remedy="See whether this machine is overloaded, then try again.",
        retryable=True,
        exit_code=ExitCode.SECRETS,
    )


def _to_json(key: SealKey) -> dict[str, Any]:
    if isinstance(key, Passphrase):
        return {"passphrase": key.text.reveal()}
    identities = [identity.reveal() for identity in key.identities]
    return {"recipients": list(key.recipients), "identities": identities}


def _from_json(data: dict[str, Any]) -> SealKey:
    if "passphrase" in data:
        return Passphrase(SecretText(data["passphrase"]))
    identities = tuple(SecretText(identity) for identity in data["identities"])
    return Recipients(tuple(data["recipients"]), identities)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def main() -> None:
    """The child: one request on standard input, one answer on standard output."""
    protect_process()
    request = json.loads(sys.stdin.buffer.read())
    key, data = _from_json(request["key"]), base64.b64decode(request["data"])
    try:
        result = key.seal(data) if request["verb"] == "seal" else key.unseal(data)
    except CannotUnseal as refused:
        answer = {"refused": refused.reason}
    else:
        answer = {"data": _text(result)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
