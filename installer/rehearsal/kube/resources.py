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


def _type(
    path: str, kind: str, plural: str, scope: str, short: str = "", sub: str = "", gen: bool = False
) -> ResourceType:
    group, _, version = path.rpartition("/")
    return ResourceType(
        group,
        version,
        plural,
        kind,
        scope == "namespaced",
        tuple(short.split()),
        frozenset(sub.split()),
        gen,
        schema=struct(kind),
    )


def builtin_types() -> list[ResourceType]:
    """The built-in kinds, in the order in which discovery lists their groups."""
    inside, whole = "namespaced", "cluster"
    core = [
        _type("v1", "ConfigMap", "configmaps", inside, "cm"),
        _type("v1", "Endpoints", "endpoints", inside, "ep"),
        _type("v1", "Event", "events", inside, "ev"),
        _type("v1", "LimitRange", "limitranges", inside, "limits"),
        _type("v1", "Namespace", "namespaces", whole, "ns", "status finalize"),
        _type("v1", "Node", "nodes", whole, "no", "status"),
        _type("v1", "PersistentVolumeClaim", "persistentvolumeclaims", inside, "pvc", "status"),
        _type("v1", "PersistentVolume", "persistentvolumes", whole, "pv", "status"),
        _type("v1", "Pod", "pods", inside, "po", "status log", True),
        _type("v1", "ReplicationController", "replicationcontrollers", inside, "rc", "status"),
        _type("v1", "ResourceQuota", "resourcequotas", inside, "quota", "status"),
        _type("v1", "Secret", "secrets", inside),
        _type("v1", "ServiceAccount", "serviceaccounts", inside, "sa"),
        _type("v1", "Service", "services", inside, "svc", "status"),
    ]
    workloads = [
        _type("apps/v1", "ControllerRevision", "controllerrevisions", inside),
        _type("apps/v1", "DaemonSet", "daemonsets", inside, "ds", "status", True),
        _type("apps/v1", "Deployment", "deployments", inside, "deploy", "status scale", True),
        _type("apps/v1", "ReplicaSet", "replicasets", inside, "rs", "status scale", True),
        _type("apps/v1", "StatefulSet", "statefulsets", inside, "sts", "status scale", True),
        _type(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            inside,
            "hpa",
            "status",
        ),
        _type("batch/v1", "CronJob", "cronjobs", inside, "cj", "status", True),
        _type("batch/v1", "Job", "jobs", inside, "", "status", True),
    ]
    return core + workloads + _cluster_types(inside, whole)


def _cluster_types(inside: str, whole: str) -> list[ResourceType]:
    rbac = "rbac.authorization.k8s.io/v1"
    hooks = "admissionregistration.k8s.io/v1"
    review = _type("authorization.k8s.io/v1", "SelfSubjectAccessReview", "x", whole)
    return [
        _type("networking.k8s.io/v1", "Ingress", "ingresses", inside, "ing", "status", True),
        _type("networking.k8s.io/v1", "IngressClass", "ingressclasses", whole, "", "", True),
        _type(
            "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", inside, "netpol", "", True
        ),
        _type(
            "policy/v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            inside,
            "pdb",
            "status",
            True,
        ),
        _type(rbac, "ClusterRoleBinding", "clusterrolebindings", whole),
        _type(rbac, "ClusterRole", "clusterroles", whole),
        _type(rbac, "RoleBinding", "rolebindings", inside),
        _type(rbac, "Role", "roles", inside),
        _type("storage.k8s.io/v1", "CSIDriver", "csidrivers", whole),
        _type("storage.k8s.io/v1", "StorageClass", "storageclasses", whole, "sc"),
        _type(
            hooks,
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            whole,
            "",
            "",
            True,
        ),
        _type(
            hooks,
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            whole,
            "",
            "",
            True,
        ),
        _type(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            whole,
            "crd crds",
            "status",
            True,
        ),
        _type("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", whole, "pc", "", True),
        _type("coordination.k8s.io/v1", "Lease", "leases", inside),
        _type("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", inside, "", "", True),
        ResourceType(
            review.group,
            review.version,
            "selfsubjectaccessreviews",
            review.kind,
            False,
            verbs=("create",),
            schema=review.schema,
        ),
    ]


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
