"""The settings of an install: one tree, install-wide parts from here, components' parts mounted.

The registry of components builds the whole model with :func:`build_settings_model`; a settings
file is validated against that with :func:`installer.core.settings_validation.validate_settings`.
Paths in files are relative to the settings file; nothing here opens them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, create_model

from installer.core.settings_machines import (
    Cluster,
    Host,
    LoadBalancer,
    Networks,
    Ssh,
    StorageClasses,
)
from installer.core.settings_sections import (
    Install,
    Proxy,
    Scale,
    Secrets,
    Server,
    Source,
    Tls,
    Trust,
)
from installer.core.settings_types import SecretReference, SettingsSection
from installer.core.sizing import concurrent_from_accounts, row_for, row_named
from installer.core.sizing_rows import SizeRow

SETTINGS_VERSION = 1


@dataclass(frozen=True)
class ResolvedNames:
    """The public names, those that were left out filled in."""

    server: str
    homeserver: str
    web_client: str
    calls: str
    turn: str

    def all(self) -> tuple[str, ...]:
        """Every name that must resolve and that certificates must hold, without repeats."""
        return tuple(dict.fromkeys((self.homeserver, self.web_client, self.calls, self.turn)))


class ComponentSettings(SettingsSection):
    """What stands under ``components``: one section for each component, by its name."""


class Settings(SettingsSection):
    """All settings of one install."""

    # Names that scale.overrides may have beside the components' own: COMPONENT/PART.
    override_names: ClassVar[frozenset[str]] = frozenset()

    version: Literal[1] = Field(
        description="Version of this file's format; an older one is migrated on a copy.",
        examples=[SETTINGS_VERSION],
    )
    install: Install = Field(
        default_factory=Install,
        description="Which install this is.",
        examples=[{"id": "example"}],
    )
    server: Server = Field(
        description="Who this server is.",
        examples=[
            {
                "name": "example.org",
                "organisation": "Example Organisation",
                "admin_contact": "matrix-admin@example.org",
            }
        ],
    )
    scale: Scale = Field(description="For how many people.", examples=[{"row": "100"}])
    ssh: Ssh = Field(
        default_factory=Ssh,
        description="How the hosts are reached.",
        examples=[{"user": "installer"}],
    )
    hosts: tuple[Host, ...] = Field(
        default=(),
        description="The machines and what each is for.",
        examples=[[{"name": "app-1", "address": "10.10.0.21", "roles": ["app"]}]],
    )
    cluster: Cluster = Field(
        default_factory=Cluster,
        description="A Kubernetes cluster that exists.",
        examples=[{"kubeconfig": "~/.kube/prod.yaml"}],
    )
    storage_classes: StorageClasses = Field(
        default_factory=StorageClasses,
        description="Storage classes of the cluster.",
        examples=[{"default": "local-path"}],
    )
    networks: Networks = Field(
        default_factory=Networks,
        description="Address ranges; none may overlap another.",
        examples=[{"nodes": ["10.10.0.0/24"]}],
    )
    load_balancer: LoadBalancer = Field(
        default="metallb",
        description="How traffic comes in. metallb: addresses of networks.pools. existing: the "
        "cluster's own load balancer. nodeport: a load balancer of yours in front of ports of all "
        "nodes. host: ports 80 and 443 of the app hosts themselves.",
        examples=["metallb"],
    )
    tls: Tls = Field(
        default_factory=Tls,
        description="Where the certificates come from.",
        examples=[{"source": "acme"}],
    )
    source: Source = Field(
        default_factory=Source,
        description="Where images and charts come from.",
        examples=[{"kind": "online"}],
    )
    proxy: Proxy = Field(
        default_factory=Proxy,
        description="The way out to the internet.",
        examples=[{"https": "http://proxy.example.org:3128"}],
    )
    trust: Trust = Field(
        default_factory=Trust,
        description="Certificate authorities beside the well-known ones.",
        examples=[{"ca_files": ["tls/corporate-ca.pem"]}],
    )
    secrets: Secrets = Field(
        default_factory=Secrets,
        description="How the file with the secrets is sealed.",
        examples=[{"seal": "passphrase"}],
    )
    components: ComponentSettings = Field(
        default_factory=ComponentSettings,
        description="Settings of single components, by their names.",
        examples=[{}],
    )

    @property
    def install_id(self) -> str:
        """The id as given, else the first part of the server's name, cut to 20 characters."""
        return self.install.id or self.server.name.partition(".")[0][:20].rstrip("-")

    @property
    def names(self) -> ResolvedNames:
        """All public names."""
        given, server = self.server.public_names, self.server.name
        return ResolvedNames(
            server=server,
            homeserver=given.homeserver or f"matrix.{server}",
            web_client=given.web_client or f"chat.{server}",
            calls=given.calls or f"rtc.{server}",
            turn=given.turn or f"turn.{server}",
        )

    @property
    def concurrent_users(self) -> int:
        """People at the same time that the install is planned for."""
        scale = self.scale
        if scale.row is not None:
            return row_named(scale.row).concurrent_users
        if scale.concurrent_users is not None:
            return scale.concurrent_users
        return concurrent_from_accounts(scale.accounts or 1, scale.accounts_per_concurrent_user)

    @property
    def size_row(self) -> SizeRow:
        """The row of the size table. Raises InstallError SIZE-ABOVE-LARGEST."""
        if self.scale.row is not None:
            return row_named(self.scale.row)
        return row_for(self.concurrent_users)

    def component(self, name: str) -> BaseModel:
        """The settings of one component. Raises KeyError when none has that name."""
        section = None
        if any(field.alias == name for field in type(self.components).model_fields.values()):
            section = getattr(self.components, _attribute(name))
        if not isinstance(section, BaseModel):
            raise KeyError(name)
        return section

    def to_tree(self, *, defaults: bool = True) -> dict[str, Any]:
        """Plain data as it stands in a file; without ``defaults`` only what was set."""
        tree = self.model_dump(mode="json", by_alias=True, exclude_unset=not defaults)
        return dict(tree)


