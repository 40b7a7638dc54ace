"""A cluster as a kubeconfig's context names it."""

from dataclasses import dataclass, field

from installer.cluster.credentials import Credentials


@dataclass(frozen=True)
class ClusterTarget:
    """Where the API is and how it is reached.

    ``url`` has no trailing slash. ``ca`` is PEM; empty means this machine's own trust store.
    ``server_name`` is what the certificate is checked against when not the URL's host.
    ``proxy`` may hold a password and so never shows.
    """

    name: str  # the context's
    url: str
    credentials: Credentials = field(repr=False)
    ca: str = field(default="", repr=False)
    server_name: str = ""
    verify: bool = True
    proxy: str = field(default="", repr=False)
    user: str = ""  # the kubeconfig user's name
    namespace: str = "default"
    warnings: tuple[str, ...] = ()
