"""Reads a kubeconfig with the ``kubernetes`` package; run as a program of its own.

A child process, because that package knows no time-outs (an exec plugin that hangs would hang the
engine), because a plugin must find no terminal and no keyboard, and because its 45 MB and half a
second of import are then gone when the answer is there. Arguments: kubeconfig, context (or ""),
directory for temporary files. Prints JSON lines: ``{"running": COMMAND}`` before an exec plugin is
started, and last ``{"target": ...}`` or ``{"problem": ...}``. It imports nothing of the installer.
"""

import binascii
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Problem(Exception):
    """What is wrong, as data for the parent to put into words."""

    def __init__(self, kind: str, **details: Any) -> None:
        super().__init__(kind)
        self.data = {"kind": kind, **details}


def main(arguments: list[str]) -> int:
    path, context, scratch = Path(arguments[0]), arguments[1], Path(arguments[2])
    # What a plugin prints on our standard output would otherwise mix with the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    os.umask(0o077)

    def running(command: str) -> None:
        print(json.dumps({"running": command}), file=answer, flush=True)

    try:
        result = {"target": read(path, context, scratch, running)}
    except Problem as problem:
        result = {"problem": problem.data}
    finally:
        wipe(scratch)
    with answer:
        print(json.dumps(result), file=answer)
    return 0


def read(path: Path, context: str, scratch: Path, running: Callable[[str], None]) -> dict[str, Any]:
    """The target as data. ``running`` is told the exec plugin's command. Raises Problem."""
    config = _parsed(path)
    names = [str(entry.get("name")) for entry in _entries(config, "contexts")]
    chosen = context or str(config.get("current-context") or "")
    if chosen not in names:
        raise Problem("no-context", wanted=chosen, given=bool(context), known=names)
    entry = _named(config, "contexts", chosen).get("context") or {}
    cluster_name, user_name = str(entry.get("cluster") or ""), str(entry.get("user") or "")
    cluster = _named(config, "clusters", cluster_name).get("cluster") or {}
    user = _named(config, "users", user_name).get("user") or {} if user_name else {}
    if not cluster.get("server"):
        raise Problem("malformed", detail=f"cluster {cluster_name!r} has no server")
    _refuse_what_is_not_supported(user, user_name)
    base = path.parent.resolve()
    plugin, token_file = user.pop("exec", None), user.pop("tokenFile", None)
    target = _loaded(config, chosen, base, scratch)
    target["token_file"] = str(base / token_file) if token_file else ""
    target["exec"] = bool(plugin)
    if plugin and not target["token"] and not token_file:
        running(str(plugin.get("command", "")))
        target.update(_from_plugin(plugin, base, cluster))
    target.update(name=chosen, user=user_name, namespace=str(entry.get("namespace") or "default"))
    return target


def _parsed(path: Path) -> dict[str, Any]:
    from kubernetes.config import ConfigException, kube_config

    library: Any = kube_config  # its functions have no annotations
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise Problem("no-file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Problem("unreadable", detail=str(error)) from None
    try:
        config = library.KubeConfigMerger(io.StringIO(text)).config
    except ConfigException:
        raise Problem("malformed", detail="the file is empty") from None
    except Exception as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Problem("not-yaml", detail=f"{where}{getattr(error, 'problem', error)}") from None
    if not isinstance(config, dict):
        raise Problem("malformed", detail="it is not a mapping")
    return config


def _entries(config: dict[str, Any], part: str) -> list[dict[str, Any]]:
    found = config.get(part) or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Problem("malformed", detail=f"{part} is not a list of mappings")
    return found


def _named(config: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    for entry in _entries(config, part):
        if entry.get("name") == name:
            return entry
    raise Problem("malformed", detail=f"{part} has no entry named {name!r}")


def _refuse_what_is_not_supported(user: dict[str, Any], name: str) -> None:
    if user.get("auth-provider"):
        provider = (user["auth-provider"] or {}).get("name", "")
        raise Problem("auth-provider", user=name, provider=provider)
    others = ("token", "tokenFile", "exec", "client-certificate", "client-certificate-data")
    if (user.get("username") or user.get("password")) and not any(map(user.get, others)):
        raise Problem("basic", user=name)
    plugin = user.get("exec") or {}
    if plugin.get("interactiveMode") == "Always":
        raise Problem("exec-terminal", command=plugin.get("command", ""))


def _loaded(config: dict[str, Any], context: str, base: Path, scratch: Path) -> dict[str, Any]:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, kube_config

    library: Any = kube_config
    settings = Configuration()
    settings.proxy = None  # it takes HTTPS_PROXY from the environment by itself
    try:
        loader = library.KubeConfigLoader(
            config_dict=config,
            active_context=context,
            config_base_path=str(base),
            temp_file_path=str(scratch),
        )
        loader.load_and_set(settings)
    except ConfigException as error:
        raise Problem("malformed", detail=str(error)) from None
    except binascii.Error as error:
        raise Problem("malformed", detail=f"a certificate or key is not base64: {error}") from None
    return {
        "url": settings.host,
        "ca": _text(settings.ssl_ca_cert),
        "verify": bool(settings.verify_ssl),
        "server_name": settings.tls_server_name or "",
        "proxy": settings.proxy or "",
        "token": (settings.api_key.get("BearerToken") or "").removeprefix("Bearer "),
        "certificate": _text(settings.cert_file),
        "key": _text(settings.key_file),
        "expires": "",
    }


def _text(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem("unreadable", detail=str(error)) from None


def _from_plugin(plugin: dict[str, Any], base: Path, cluster: dict[str, Any]) -> dict[str, Any]:
    from kubernetes.config import ConfigException, exec_provider, kube_config

    library: Any = kube_config
    provider: Any = exec_provider
    about = {
        "command": str(plugin.get("command", "")),
        "hint": str(plugin.get("installHint") or ""),
    }
    config = library.ConfigNode("exec", plugin)
    place = library.ConfigNode("cluster", cluster)
    try:
        status = provider.ExecProvider(config, str(base), place).run()
    except (FileNotFoundError, PermissionError):
        raise Problem("exec-missing", **about) from None
    except (ConfigException, OSError) as error:
        raise Problem("exec-failed", **about, detail=str(error)) from None
    if not isinstance(status, dict):
        raise Problem("exec-failed", **about, detail="its answer has no status")
    found = {
        "token": str(status.get("token") or ""),
        "certificate": str(status.get("clientCertificateData") or ""),
        "key": str(status.get("clientKeyData") or ""),
        "expires": str(status.get("expirationTimestamp") or ""),
    }
    if not found["token"] and not (found["certificate"] and found["key"]):
        detail = "its answer holds neither a token nor a certificate with its key"
        raise Problem("exec-failed", **about, detail=detail)
    return {name: value for name, value in found.items() if value}


def wipe(scratch: Path) -> None:
    """Overwrites and removes all files in the directory."""
    for path in scratch.iterdir():
        if path.is_file():
            path.write_bytes(b"\0" * path.stat().st_size)
            path.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
