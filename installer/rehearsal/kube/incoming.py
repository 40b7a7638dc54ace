"""Objects as they come in: where they belong, what they are called, what the server keeps."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from installer.rehearsal.kube import validation
from installer.rehearsal.kube.clock import Clock
from installer.rehearsal.kube.problems import ApiError, Json, bad_request, invalid, not_found
from installer.rehearsal.kube.resources import ResourceType
from installer.rehearsal.kube.store import Key

_KEPT_METADATA = (
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
)


@dataclass(frozen=True)
class Place:
    """Where a request points: a type, a namespace, a name and perhaps a subresource."""

    kind: ResourceType
    namespace: str
    name: str
    subresource: str = ""

    @property
    def key(self) -> Key:
        """The object's key in the store."""
        return (self.kind.storage_key, self.namespace, self.name)

    def not_found(self) -> ApiError:
        """404 for this object."""
        return not_found(self.kind.plural, self.kind.group, self.name)


def refuse_misnamed(place: Place, obj: Json) -> None:
    """ApiError 400 when the object is not of the kind, name and namespace of its URL."""
    kind = place.kind
    if obj.get("kind") != kind.kind or obj.get("apiVersion") != kind.api_version:
        given = f"{obj.get('apiVersion')}, Kind={obj.get('kind')}"
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind.kind}): got {given}"
        )
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    if place.name and metadata.get("name", place.name) != place.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({place.name})"
        )
    if metadata.get("namespace", place.namespace) not in (place.namespace, ""):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def new_name(place: Place, obj: Json) -> str:
    """The name of a new object, made up after its `generateName` where it has none."""
    metadata = obj["metadata"]
    if metadata.get("name"):
        return str(metadata["name"])
    if metadata.get("generateName"):
        return f"{metadata['generateName'][:58]}{_suffix()}"
    missing = validation.required("metadata.name", "name or generateName is required")
    raise invalid(place.kind.kind, place.kind.group, "", [missing])


def fresh_object(clock: Clock, place: Place, obj: Json) -> Json:
    """A new object with its uid and birth; its status is not the client's to give."""
    given = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in (*_KEPT_METADATA, "managedFields") or key == "generateName"
    }
    metadata: Json = {
        **given,
        "name": place.name,
        "uid": str(uuid.uuid4()),
        "creationTimestamp": clock.timestamp(),
    }
    if place.namespace:
        metadata["namespace"] = place.namespace
    if place.kind.generation:
        metadata["generation"] = 1
    found = {key: value for key, value in obj.items() if key not in place.kind.reset_fields}
    return {**found, "metadata": metadata}


def reset_object(place: Place, live: Json, obj: Json) -> Json:
    """The sent object, with everything that this endpoint does not write left as it was."""
    if place.subresource == "status":
        return {**live, "status": obj.get("status")}
    kept = {key: live[key] for key in place.kind.reset_fields if key in live}
    sent = {key: value for key, value in obj.items() if key not in place.kind.reset_fields}
    metadata = dict(obj["metadata"])
    for key in _KEPT_METADATA:
        metadata.pop(key, None)
        if key in live["metadata"]:
            metadata[key] = live["metadata"][key]
    metadata["managedFields"] = live["metadata"].get("managedFields")
    metadata["name"] = place.name
    if place.namespace:
        metadata["namespace"] = place.namespace
    return {**sent, **kept, "metadata": metadata}


def _suffix() -> str:
    letters = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(secrets.choice(letters) for _ in range(5))


def content(obj: Json) -> Json:
    """The object without version and owners: what a write that changes nothing leaves equal."""
    metadata = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in ("managedFields", "resourceVersion")
    }
    return {**obj, "metadata": metadata}


def without_nulls(value: Any) -> Any:
    """The value without keys that are null: to apply null is to leave the field out."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value
