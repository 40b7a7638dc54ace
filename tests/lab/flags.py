"""Command lines of the programs of a lab control plane."""

from collections.abc import Sequence
from pathlib import Path

from tests.lab.credentials import SERVICE_NETWORK, Credentials
from tests.lab.nodes import MANAGED


def apiserver(credentials: Credentials, port: int, etcd: Sequence[str]) -> list[str]:
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--etcd-servers={','.join(etcd)}",
        # History goes when a test says so, not by the clock.
        "--etcd-compaction-interval=0",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--tls-cert-file={credentials.serving_file}",
        f"--tls-private-key-file={credentials.serving_key_file}",
        f"--client-ca-file={credentials.authority_file}",
        f"--token-auth-file={credentials.token_file}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--service-account-issuer={credentials.signer.issuer}",
        f"--service-account-key-file={credentials.signer_file}",
        f"--service-account-signing-key-file={credentials.signer_file}",
        f"--kubelet-client-certificate={credentials.kubelet_file}",
        f"--kubelet-client-key={credentials.kubelet_key_file}",
        "--kubelet-preferred-address-types=ExternalDNS",
        # Without it a SIGTERM waits for open watches, up to a minute.
        "--shutdown-watch-termination-grace-period=1s",
    ]


def controller_manager(credentials: Credentials) -> list[str]:
    return [
        f"--kubeconfig={credentials.controller_manager}",
        "--leader-elect=false",
        "--secure-port=0",
        "--allocate-node-cidrs=false",
        f"--service-account-private-key-file={credentials.signer_file}",
        f"--root-ca-file={credentials.authority_file}",
        f"--cluster-signing-cert-file={credentials.authority_file}",
        f"--cluster-signing-key-file={credentials.authority_key_file}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def scheduler(credentials: Credentials) -> list[str]:
    return [
        f"--kubeconfig={credentials.scheduler}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def kwok(credentials: Credentials, port: int, config: Path) -> list[str]:
    labels = ",".join(f"{key}={value}" for key, value in MANAGED.items())
    return [
        f"--kubeconfig={credentials.kwok}",
        f"--config={config}",
        f"--manage-nodes-with-label-selector={labels}",
        f"--server-address=127.0.0.1:{port}",
        f"--node-port={port}",
        "--cidr=10.244.0.0/16",
        "--node-lease-duration-seconds=40",
    ]
