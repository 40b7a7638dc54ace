"""The resource types that the API serves: built-in ones, and those that CRDs add."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from installer.rehearsal.kube.fields import Struct, struct
from installer.rehearsal.kube.problems import Json

VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True)
class ResourceType:
    """One kind at one version, as discovery tells it and as requests reach it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    generation: bool = False
    verbs: tuple[str, ...] = VERBS
    schema: Struct = field(default_factory=lambda: struct("ObjectMeta"))
    custom: Json | None = None

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_key(self) -> str:
        """One key for all versions of a kind: objects are stored once."""
        return f"{self.plural}.{self.group}"

    @property
    def singular(self) -> str:
        """The kind in lower case, as discovery gives it."""
        return self.kind.lower()

    @property
    def reset_fields(self) -> tuple[str, ...]:
        """Top-level fields that a write to the object itself does not change."""
        return ("status",) if "status" in self.subresources else ()


# Path, kind, plural, scope, short names, subresources, whether spec changes are counted.
_KINDS = """
v1 ConfigMap configmaps namespaced cm - -
v1 Endpoints endpoints namespaced ep - -
v1 Event events namespaced ev - -
v1 LimitRange limitranges namespaced limits - -
v1 Namespace namespaces cluster ns status,finalize -
v1 Node nodes cluster no status -
v1 PersistentVolumeClaim persistentvolumeclaims namespaced pvc status -
v1 PersistentVolume persistentvolumes cluster pv status -
v1 Pod pods namespaced po status,log generation
v1 ReplicationController replicationcontrollers namespaced rc status -
v1 ResourceQuota resourcequotas namespaced quota status -
v1 Secret secrets namespaced - - -
v1 ServiceAccount serviceaccounts namespaced sa - -
v1 Service services namespaced svc status -
apps/v1 ControllerRevision controllerrevisions namespaced - - -
apps/v1 DaemonSet daemonsets namespaced ds status generation
apps/v1 Deployment deployments namespaced deploy status,scale generation
apps/v1 ReplicaSet replicasets namespaced rs status,scale generation
apps/v1 StatefulSet statefulsets namespaced sts status,scale generation
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers namespaced hpa status -
batch/v1 CronJob cronjobs namespaced cj status generation
batch/v1 Job jobs namespaced - status generation
networking.k8s.io/v1 Ingress ingresses namespaced ing status generation
networking.k8s.io/v1 IngressClass ingressclasses cluster - - generation
networking.k8s.io/v1 NetworkPolicy networkpolicies namespaced netpol - generation
policy/v1 PodDisruptionBudget poddisruptionbudgets namespaced pdb status generation
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings cluster - - -
rbac.authorization.k8s.io/v1 ClusterRole clusterroles cluster - - -
rbac.authorization.k8s.io/v1 RoleBinding rolebindings namespaced - - -
rbac.authorization.k8s.io/v1 Role roles namespaced - - -
storage.k8s.io/v1 CSIDriver csidrivers cluster - - -
storage.k8s.io/v1 StorageClass storageclasses cluster sc - -
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations \
    cluster - - generation
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations \
    cluster - - generation
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions cluster crd,crds status \
    generation
scheduling.k8s.io/v1 PriorityClass priorityclasses cluster pc - generation
coordination.k8s.io/v1 Lease leases namespaced - - -
discovery.k8s.io/v1 EndpointSlice endpointslices namespaced - - generation
"""


def builtin_types() -> list[ResourceType]:
    """The built-in kinds, in the order in which discovery lists their groups."""
    found = [_type(*line.split()) for line in _KINDS.strip().splitlines()]
    review = "SelfSubjectAccessReview"
    group, plural = "authorization.k8s.io", "selfsubjectaccessreviews"
    verbs, schema = ("create",), struct(review)
    return [*found, ResourceType(group, "v1", plural, review, False, verbs=verbs, schema=schema)]


def _type(
    path: str, kind: str, plural: str, scope: str, short: str, subresources: str, generation: str
) -> ResourceType:
    group, _, version = path.rpartition("/")
    return ResourceType(
        group,
        version,
        plural,
        kind,
        scope == "namespaced",
        () if short == "-" else tuple(short.split(",")),
        frozenset() if subresources == "-" else frozenset(subresources.split(",")),
        generation == "generation",
        schema=struct(kind),
    )


class Catalogue:
    """Every type that is served now; CRDs add to it and take away from it."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str, str], ResourceType] = {}
        for found in builtin_types():
            self.add(found)

    def add(self, found: ResourceType) -> None:
        """Serve a type (again)."""
        self._types[(found.group, found.version, found.plural)] = found

    def drop(self, group: str, plural: str) -> None:
        """Serve no version of that resource any longer."""
        for key in [key for key in self._types if key[0] == group and key[2] == plural]:
            del self._types[key]

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        """The type behind a request's path."""
        return self._types.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> ResourceType | None:
        """The type of an object by what it says of itself."""
        for found in self._types.values():
            if found.kind == kind and found.api_version == api_version:
                return found
        return None

    def by_plural(self, plural: str, group: str = "") -> ResourceType:
        """A built-in type by name; KeyError when there is none."""
        for found in self._types.values():
            if found.plural == plural and found.group == group:
                return found
        raise KeyError(plural)

    def groups(self) -> dict[str, list[str]]:
        """API group to its versions, the preferred one first; the core group is ``""``."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._types:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return found

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(list(self._types.values()))
