"""Secrets as components declare them, and how new ones are made.

Source of the forms: Matrix signing keys are one line ``ed25519 a_XXXX <43 unpadded base64
characters of 32 random bytes>``; Fernet keys are 44 characters of url-safe base64
(https://cryptography.io/en/latest/fernet/).
"""

import base64
import secrets as random
import string
from dataclasses import dataclass
from enum import StrEnum


class SecretForm(StrEnum):
    """Alphabet and shape of a value."""

    ALPHANUMERIC = "alphanumeric"
    HEX = "hex"
    FERNET_KEY = "fernet-key"
    MATRIX_SIGNING_KEY = "matrix-signing-key"
    FREE = "free"  # given by the operator, any text


class SecretSource(StrEnum):
    MADE = "made"  # generated here
    GIVEN = "given"  # comes from the operator


@dataclass(frozen=True)
class SecretDeclaration:
    """One secret, one purpose. ``length`` counts characters of ALPHANUMERIC and HEX values.

    ``reader`` names the programs that read it; ``rotation`` says in words how it is changed and
    what must restart after that.
    """

    name: str
    purpose: str
    reader: str
    rotation: str
    form: SecretForm = SecretForm.ALPHANUMERIC
    length: int = 40
    source: SecretSource = SecretSource.MADE


def make_secret(declaration: SecretDeclaration) -> str:
    """A fresh value in the declared form. Raises ValueError for a form that cannot be made."""
    match declaration.form:
        case SecretForm.ALPHANUMERIC:
            alphabet = string.ascii_letters + string.digits
            return "".join(random.choice(alphabet) for _ in range(declaration.length))
        case SecretForm.HEX:
            return random.token_hex((declaration.length + 1) // 2)[: declaration.length]
        case SecretForm.FERNET_KEY:
            return base64.urlsafe_b64encode(random.token_bytes(32)).decode()
        case SecretForm.MATRIX_SIGNING_KEY:
            letters = string.ascii_letters
            version = "a_" + "".join(random.choice(letters) for _ in range(4))
            key = base64.b64encode(random.token_bytes(32)).decode().rstrip("=")
            return f"ed25519 {version} {key}"
        case SecretForm.FREE:
            raise ValueError(f"{declaration.name}: a given secret cannot be made")