def _attribute(name: str) -> str:
    return name.replace("-", "_")


def _mounted(model: type[BaseModel], **about: Any) -> tuple[type[BaseModel], Any]:
    """A field of this model, which may be left out when all of the model's own may be."""
    required = any(field.is_required() for field in model.model_fields.values())
    return model, Field(**about) if required else Field(default_factory=model, **about)


def build_settings_model(
    component_models: Mapping[str, type[BaseModel]],
    parts: Mapping[str, Sequence[str]] | None = None,
) -> type[Settings]:
    """The whole settings model with each component's model at ``components.<name>``.

    ``parts``: the parts of a component (its workloads) that ``scale.overrides`` may name as
    COMPONENT/PART. A component whose fields all have defaults may be left out of a file. Raises
    TypeError when a component's model would accept unknown keys.
    """
    fields: dict[str, Any] = {}
    for name, model in sorted(component_models.items()):
        if model.model_config.get("extra") != "forbid":
            raise TypeError(f"{name}: {model.__name__} accepts unknown keys; use SettingsSection")
        description = " ".join((model.__doc__ or name).split())
        fields[_attribute(name)] = _mounted(
            model, alias=name, description=description, examples=[{}]
        )
    components = create_model(
        "ComponentSettings",
        __base__=ComponentSettings,
        __doc__=ComponentSettings.__doc__,
        **fields,
    )
    place: Any = Settings.model_fields["components"]
    whole = create_model(
        "Settings",
        __base__=Settings,
        __doc__=Settings.__doc__,
        components=_mounted(components, description=place.description, examples=place.examples),
    )
    names = set(component_models)
    names |= {f"{name}/{part}" for name, all_of in (parts or {}).items() for part in all_of}
    whole.override_names = frozenset(names)
    return whole


def settings_json_schema(model: type[Settings]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a settings file, for editors and for ``--schema``.

    It holds names, types, descriptions, examples and defaults. What spans several fields (networks
    that overlap, hosts against roles) is checked by the installer alone.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def secret_references(settings: BaseModel) -> dict[str, str]:
    """Every secret that the settings name: dotted path of the field to the secret's name."""
    return dict(_references(settings, ""))


def _references(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretReference):
        yield path, value.secret
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            key = field.alias or name
            yield from _references(getattr(value, name), f"{path}.{key}" if path else key)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _references(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _references(item, f"{path}[{number}]")


def documentation_gaps(model: type[BaseModel], path: str = "") -> list[str]:
    """Fields without a description or an example, at any depth; for tests of a model."""
    gaps = []
    for name, field in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        if not field.description or not field.examples:
            gaps.append(here)
        for inner in nested_models(field.annotation):
            gaps += documentation_gaps(inner, here)
    return gaps


def nested_models(annotation: Any) -> list[type[BaseModel]]:
    """The models inside a field's type: itself, or within optional, list and mapping types."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in nested_models(inner)]
