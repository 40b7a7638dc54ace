"""The settings of Redis."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, JsonValue

from installer.core.settings_problem import Finding
from installer.core.settings_types import (
    DnsName,
    Network,
    Port,
    SecretReference,
    SettingsSection,
)
from manifests.components.redis import extra
from manifests.settings import ComponentSettings


class ExternalRedis(SettingsSection):
    """A Redis server of yours, or a proxy that always leads to the master of several."""

    host: DnsName = Field(
        description="Its name. Behind it must always be a server that takes writes.",
        examples=["redis.example.org"],
    )
    port: Port = Field(default=6379, description="Its port.", examples=[6379])
    password: SecretReference = Field(
        description="Name of the secret that is its password.",
        examples=["secret:redis-of-ours"],
    )
    networks: tuple[Network, ...] = Field(
        min_length=1,
        description="Networks that its addresses are in: pods may reach nothing else there.",
        examples=[["10.30.0.16/29"]],
    )


class EstateSettings(SettingsSection):
    """One estate."""

    provision: Literal["install", "external"] = Field(
        default="install",
        description="install: servers of its own are made in the cluster. external: you run it.",
        examples=["install"],
    )
    external: ExternalRedis | None = Field(
        default=None,
        description="With 'external': where it is.",
        examples=[
            {
                "host": "redis.example.org",
                "password": "secret:redis-of-ours",
                "networks": ["10.30.0.16/29"],
            }
        ],
    )


class RedisSettings(ComponentSettings):
    """Redis for Synapse's workers and for LiveKit."""

    synapse: EstateSettings = Field(
        default_factory=EstateSettings,
        description="The estate of Synapse's workers.",
        examples=[{"provision": "install"}],
    )
    livekit: EstateSettings = Field(
        default_factory=EstateSettings,
        description="LiveKit's estate; never the same server as Synapse's.",
        examples=[{"provision": "install"}],
    )
    extra: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Further directives of valkey.conf for the servers of both estates, by name. "
        "Those that matter for failover and for who may log in are not yours to set.",
        examples=[{"slowlog-log-slower-than": 20000}],
    )


def check(settings: RedisSettings) -> Iterable[Finding]:
    """What single fields cannot tell."""
    base = ("components", "redis")
    yield from extra.check(settings.extra)
    for name in ("synapse", "livekit"):
        estate: EstateSettings = getattr(settings, name)
        path = (*base, name, "external")
        if estate.provision == "external" and estate.external is None:
            example = "external: {host: redis.example.org, ...}"
            yield Finding(path, "needed with provision: external", example)
        if estate.provision == "install" and estate.external is not None:
            why = "means something with provision: external only"
            yield Finding(path, why, "remove it", hide=True)
    ours, calls = settings.synapse.external, settings.livekit.external
    if ours and calls and (ours.host, ours.port) == (calls.host, calls.port):
        why = "the same server as Synapse's: its memory and load must be its own"
        yield Finding((*base, "livekit", "external", "host"), why)
