"""Credentials as a test has them."""

from installer.cluster.credentials import Grant


class FixedCredentials:
    """A token or certificate that nothing renews."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    async def current(self) -> Grant:
        return self._grant

    async def renew(self, refused: Grant) -> Grant | None:
        return None
