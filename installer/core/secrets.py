"""Secrets as components declare them, how new ones are made and given ones are checked.

Sources of the forms:

* Matrix signing key: one line ``ed25519 a_XXXX <43 characters>``, the last part being 32 random
  bytes in base64 without padding (https://github.com/matrix-org/python-signedjson).
* Fernet key: 32 random bytes in url-safe base64, 44 characters
  (https://cryptography.io/en/latest/fernet/).
* Garage: key id ``GK`` and 24 hex digits, secret key 64 hex digits; its ``key import`` refuses
  anything else (https://git.deuxfleurs.fr/Deuxfleurs/garage, src/model/key_table.rs).
* etcd encryption key: 32 random bytes in ordinary base64, 44 characters
  (https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/).
"""

import base64
import binascii
import hmac
import re
import secrets as random
import string
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

SHORTEST_GIVEN = 8  # characters; a shorter one is guessed, and masking it would mask words
SHORTEST_MADE = {"alphanumeric": 20, "url-safe": 20, "hex": 32}  # characters: about 120 bits
LARGEST_GIVEN = 65536  # bytes; a Secret of the cluster holds at most 1 MiB in all


class SecretForm(StrEnum):
    """Alphabet and shape of a value."""

    ALPHANUMERIC = "alphanumeric"
    URL_SAFE = "url-safe"  # letters, digits, ``-`` and ``_``
    HEX = "hex"  # lower-case digits
    FERNET_KEY = "fernet-key"
    BASE64_KEY = "base64-key"  # 32 bytes, as etcd's encryption wants them
    MATRIX_SIGNING_KEY = "matrix-signing-key"
    GARAGE_KEY_ID = "garage-key-id"
    GARAGE_SECRET_KEY = "garage-secret-key"
    FREE = "free"  # given by the operator, any text


class SecretSource(StrEnum):
    MADE = "made"  # generated here
    GIVEN = "given"  # comes from the operator


