"""What proves to the API who we are, and how it is renewed while a run goes on."""

from dataclasses import dataclass, field
from datetime import datetime
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


class FixedCredentials:
    """A token or certificate that nothing renews."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    async def current(self) -> Grant:
        return self._grant

    async def renew(self, refused: Grant) -> Grant | None:
        return None
