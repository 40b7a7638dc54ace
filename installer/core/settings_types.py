"""The kinds of value that settings are made of; components use them for their own fields too.

Each refuses in words and, where it can be told, with what would be right. Nothing here looks at
the network or at files.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from installer.core.settings_text import unfit_character

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SLUG = r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?"
_SECRET = re.compile(r"secret:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_AGE_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")


def refusal(why: str, suggestion: str = "", *, hide: bool = False) -> PydanticCustomError:
    """The error to raise in a validator. ``hide``: the value may be a secret, do not repeat it."""
    return PydanticCustomError(
        "refused", "{why}", {"why": why, "suggestion": suggestion, "hide": hide}
    )


def _check_text(text: str) -> str:
    character = unfit_character(text)
    if character:
        raise refusal(f"holds the character {character}, which cannot be seen", "remove it")
    if text != text.strip():
        raise refusal("begins or ends with a space", "remove it")
    return text


def _check_file_name(text: str) -> str:
    if text.endswith("/"):
        raise refusal("names a folder", "name a file")
    return text


def _check_dns_name(text: str) -> str:
    lower = text.lower().rstrip(".")
    if ":" in text or "/" in text:
        raise refusal(
            "a name only: no https://, port or path", re.split(r"[:/]+", lower.split("//")[-1])[0]
        )
    if not text.isascii():
        raise refusal("write an international name in its ASCII form", _punycode(lower))
    if text != lower:
        raise refusal("names are written in small letters, without a dot at the end", lower)
    labels = text.split(".")
    if len(labels) < 2:
        raise refusal("a full name is needed, with a domain", f"{text}.example.org")
    if labels[-1].isdigit():
        raise refusal("this is an address; a name is needed")
    if len(text) > 230 or not all(_LABEL.fullmatch(label) for label in labels):
        raise refusal("not a DNS name: letters, digits and '-' between dots, 63 a part, 230 in all")
    return text


def _punycode(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        return ""


def _check_label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise refusal("small letters, digits and '-' only, at most 63")
    return text


def _check_email(text: str) -> str:
    name, at, domain = text.rpartition("@")
    if not at or not name or any(c.isspace() for c in text) or ":" in text:
        raise refusal("not a mail address", "admin@example.org")
    _check_dns_name(domain)
    return text


def _read_address(value: object) -> object:
    if isinstance(value, IPv4Address):
        return value
    try:
        address = ip_address(str(value))
    except ValueError:
        raise refusal("not an IPv4 address", "10.0.0.10") from None
    if isinstance(address, IPv6Address):
        raise refusal("IPv6 is not supported: every network of an install is IPv4")
    return value  # pydantic makes the object: in strict mode it takes text alone


def _read_network(value: object) -> object:
    if isinstance(value, IPv4Network):
        return value
    value = str(value)
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise refusal("not an IPv4 network", "10.0.0.0/24") from None
    if isinstance(network, IPv6Network):
        raise refusal("IPv6 is not supported: every network of an install is IPv4")
    if "/" not in value:
        raise refusal("the length of the network is missing", f"{value}/24")
    if str(network) != value:
        raise refusal("not the first address of its network", str(network))
    return value


def pool_range(pool: str) -> tuple[IPv4Address, IPv4Address]:
    """First and last address of ``10.0.0.10-10.0.0.20`` or ``10.0.0.16/28``.

    Raises ValueError when it is neither, or the wrong way round.
    """
    first, dash, last = pool.partition("-")
    if not dash:
        network = IPv4Network(pool)
        return network.network_address, network.broadcast_address
    low, high = IPv4Address(first.strip()), IPv4Address(last.strip())
    if low > high:
        raise ValueError("the last address is before the first")
    return low, high


def _check_pool(text: str) -> str:
    try:
        pool_range(text)
    except ValueError:
        raise refusal(
            "not a range of IPv4 addresses", "10.0.0.200-10.0.0.220, or 10.0.0.192/28"
        ) from None
    return text


def _check_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise refusal("not a URL", "https://host.example.org:8443", hide=True) from None
    if parts.username is not None or parts.password is not None:
        raise refusal("user and password do not belong into a URL", "use the fields", hide=True)
    if parts.scheme not in ("http", "https") or not host:
        raise refusal("a URL beginning with http:// or https:// is needed")
    return text


def _check_registry(text: str) -> str:
    if "://" in text or "@" in text:
        raise refusal("host, port and path only", "registry.example.org:5000/matrix", hide=True)
    host, *path = text.split("/")
    name, _, port = host.partition(":")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise refusal("the port is not a number up to 65535", f"{name}:5000")
    if not re.fullmatch(r"[a-z0-9.-]+", name) or any(
        not re.fullmatch(r"[a-z0-9]+([._-]+[a-z0-9]+)*", part) for part in path
    ):
        raise refusal("not a registry's name", "registry.example.org:5000/matrix")
    return text


def _check_age_recipient(text: str) -> str:
    if text.upper().startswith("AGE-SECRET-KEY"):
        raise refusal(
            "this is the secret half of a key pair, and it may now be known to others",
            "make a new pair and put its 'age1...' half here",
            hide=True,
        )
    if not _AGE_RECIPIENT.fullmatch(text):
        raise refusal("not an age recipient: 'age1' and 58 characters, as age-keygen prints it")
    return text


class SecretReference(str):
    """``secret:NAME``: says which secret is meant. The value itself never stands in settings."""

    __slots__ = ()

    @property
    def secret(self) -> str:
        """The name of the secret, as in ``--secret NAME=@FILE``."""
        return self.removeprefix("secret:")

    @classmethod
    def read(cls, value: str) -> "SecretReference":
        if not _SECRET.fullmatch(value):
            raise refusal(
                "a secret itself does not belong into this file, only its name",
                "write secret:NAME and give the value by --secret NAME=@FILE",
                hide=True,
            )
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls.read, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_SECRET.pattern}$"}


class SettingsSection(BaseModel):
    """Base of every part of the settings: unknown keys are refused, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_by_name=True
    )


Text = Annotated[str, AfterValidator(_check_text), Field(min_length=1, max_length=200)]
FileName = Annotated[
    str,
    AfterValidator(_check_text),
    AfterValidator(_check_file_name),
    Field(min_length=1, max_length=4096),
]
DnsName = Annotated[str, AfterValidator(_check_dns_name)]
Label = Annotated[str, AfterValidator(_check_label)]
InstallId = Annotated[str, Field(pattern=f"^{_SLUG}$", max_length=20)]
Email = Annotated[str, AfterValidator(_check_text), AfterValidator(_check_email)]
Url = Annotated[str, AfterValidator(_check_text), AfterValidator(_check_url)]
Registry = Annotated[str, AfterValidator(_check_text), AfterValidator(_check_registry)]
AddressPool = Annotated[str, AfterValidator(_check_pool)]
AgeRecipient = Annotated[str, AfterValidator(_check_age_recipient)]
Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[
    IPv4Address,
    BeforeValidator(_read_address),
    WithJsonSchema({"type": "string", "format": "ipv4"}),
]
Network = Annotated[
    IPv4Network,
    BeforeValidator(_read_network),
    WithJsonSchema({"type": "string", "format": "ipv4network"}),
]
MemorySize = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi)$")]