class SecretText:
    """A secret value in memory: masked in every text form, neither pickled nor copied to JSON.

    ``reveal()`` is the one way to the value, so that a search for it finds every reader.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "SecretText([secret])"

    def __str__(self) -> str:
        return "[secret]"

    def __format__(self, spec: str) -> str:
        return format("[secret]", spec)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would keep it as a key of some dict

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not serialised")


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # as in a settings file's secret:NAME


@dataclass(frozen=True)
class SecretDeclaration:
    """One secret, one purpose.

    ``length`` counts characters of ALPHANUMERIC, URL_SAFE and HEX values; the other forms have
    one length only. ``reader`` names the programs that read it; ``rotation`` says in words how it
    is changed and what must restart after that. Raises ValueError on a declaration that is
    incomplete or that no value could satisfy.
    """

    name: str
    purpose: str
    reader: str
    rotation: str
    form: SecretForm = SecretForm.ALPHANUMERIC
    length: int = 40
    source: SecretSource = SecretSource.MADE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"secret {self.name!r}: a name is small letters, digits and hyphens inside, "
                "at most 63 characters"
            )
        for item in ("purpose", "reader", "rotation"):
            if not getattr(self, item).strip():
                raise ValueError(f"secret {self.name}: its {item} is not described")
        if self.form is SecretForm.FREE and self.source is SecretSource.MADE:
            raise ValueError(f"secret {self.name}: a value of any text can only be given")
        least = SHORTEST_MADE.get(self.form.value, 0)
        if self.length < least:
            raise ValueError(f"secret {self.name}: shorter than {least} characters")


def unique_declarations(declared: Iterable[SecretDeclaration]) -> dict[str, SecretDeclaration]:
    """The declarations by name. Raises ValueError when a name stands for two secrets."""
    by_name: dict[str, SecretDeclaration] = {}
    for declaration in declared:
        if by_name.setdefault(declaration.name, declaration) != declaration:
            raise ValueError(f"secret {declaration.name} is declared twice and differently")
    return by_name


_ALPHANUMERIC = string.ascii_letters + string.digits
_URL_SAFE = _ALPHANUMERIC + "-_"


def make_secret(declaration: SecretDeclaration) -> str:
    """A fresh value in the declared form. Raises ValueError for a form that cannot be made."""
    match declaration.form:
        case SecretForm.ALPHANUMERIC:
            return _choose(_ALPHANUMERIC, declaration.length)
        case SecretForm.URL_SAFE:
            return _choose(_URL_SAFE, declaration.length)
        case SecretForm.HEX:
            return random.token_hex((declaration.length + 1) // 2)[: declaration.length]
        case SecretForm.FERNET_KEY:
            return base64.urlsafe_b64encode(random.token_bytes(32)).decode()
        case SecretForm.BASE64_KEY:
            return base64.b64encode(random.token_bytes(32)).decode()
        case SecretForm.MATRIX_SIGNING_KEY:
            key = base64.b64encode(random.token_bytes(32)).decode().rstrip("=")
            return f"ed25519 a_{_choose(string.ascii_letters, 4)} {key}"
        case SecretForm.GARAGE_KEY_ID:
            return f"GK{random.token_hex(12)}"
        case SecretForm.GARAGE_SECRET_KEY:
            return random.token_hex(32)
        case SecretForm.FREE:
            raise ValueError(f"{declaration.name}: a given secret cannot be made")


def _choose(alphabet: str, length: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(length))


def form_in_words(declaration: SecretDeclaration) -> str:
    """What a value must look like, for the operator who gives one."""
    least = SHORTEST_MADE.get(declaration.form.value, 0)
    match declaration.form:
        case SecretForm.ALPHANUMERIC:
            return f"letters and digits, at least {least}"
        case SecretForm.URL_SAFE:
            return f"letters, digits, - and _, at least {least}"
        case SecretForm.HEX:
            return f"{declaration.length} hexadecimal digits in small letters"
        case SecretForm.FERNET_KEY:
            return "a Fernet key: 32 bytes in url-safe base64, 44 characters ending in ="
        case SecretForm.BASE64_KEY:
            return "32 bytes in base64, 44 characters ending in ="
        case SecretForm.MATRIX_SIGNING_KEY:
            return (
                "one line of a Matrix signing key: the word ed25519, a key version of letters, "
                "digits and _, and 43 characters of base64 without padding"
            )
        case SecretForm.GARAGE_KEY_ID:
            return "a Garage key id: GK and 24 hexadecimal digits in small letters"
        case SecretForm.GARAGE_SECRET_KEY:
            return "a Garage secret key: 64 hexadecimal digits in small letters"
        case SecretForm.FREE:
            return f"any text of at least {SHORTEST_GIVEN} characters"


def refusal(declaration: SecretDeclaration, value: str) -> str:
    """Why a value cannot serve as this secret, never repeating any of it; empty if it can."""
    if not value:
        return "it is empty"
    if "\0" in value:
        return "it holds a NUL byte"
    if len(value.encode()) > LARGEST_GIVEN:
        return f"it is larger than {LARGEST_GIVEN // 1024} KiB"
    if not _has_form(declaration, value):
        return f"it is not {form_in_words(declaration)}"
    return ""


def _has_form(declaration: SecretDeclaration, value: str) -> bool:
    least = SHORTEST_MADE.get(declaration.form.value, 0)
    match declaration.form:
        case SecretForm.ALPHANUMERIC:
            return len(value) >= least and not set(value) - set(_ALPHANUMERIC)
        case SecretForm.URL_SAFE:
            return len(value) >= least and not set(value) - set(_URL_SAFE)
        case SecretForm.HEX:
            return re.fullmatch(rf"[0-9a-f]{{{declaration.length}}}", value) is not None
        case SecretForm.FERNET_KEY:
            return _is_key_in_base64(value, b"-_")
        case SecretForm.BASE64_KEY:
            return _is_key_in_base64(value, b"+/")
        case SecretForm.MATRIX_SIGNING_KEY:
            line = re.fullmatch(r"ed25519 [A-Za-z0-9_]+ ([A-Za-z0-9+/]{43})", value)
            return line is not None and _is_key_in_base64(line[1] + "=", b"+/")
        case SecretForm.GARAGE_KEY_ID:
            return re.fullmatch(r"GK[0-9a-f]{24}", value) is not None
        case SecretForm.GARAGE_SECRET_KEY:
            return re.fullmatch(r"[0-9a-f]{64}", value) is not None
        case SecretForm.FREE:
            return len(value) >= SHORTEST_GIVEN


def _is_key_in_base64(value: str, alphabet_end: bytes) -> bool:
    """32 bytes in base64 as an encoder writes them; a copy cut or mistyped at its end is not."""
    try:
        key = base64.b64decode(value, altchars=alphabet_end, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(key) == 32 and base64.b64encode(key, altchars=alphabet_end).decode() == value
