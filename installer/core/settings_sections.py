"""The install-wide settings, section by section. What belongs to one component stands with it.

Every field has a description and an example: the file's comments, the JSON Schema, the help of the
screens and the manual all come from here.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from installer.core.settings_types import (
    AgeRecipient,
    DnsName,
    Email,
    FileName,
    InstallId,
    MemorySize,
    Registry,
    SecretReference,
    SettingsSection,
    Text,
    Url,
    refusal,
)
from installer.core.sizing import ACCOUNTS_PER_CONCURRENT_USER, LARGEST

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


def _only_amd64(value: object) -> object:
    if value != "amd64":
        raise refusal(
            "only amd64 is supported: several of the images are published for it alone", "amd64"
        )
    return value


def _only_ipv4(value: object) -> object:
    if value != "ipv4":
        raise refusal("only IPv4 is supported, neither IPv6 nor both side by side", "ipv4")
    return value


def _row_name(value: object) -> object:
    """``1000``, ``"1K"`` and ``1_000`` mean the row ``1k``."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    text = str(value).lower().replace("_", "").replace(",", "")
    if text.isdigit() and len(text) > 3 and text.endswith("000"):
        text = text[:-3] + "k"
    return text


class Install(SettingsSection):
    """Which install this is."""

    id: InstallId | None = Field(
        default=None,
        description="Short name of this install: it is part of every namespace and of every name "
        "in the cluster, and can never change. Small letters, digits and '-', at most 20. Without "
        "it, the first part of the server's name.",
        examples=["example"],
    )
    architecture: Annotated[Literal["amd64"], BeforeValidator(_only_amd64)] = Field(
        default="amd64", description="Processor of the hosts.", examples=["amd64"]
    )
    ip_family: Annotated[Literal["ipv4"], BeforeValidator(_only_ipv4)] = Field(
        default="ipv4", description="Internet protocol of all networks.", examples=["ipv4"]
    )


class PublicNames(SettingsSection):
    """The names under which people and other servers reach the parts."""

    homeserver: DnsName | None = Field(
        default=None,
        description="Where clients and other servers reach Synapse. Without it, 'matrix.' before "
        "the server's name.",
        examples=["matrix.example.org"],
    )
    web_client: DnsName | None = Field(
        default=None,
        description="Where people open Element Web. Another name than the homeserver's, so that "
        "neither can run scripts in the other's pages. Without it, 'chat.' before the server's "
        "name.",
        examples=["chat.example.org"],
    )
    calls: DnsName | None = Field(
        default=None,
        description="Where clients reach the call server. Without it, 'rtc.' before the server's "
        "name.",
        examples=["rtc.example.org"],
    )
    turn: DnsName | None = Field(
        default=None,
        description="Where clients reach TURN, for calls through firewalls. Without it, 'turn.' "
        "before the server's name.",
        examples=["turn.example.org"],
    )


class Server(SettingsSection):
    """Who this server is."""

    name: DnsName = Field(
        description="The part after the colon in every user's and room's name. It can NEVER "
        "change later.",
        examples=["example.org"],
    )
    organisation: Text = Field(
        description="Who runs the server, as its users should read it.",
        examples=["Example Organisation"],
    )
    admin_contact: Email = Field(
        description="Mail address of the administrators: shown to users who need help, and given "
        "to the certificate authority.",
        examples=["matrix-admin@example.org"],
    )
    public_names: PublicNames = Field(
        default_factory=PublicNames,
        description="Names in DNS under which the parts are reached.",
        examples=[{"web_client": "chat.example.org"}],
    )


class Override(SettingsSection):
    """Figures of your own for one part, in place of the size row's."""

    replicas: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="How many of it run.", examples=[3]
    )
    cpu: Annotated[float, Field(gt=0, le=128)] | None = Field(
        default=None, description="Processor cores of each.", examples=[1.5]
    )
    memory: MemorySize | None = Field(
        default=None, description="Memory of each, in Mi or Gi.", examples=["2Gi"]
    )


