"""The simulated API server's own CA, its certificate and its token: made once, kept 0600."""

import base64
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from installer.rehearsal.kube.store import encode, replace_file

_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class Identity:
    """Where certificate, key and token lie, and what clients need of them."""

    ca: Path
    certificate: Path
    key: Path
    token: str

    def server_context(self) -> ssl.SSLContext:
        """TLS as the server side speaks it (HTTP/1.1 only)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(["http/1.1"])
        return context


def identity(folder: Path) -> Identity:
    """The identity kept in `folder`, made at the first call."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = Identity(folder / "ca.crt", folder / "server.crt", folder / "server.key", "")
    token = folder / "token"
    if not token.exists():
        _make(found)
        replace_file(token, secrets.token_urlsafe(32).encode())
    return Identity(found.ca, found.certificate, found.key, token.read_text())


def _make(where: Identity) -> None:
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsal-ca")])
    ca = (
        _builder(issuer, issuer, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsal-apiserver")])
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    certificate = (
        _builder(subject, issuer, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    replace_file(where.ca, ca.public_bytes(pem))
    replace_file(where.certificate, certificate.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_file(where.key, private)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def write_kubeconfig(path: Path, url: str, who: Identity) -> None:
    """A kubeconfig (JSON, which is YAML) for the cluster named `rehearsal`, mode 0600."""
    authority = base64.b64encode(who.ca.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "rehearsal",
                "cluster": {"server": url, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "rehearsal", "user": {"token": who.token}}],
        "contexts": [
            {"name": "rehearsal", "context": {"cluster": "rehearsal", "user": "rehearsal"}}
        ],
        "current-context": "rehearsal",
    }
    replace_file(path, encode(config) + b"\n")
