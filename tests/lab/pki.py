"""Keys of a lab cluster: its authority, certificates and service account tokens.

P-256 throughout: making such a key costs a tenth of a millisecond, an RSA key half a second.
"""

import base64
import datetime as dt
import ipaddress
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)
# Certificates are good from a little before now, for a clock that a test sets back.
_BACKDATE = dt.timedelta(hours=2)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes `<name>.crt` and `<name>.key` (0600); returns both paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        write_private(key, self.key)
        return certificate, key


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that was never readable by others."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


class Authority:
    """A certificate authority with one self-signed root."""

    def __init__(self, name: str = "lab") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), 30 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_authority_usage(), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pair = KeyPair(_pem(self._certificate), _key_pem(self._key))

    def server(self, names: Sequence[str], addresses: Sequence[str]) -> KeyPair:
        """A serving certificate for these DNS names and addresses."""
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        extension = x509.SubjectAlternativeName(alternatives)
        return self._issue([], names[0], ExtendedKeyUsageOID.SERVER_AUTH, 30 * _DAY, extension)

    def client(
        self, user: str, groups: Sequence[str] = (), *, lifetime: dt.timedelta = 30 * _DAY
    ) -> KeyPair:
        """A client certificate; Kubernetes reads CN as the user and O as its groups.

        A negative `lifetime` gives one that has expired.
        """
        return self._issue(groups, user, ExtendedKeyUsageOID.CLIENT_AUTH, lifetime, None)

    def _issue(
        self,
        organisations: Sequence[str],
        name: str,
        usage: x509.ObjectIdentifier,
        lifetime: dt.timedelta,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, part) for part in organisations]
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, key.public_key(), lifetime)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key))


class TokenSigner:
    """Signs service account tokens as kube-apiserver itself would.

    Its own TokenRequest refuses lifetimes under ten minutes, which no test can wait for.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.private_pem = _key_pem(self._key)

    def token(
        self, namespace: str, name: str, uid: str, *, now: float, lifetime: dt.timedelta
    ) -> str:
        """A bound token of that service account; `now` is seconds since the epoch."""
        claims = {
            "iss": self.issuer,
            "aud": [self.issuer],
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "iat": int(now),
            "nbf": int(now) - 1,
            "exp": int(now + lifetime.total_seconds()),
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": name, "uid": uid},
            },
        }
        signed = _segment({"alg": "ES256", "typ": "JWT"}) + b"." + _segment(claims)
        r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return (signed + b"." + _base64url(signature)).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _BACKDATE).not_valid_after(now + lifetime)


def _authority_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _segment(content: Mapping[str, object]) -> bytes:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
