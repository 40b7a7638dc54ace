"""Image references, and the list of all images."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.component import Component, Image


def reference(image: Image, registry: str) -> str:
    """What a pod is given. On a mirror the image keeps its whole name, registry included.

    Two makers' registries can then share one mirror without a clash
    (``registry.example.org/matrix/docker.io/valkey/valkey:9.1.1-alpine``).
    """
    name = f"{image.repository}:{image.tag}"
    return f"{registry}/{name}" if registry else name


@dataclass(frozen=True)
class UsedImage:
    """An image as a bundle fetches it and as pods name it."""

    component: str
    image: Image
    upstream: str
    reference: str


def images(components: Sequence[Component], registry: str) -> tuple[UsedImage, ...]:
    """All images of the components, in their order."""
    return tuple(
        UsedImage(c.name, image, reference(image, ""), reference(image, registry))
        for c in components
        for image in c.images
    )
