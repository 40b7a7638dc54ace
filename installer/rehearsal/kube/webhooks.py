"""Admission webhooks.

No webhook is ever called: a rehearsal touches nothing but loopback. One whose Service has ready
endpoints is taken to allow everything unchanged; any other one cannot be reached, and fails the
request or not as its `failurePolicy` says.
"""

from collections.abc import Iterator

from installer.rehearsal.kube.problems import ApiError, Json, bad_request, internal
from installer.rehearsal.kube.resources import ResourceType
from installer.rehearsal.kube.selectors import matches
from installer.rehearsal.kube.store import Store

_CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_GROUP = "admissionregistration.k8s.io"


class Webhooks:
    """Asks the configured webhooks about a request; `down` makes all of them unreachable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down = False

    def review(
        self, kind: ResourceType, operation: str, obj: Json, subresource: str, *, dry_run: bool
    ) -> None:
        """Raise ApiError 500 when a webhook that must agree cannot be reached."""
        if kind.group == _GROUP:
            return
        for hook in self._hooks():
            if not self._concerns(hook, kind, operation, obj, subresource):
                continue
            if dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
                raise bad_request(f'admission webhook "{hook["name"]}" does not support dry run')
            if hook.get("failurePolicy", "Fail") == "Ignore":
                continue
            trouble = self._trouble(hook)
            if trouble:
                raise self._failed(hook, trouble)

    def _hooks(self) -> Iterator[Json]:
        for plural in _CONFIGURATIONS:
            for stored in self._store.items(f"{plural}.{_GROUP}"):
                yield from stored.obj.get("webhooks") or []

    def _concerns(
        self, hook: Json, kind: ResourceType, operation: str, obj: Json, subresource: str
    ) -> bool:
        if not any(
            _rule_matches(rule, kind, operation, subresource) for rule in hook.get("rules") or []
        ):
            return False
        labels = obj.get("metadata", {}).get("labels") or {}
        if not matches(hook.get("objectSelector") or {}, labels):
            return False
        return matches(hook.get("namespaceSelector") or {}, self._namespace_labels(kind, obj))

    def _namespace_labels(self, kind: ResourceType, obj: Json) -> Json:
        metadata = obj.get("metadata", {})
        name = (
            metadata.get("name", "") if kind.plural == "namespaces" else metadata.get("namespace")
        )
        stored = self._store.get(("namespaces.", "", name or ""))
        labels: Json = (stored.obj["metadata"].get("labels") if stored else None) or {}
        return labels

    def _trouble(self, hook: Json) -> str:
        service = hook.get("clientConfig", {}).get("service")
        if service is None:
            return "connect: connection refused"
        name, namespace = service.get("name", ""), service.get("namespace", "")
        stored = self._store.get(("services.", namespace, name))
        if stored is None:
            return f'service "{name}" not found'
        endpoints = self._store.get(("endpoints.", namespace, name))
        ready = endpoints is not None and any(
            subset.get("addresses") for subset in endpoints.obj.get("subsets") or []
        )
        if not ready:
            return f'no endpoints available for service "{name}"'
        return "connect: connection refused" if self.down else ""

    def _failed(self, hook: Json, trouble: str) -> ApiError:
        config = hook.get("clientConfig", {})
        timeout = f"timeout={hook.get('timeoutSeconds', 10)}s"
        service = config.get("service")
        if service is None:
            target = f"{config.get('url', '')}?{timeout}"
        else:
            host = f"{service.get('name')}.{service.get('namespace')}.svc"
            target = (
                f"https://{host}:{service.get('port', 443)}{service.get('path', '/')}?{timeout}"
            )
        return internal(
            f'failed calling webhook "{hook["name"]}": failed to call webhook: '
            f'Post "{target}": {trouble}'
        )


def _rule_matches(rule: Json, kind: ResourceType, operation: str, subresource: str) -> bool:
    wanted = f"{kind.plural}/{subresource}" if subresource else kind.plural
    patterns = {wanted, "*/*", f"{kind.plural}/*"} | (set() if subresource else {"*"})
    return (
        _listed(rule.get("operations"), operation)
        and _listed(rule.get("apiGroups"), kind.group)
        and _listed(rule.get("apiVersions"), kind.version)
        and bool(patterns & set(rule.get("resources") or []))
        and rule.get("scope", "*") in ("*", "Namespaced" if kind.namespaced else "Cluster")
    )


def _listed(values: list[str] | None, wanted: str) -> bool:
    return wanted in (values or []) or "*" in (values or [])
