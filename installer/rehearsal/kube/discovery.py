"""What the API says of itself: versions, groups, resources."""

from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.resources import Catalogue, ResourceType

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}

AGGREGATED = "as=APIGroupDiscoveryList"
AGGREGATED_MEDIA = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def wants_aggregated(accept: str) -> bool:
    """Whether the client's first choice is aggregated discovery, version 2."""
    first = accept.split(",")[0].replace(" ", "")
    return AGGREGATED in first and "v=v2" in first.split(";")


def core_versions(host: str) -> Json:
    """`/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    }


def group_list(catalogue: Catalogue) -> Json:
    """`/apis`."""
    groups = [_group(name, versions) for name, versions in catalogue.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(catalogue: Catalogue, name: str) -> Json | None:
    """`/apis/GROUP`; None when no version of it is served."""
    versions = catalogue.groups().get(name)
    if not name or not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(catalogue: Catalogue, name: str, version: str) -> Json | None:
    """`/api/v1` and `/apis/GROUP/VERSION`; None when it is not served."""
    found = [kind for kind in catalogue if (kind.group, kind.version) == (name, version)]
    if not found:
        return None
    resources = [entry for kind in found for entry in _entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{name}/{version}" if name else version,
        "resources": resources,
    }


def _entries(kind: ResourceType) -> list[Json]:
    entry: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    entries = [entry]
    for name in sorted(kind.subresources):
        entries.append(
            {
                "name": f"{kind.plural}/{name}",
                "singularName": "",
                "namespaced": kind.namespaced,
                **_subresource_kind(kind, name),
                "verbs": ["get"] if name == "log" else ["get", "patch", "update"],
            }
        )
    return entries


def _subresource_kind(kind: ResourceType, name: str) -> Json:
    if name == "scale":
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    return {"kind": kind.kind}


def aggregated(catalogue: Catalogue, *, core: bool) -> Json:
    """`/api` or `/apis` with everything in one answer."""
    items: list[Json] = []
    for name, versions in catalogue.groups().items():
        if core != (name == ""):
            continue
        listed = [
            {
                "version": version,
                "freshness": "Current",
                "resources": [
                    _aggregated_entry(kind)
                    for kind in catalogue
                    if (kind.group, kind.version) == (name, version)
                ],
            }
            for version in versions
        ]
        metadata = {"name": name} if name else {}
        items.append({"metadata": {**metadata, "creationTimestamp": None}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_entry(kind: ResourceType) -> Json:
    entry: Json = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
                "verbs": ["get"] if name == "log" else ["get", "patch", "update"],
            }
            for name in sorted(kind.subresources)
        ]
    return entry
