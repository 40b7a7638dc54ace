"""The install-wide settings about machines: hosts, an existing cluster, storage, networks."""

from ipaddress import IPv4Network
from typing import Literal

from pydantic import Field

from installer.core.settings_types import (
    Address,
    AddressPool,
    DnsName,
    FileName,
    Label,
    Network,
    Port,
    SecretReference,
    SettingsSection,
    Text,
)
from installer.core.sizing_rows import Role

LoadBalancer = Literal["metallb", "existing", "nodeport", "host"]


class Ssh(SettingsSection):
    """How the hosts are reached. They must let this user run sudo without a prompt."""

    user: Label = Field(
        default="installer", description="User to log in as.", examples=["installer"]
    )
    port: Port = Field(default=22, description="Port of the SSH server.", examples=[22])
    key_file: FileName | None = Field(
        default=None,
        description="Private key, relative to this file. Without it, the SSH agent's keys.",
        examples=["~/.ssh/id_ed25519"],
    )
    key_passphrase: SecretReference | None = Field(
        default=None,
        description="Name of the secret that opens the private key.",
        examples=["secret:ssh-key-passphrase"],
    )


class Host(SettingsSection):
    """One machine."""

    name: Label = Field(description="Its host name.", examples=["app-1"])
    address: Address = Field(description="Its IPv4 address.", examples=["10.10.0.21"])
    roles: tuple[Role, ...] = Field(
        min_length=1,
        description="What it is for: control, app, db, storage, call, li, monitoring.",
        examples=[["app"]],
    )
    port: Port | None = Field(
        default=None, description="SSH port, when it differs from the others'.", examples=[2222]
    )


class Cluster(SettingsSection):
    """A Kubernetes cluster that exists. The hosts then count for sizing and labels only."""

    kubeconfig: FileName | None = Field(
        default=None,
        description="Kubeconfig file of an existing cluster, relative to this file.",
        examples=["~/.kube/prod.yaml"],
    )
    context: Text | None = Field(
        default=None,
        description="Context in the kubeconfig. Without it, its current one.",
        examples=["prod-admin"],
    )


class StorageClasses(SettingsSection):
    """Storage classes of the cluster. Without a name, the cluster's default class is used."""

    default: Label | None = Field(
        default=None, description="For all that is not named below.", examples=["local-path"]
    )
    database: Label | None = Field(
        default=None,
        description="For PostgreSQL, which replicates itself: fast local disks.",
        examples=["local-path"],
    )
    object_store: Label | None = Field(
        default=None,
        description="For the object store, which replicates itself: large local disks.",
        examples=["local-path"],
    )
    single: Label | None = Field(
        default=None,
        description="For parts of which there is only one, so that their data outlive a host: "
        "replicated block storage.",
        examples=["longhorn"],
    )


class VirtualAddresses(SettingsSection):
    """Addresses that move from host to host."""

    api: Address | None = Field(
        default=None,
        description="Of the Kubernetes API; needed for more than one control host.",
        examples=["10.10.0.10"],
    )
    edge: Address | None = Field(
        default=None,
        description="Under which clients reach the server; one of the pools' with metallb.",
        examples=["10.10.0.200"],
    )


class Networks(SettingsSection):
    """Address ranges. None may overlap another."""

    nodes: tuple[Network, ...] = Field(
        default=(),
        description="Networks that the hosts are in.",
        examples=[["10.10.0.0/24"]],
    )
    pods: Network = Field(
        default_factory=lambda: IPv4Network("10.244.0.0/16"),
        description="Addresses of pods: used nowhere else in your network.",
        examples=["10.244.0.0/16"],
    )
    services: Network = Field(
        default_factory=lambda: IPv4Network("10.96.0.0/16"),
        description="Addresses of services inside the cluster: used nowhere else.",
        examples=["10.96.0.0/16"],
    )
    cluster_domain: DnsName = Field(
        default="cluster.local",
        description="Domain of the names of services inside the cluster.",
        examples=["cluster.local"],
    )
    pools: tuple[AddressPool, ...] = Field(
        default=(),
        description="Addresses that MetalLB may give out: free ones, outside of DHCP.",
        examples=[["10.10.0.200-10.10.0.220"]],
    )
    virtual_addresses: VirtualAddresses = Field(
        default_factory=VirtualAddresses,
        description="Addresses that move from host to host.",
        examples=[{"api": "10.10.0.10"}],
    )
