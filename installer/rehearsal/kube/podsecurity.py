"""The Pod Security Standards, `baseline` and `restricted`, as admission words their violations."""

from collections.abc import Callable, Iterator

from installer.rehearsal.kube.problems import Json

_HOST_FLAGS = ("hostNetwork", "hostPID", "hostIPC")
_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def violations(level: str, spec: Json) -> list[str]:
    """Every way in which a pod spec breaks the level; nothing for `privileged`."""
    checks = {"baseline": _BOTH + _BASELINE, "restricted": _BOTH + _RESTRICTED}.get(level, ())
    return [text for check in checks for text in check(spec)]


def _containers(spec: Json) -> list[Json]:
    found: list[Json] = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return found


def _context(container: Json) -> Json:
    found: Json = container.get("securityContext") or {}
    return found


def _named(containers: list[Json]) -> str:
    names = ", ".join(f'"{container["name"]}"' for container in containers)
    return f"container {names}" if len(containers) == 1 else f"containers {names}"


def _host_namespaces(spec: Json) -> Iterator[str]:
    found = [f"{flag}=true" for flag in _HOST_FLAGS if spec.get(flag)]
    if found:
        yield f"host namespaces ({', '.join(found)})"


def _host_ports(spec: Json) -> Iterator[str]:
    bad = [
        container
        for container in _containers(spec)
        if any(port.get("hostPort") for port in container.get("ports") or [])
    ]
    if bad:
        ports = ", ".join(
            str(port["hostPort"])
            for container in bad
            for port in container["ports"]
            if port.get("hostPort")
        )
        word = "hostPort" if "," not in ports else "hostPorts"
        yield f"hostPort ({_named(bad)} uses {word} {ports})"


def _privileged(spec: Json) -> Iterator[str]:
    bad = [item for item in _containers(spec) if _context(item).get("privileged")]
    if bad:
        yield f"privileged ({_named(bad)} must not set securityContext.privileged=true)"


def _host_paths(spec: Json) -> Iterator[str]:
    bad = [volume["name"] for volume in spec.get("volumes") or [] if "hostPath" in volume]
    if bad:
        word = "volume" if len(bad) == 1 else "volumes"
        yield f"hostPath volumes ({word} " + ", ".join(f'"{name}"' for name in bad) + ")"


def _added_capabilities(spec: Json) -> Iterator[str]:
    bad = [
        item
        for item in _containers(spec)
        if set((_context(item).get("capabilities") or {}).get("add") or ()) - _BASELINE_CAPABILITIES
    ]
    if bad:
        added = sorted(
            {
                name
                for item in bad
                for name in _context(item)["capabilities"]["add"]
                if name not in _BASELINE_CAPABILITIES
            }
        )
        listed = ", ".join(f'"{name}"' for name in added)
        yield (
            f"non-default capabilities ({_named(bad)} must not include {listed} in "
            "securityContext.capabilities.add)"
        )


def _volume_types(spec: Json) -> Iterator[str]:
    bad = [
        (volume["name"], kind)
        for volume in spec.get("volumes") or []
        for kind in volume
        if kind != "name" and kind not in _RESTRICTED_VOLUMES
    ]
    for name, kind in bad:
        yield f'restricted volume types (volume "{name}" uses restricted volume type "{kind}")'


def _escalation(spec: Json) -> Iterator[str]:
    bad = [
        item
        for item in _containers(spec)
        if _context(item).get("allowPrivilegeEscalation") is not False
    ]
    if bad:
        yield (
            f"allowPrivilegeEscalation != false ({_named(bad)} must set "
            "securityContext.allowPrivilegeEscalation=false)"
        )


def _restricted_capabilities(spec: Json) -> Iterator[str]:
    lacking: list[Json] = []
    adding: list[Json] = []
    for item in _containers(spec):
        capabilities = _context(item).get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            lacking.append(item)
        if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
            adding.append(item)
    told: list[str] = []
    if lacking:
        told.append(f'{_named(lacking)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        added = {name for item in adding for name in _context(item)["capabilities"]["add"]}
        listed = ", ".join(f'"{name}"' for name in sorted(added - {"NET_BIND_SERVICE"}))
        told.append(
            f"{_named(adding)} must not include {listed} in securityContext.capabilities.add"
        )
    if told:
        yield f"unrestricted capabilities ({'; '.join(told)})"


def _non_root(spec: Json) -> Iterator[str]:
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    bad = [
        item for item in _containers(spec) if _context(item).get("runAsNonRoot", pod) is not True
    ]
    if bad:
        yield (
            f"runAsNonRoot != true (pod or {_named(bad)} must set "
            "securityContext.runAsNonRoot=true)"
        )


def _root_user(spec: Json) -> Iterator[str]:
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "runAsUser=0 (pod must not set runAsUser=0)"
    bad = [item for item in _containers(spec) if _context(item).get("runAsUser") == 0]
    if bad:
        yield f"runAsUser=0 ({_named(bad)} must not set runAsUser=0)"


def _seccomp(spec: Json) -> Iterator[str]:
    pod = ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    bad = [
        item
        for item in _containers(spec)
        if (_context(item).get("seccompProfile") or {}).get("type", pod)
        not in ("RuntimeDefault", "Localhost")
    ]
    if bad:
        yield (
            f"seccompProfile (pod or {_named(bad)} must set securityContext.seccompProfile.type "
            'to "RuntimeDefault" or "Localhost")'
        )


_Check = Callable[[Json], Iterator[str]]
_BOTH: tuple[_Check, ...] = (_host_namespaces, _host_ports, _privileged)
_BASELINE: tuple[_Check, ...] = (_host_paths, _added_capabilities)
_RESTRICTED: tuple[_Check, ...] = (
    _escalation,
    _restricted_capabilities,
    _volume_types,
    _non_root,
    _root_user,
    _seccomp,
)
