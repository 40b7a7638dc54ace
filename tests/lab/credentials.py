"""Key files that the programs of a control plane start from."""

import secrets
from pathlib import Path

from tests.lab import kubeconfigs
from tests.lab.kubeconfigs import Endpoint
from tests.lab.pki import Authority, TokenSigner, write_private

SERVICE_NETWORK = "10.96.0.0/16"
OPERATOR = "lab-operator"
# As in a kubeadm cluster, bound to cluster-admin. Not system:masters: requests of that group are
# never throttled (k8s.io/apiserver, pkg/server/filters/maxinflight.go), so nothing that a test
# says of 429 would hold for it. The lab's own tools are in it, for that very reason.
OPERATORS = "kubeadm:cluster-admins"
_FIRST_SERVICE_ADDRESS = "10.96.0.1"


class Credentials:
    """Makes the authority and all files in `folder` at once; everything is gone with it."""

    def __init__(self, folder: Path, server: str) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self.authority = Authority()
        self.endpoint = Endpoint(server, self.authority.pair.certificate)
        self.signer = TokenSigner("https://kubernetes.default.svc.cluster.local")
        self.admin_token = secrets.token_hex(16)
        self.authority_file, self.authority_key_file = self.authority.pair.write(folder, "ca")
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        serving = self.authority.server(names, ["127.0.0.1", _FIRST_SERVICE_ADDRESS])
        self.serving_file, self.serving_key_file = serving.write(folder, "apiserver")
        kubelet = self.authority.client("kube-apiserver-kubelet-client", ["system:masters"])
        self.kubelet_file, self.kubelet_key_file = kubelet.write(folder, "kubelet-client")
        self.signer_file = folder / "service-accounts.key"
        write_private(self.signer_file, self.signer.private_pem)
        self.token_file = folder / "tokens.csv"
        self.operator_token = secrets.token_hex(16)
        tokens = (
            f'{self.admin_token},lab,lab,"system:masters"\n'
            f'{self.operator_token},{OPERATOR},{OPERATOR},"{OPERATORS}"\n'
        )
        write_private(self.token_file, tokens.encode())
        self.controller_manager = self._kubeconfig(
            folder, "system:kube-controller-manager", "system:masters"
        )
        self.scheduler = self._kubeconfig(folder, "system:kube-scheduler")
        self.kwok = self._kubeconfig(folder, "kwok", "system:masters")

    def _kubeconfig(self, folder: Path, user: str, *groups: str) -> Path:
        path = folder / f"{user.rpartition(':')[2]}.kubeconfig"
        pair = self.authority.client(user, groups)
        return kubeconfigs.with_certificate(path, self.endpoint, user, pair)
