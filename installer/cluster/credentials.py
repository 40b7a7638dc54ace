"""What proves to the API who we are, and how it is renewed while a run goes on."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True)
class Grant:
    """One set of credentials. Secret parts never show in a repr.

    ``expires`` is when the token or the client certificate ends (UTC), None where it does not say.
    """

    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)  # PEM
    key: str = field(default="", repr=False)  # PEM
    expires: datetime | None = None


class Credentials(Protocol):
    async def current(self) -> Grant:
        """Credentials to use now, renewed first if they are about to expire."""
        ...

    async def renew(self, refused: Grant) -> Grant | None:
        """New credentials after the API refused ``refused``; None where there are no others."""
        ...


def grant_from(
    *, token: str, certificate: str, key: str, told: str, certificate_ends: datetime | None
) -> Grant:
    """A grant that ends with whatever in it ends first.

    ``told`` is the end that an exec plugin gave (RFC 3339, or empty); a token that is a JWT says
    its own.
    """
    ends = [end for end in (_rfc3339(told), _jwt_end(token), certificate_ends) if end is not None]
    return Grant(token, certificate, key, min(ends, default=None))


def _rfc3339(text: str) -> datetime | None:
    try:
        end = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return end if end.tzinfo else end.replace(tzinfo=UTC)


def _jwt_end(token: str) -> datetime | None:
    """The ``exp`` of a JWT, unverified: it is the API that judges the token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
