"""Ways into a lab cluster: kubeconfigs and tokens for whom a test wants to be."""

import datetime as dt
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab import kubeconfigs
from tests.lab.api import Api
from tests.lab.credentials import Credentials


class Access:
    """Mints credentials. What they allow is up to RBAC, save for the group system:masters."""

    def __init__(self, credentials: Credentials, api: Api) -> None:
        self._credentials, self._api = credentials, api

    def ssl_context(self) -> ssl.SSLContext:
        """Trusts this cluster's authority and no other."""
        return ssl.create_default_context(cafile=str(self._credentials.authority_file))

    def certificate_kubeconfig(
        self,
        path: Path,
        user: str,
        *,
        groups: Sequence[str] = (),
        lifetime: dt.timedelta = dt.timedelta(days=1),
    ) -> Path:
        """One for any user and groups; rights come from RBAC. Negative lifetime: expired."""
        pair = self._credentials.authority.client(user, groups, lifetime=lifetime)
        return kubeconfigs.with_certificate(path, self._credentials.endpoint, user, pair)

    def token_kubeconfig(
        self,
        path: Path,
        account: str,
        *,
        namespace: str = "default",
        lifetime: dt.timedelta = dt.timedelta(hours=1),
    ) -> Path:
        """One with a token of a service account, which is made if absent."""
        token = self.token(account, namespace=namespace, lifetime=lifetime)
        return kubeconfigs.with_token(path, self._credentials.endpoint, account, token)

    def exec_kubeconfig(self, path: Path, account: str, *, namespace: str = "default") -> Path:
        """One with an exec plugin that prints the file `<path>.credential` as it then is.

        Write that file with `write_exec_credential`. Calls are counted, a line each, in
        `<path>.credential.calls`.
        """
        credential = path.with_name(f"{path.name}.credential")
        self.write_exec_credential(path, account, namespace=namespace)
        return kubeconfigs.with_exec(path, self._credentials.endpoint, account, credential)

    def write_exec_credential(
        self,
        path: Path,
        account: str,
        *,
        namespace: str = "default",
        lifetime: dt.timedelta = dt.timedelta(hours=1),
    ) -> None:
        """Mints the token that the plugin of the kubeconfig at `path` prints from now on."""
        token = self.token(account, namespace=namespace, lifetime=lifetime)
        expires = dt.datetime.now(dt.UTC) + lifetime
        credential = path.with_name(f"{path.name}.credential")
        kubeconfigs.write_exec_credential(credential, token, expires)

    def token(
        self,
        account: str,
        *,
        namespace: str = "default",
        lifetime: dt.timedelta = dt.timedelta(hours=1),
    ) -> str:
        """A token of that service account (made if absent), valid for any time one likes."""
        found = self._api.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": account, "namespace": namespace},
            }
        )
        uid: str = found["metadata"]["uid"]
        signer = self._credentials.signer
        return signer.token(namespace, account, uid, now=time.time(), lifetime=lifetime)
