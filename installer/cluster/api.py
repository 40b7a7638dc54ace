"""What applying needs of a cluster, as protocols: the client keeps to them, tests play them."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from installer.core.objects import FIELD_MANAGER, Manifest, ObjectRef

T = TypeVar("T")


class ListedObjects(Protocol):
    """``items`` carry apiVersion and kind; ``resource_version`` is where a watch goes on."""

    @property
    def items(self) -> tuple[Manifest, ...]: ...

    @property
    def resource_version(self) -> str: ...


class FoundResource(Protocol):
    """A kind as discovery lists it."""

    @property
    def namespaced(self) -> bool: ...


class RawAnswer(Protocol):
    """An HTTP answer, not judged."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


class Follower(Protocol):
    """One kind, kept current; objects by (namespace, name)."""

    @property
    def objects(self) -> Mapping[tuple[str, str], Manifest]: ...

    @property
    def synced(self) -> bool: ...

    async def wait_for(
        self,
        predicate: Callable[[Mapping[tuple[str, str], Manifest]], T | None],
        within: float,
        *,
        on_change: Callable[[], None] | None = None,
        every: float = 5.0,
    ) -> T: ...


class Followers(Protocol):
    """The informers of a run, shared by gates and health."""

    def of(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = ""
    ) -> Follower: ...


class Api(Protocol):
    """The Kubernetes API; each method raises ApiFailure. Writes are sent once per call."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
    ) -> RawAnswer: ...

    async def resource(self, api_version: str, kind: str) -> FoundResource: ...

    async def apply(
        self,
        manifest: Manifest,
        *,
        force: bool = False,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
    ) -> Manifest: ...

    async def get(self, ref: ObjectRef) -> Manifest | None: ...

    async def list(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
    ) -> ListedObjects: ...

    async def create(self, manifest: Manifest) -> Manifest: ...

    async def replace(self, manifest: Manifest) -> Manifest: ...

    async def delete(
        self,
        ref: ObjectRef,
        *,
        uid: str = "",
        propagation: str = "Background",
        resource_version: str = "",
    ) -> bool: ...

    async def patch(
        self,
        ref: ObjectRef,
        patch: Any,
        *,
        content_type: str = "application/merge-patch+json",
        subresource: str = "",
    ) -> Manifest: ...