class Scale(SettingsSection):
    """For how many people: exactly one of row, concurrent_users and accounts."""

    row: (
        Annotated[Literal["trial", "100", "1k", "5k", "10k", "20k"], BeforeValidator(_row_name)]
        | None
    ) = Field(
        default=None,
        description="The size by its name: people at the same time. 'trial' is for at most 20 "
        "people on 1 to 3 hosts, with one instance of everything; it cannot grow.",
        examples=["1k"],
    )
    concurrent_users: Annotated[int, Field(ge=1, le=LARGEST)] | None = Field(
        default=None,
        description="People at the same time, at most; the smallest size that holds them is taken.",
        examples=[800],
    )
    accounts: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Accounts in all; one in accounts_per_concurrent_user is active at the same "
        "time.",
        examples=[4000],
    )
    accounts_per_concurrent_user: Annotated[float, Field(ge=1, le=100)] = Field(
        default=ACCOUNTS_PER_CONCURRENT_USER,
        description="How many accounts stand for one person at the same time.",
        examples=[5],
    )
    overrides: dict[str, Override] = Field(
        default_factory=dict,
        description="Figures of your own, by component or COMPONENT/PART, in place of the row's.",
        examples=[{"redis": {"memory": "2Gi"}}],
    )


class Tls(SettingsSection):
    """Where the certificates come from."""

    source: Literal["internal-ca", "own", "acme"] = Field(
        default="internal-ca",
        description="internal-ca: a certificate authority made for this install, which clients "
        "must be told to trust. own: your certificate. acme: from an ACME server.",
        examples=["acme"],
    )
    certificate_file: FileName | None = Field(
        default=None,
        description="With 'own': the certificate for all public names and its chain, as PEM, "
        "relative to this file.",
        examples=["tls/fullchain.pem"],
    )
    private_key: SecretReference | None = Field(
        default=None,
        description="With 'own': name of the secret that is the certificate's key.",
        examples=["secret:tls-private-key"],
    )
    acme_server: Url = Field(
        default=LETS_ENCRYPT,
        description="With 'acme': directory of the ACME server. Without it, Let's Encrypt's.",
        examples=[LETS_ENCRYPT],
    )


class Source(SettingsSection):
    """Where images and charts come from."""

    kind: Literal["online", "registry", "bundle"] = Field(
        default="online",
        description="online: their makers' registries. registry: a mirror of yours. bundle: a "
        "file that holds all of them, for places without the internet.",
        examples=["online"],
    )
    registry: Registry | None = Field(
        default=None,
        description="With 'registry': host, port and path of the mirror. With 'bundle': where the "
        "bundle's images are loaded to; without it, onto the hosts.",
        examples=["registry.example.org:5000/matrix"],
    )
    registry_user: Text | None = Field(
        default=None, description="User to log in to the registry.", examples=["matrix"]
    )
    registry_password: SecretReference | None = Field(
        default=None,
        description="Name of the secret that is this user's password.",
        examples=["secret:registry-password"],
    )
    bundle_file: FileName | None = Field(
        default=None,
        description="With 'bundle': the file, relative to this one.",
        examples=["/srv/matrix-bundle.tar"],
    )


class Proxy(SettingsSection):
    """The way out to the internet, when there is only one through a proxy."""

    http: Url | None = Field(
        default=None, description="Proxy for http.", examples=["http://proxy.example.org:3128"]
    )
    https: Url | None = Field(
        default=None, description="Proxy for https.", examples=["http://proxy.example.org:3128"]
    )
    no_proxy: tuple[Text, ...] = Field(
        default=(),
        description="Names, domains and networks to reach without it; those of the cluster are "
        "added by themselves.",
        examples=[[".example.org", "10.0.0.0/8"]],
    )
    user: Text | None = Field(
        default=None, description="User to log in to the proxy.", examples=["matrix"]
    )
    password: SecretReference | None = Field(
        default=None,
        description="Name of the secret that is this user's password.",
        examples=["secret:proxy-password"],
    )


class Trust(SettingsSection):
    """Certificate authorities beside the well-known ones."""

    ca_files: tuple[FileName, ...] = Field(
        default=(),
        description="PEM files with your organisation's certificate authorities, relative to this "
        "file: for the proxy, the registry and outgoing connections.",
        examples=[["tls/corporate-ca.pem"]],
    )


class Secrets(SettingsSection):
    """How the file with the secrets is sealed (age format)."""

    seal: Literal["passphrase", "recipients"] = Field(
        default="passphrase",
        description="passphrase: asked for at each start. recipients: public keys; whoever has "
        "one of the private keys can open it.",
        examples=["passphrase"],
    )
    recipients: tuple[AgeRecipient, ...] = Field(
        default=(),
        description="With 'recipients': age public keys.",
        examples=[["age1z3u8fvts4d58s0v4xfscrsgtty7dnpd7tzd2lg3utdwaklttd30sxu60wj"]],
    )
