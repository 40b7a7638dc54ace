"""Forms of secrets: what is made has the declared shape, what is given is held to it."""

import base64
import copy
import json
import pickle
import re
from collections import Counter

import nacl.signing
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from installer.core.secrets import (
    LARGEST_GIVEN,
    SecretDeclaration,
    SecretForm,
    SecretSource,
    SecretText,
    form_in_words,
    make_secret,
    refusal,
    unique_declarations,
)

MADE_FORMS = [form for form in SecretForm if form is not SecretForm.FREE]


def declare(
    form: SecretForm = SecretForm.ALPHANUMERIC, length: int = 40, name: str = "one"
) -> SecretDeclaration:
    source = SecretSource.GIVEN if form is SecretForm.FREE else SecretSource.MADE
    return SecretDeclaration(name, "a test", "nobody", "make it anew", form, length, source)


SHAPES = {
    SecretForm.ALPHANUMERIC: r"[A-Za-z0-9]{40}",
    SecretForm.URL_SAFE: r"[A-Za-z0-9_-]{40}",
    SecretForm.HEX: r"[0-9a-f]{40}",
    SecretForm.FERNET_KEY: r"[A-Za-z0-9_-]{43}=",
    SecretForm.BASE64_KEY: r"[A-Za-z0-9+/]{43}=",
    SecretForm.MATRIX_SIGNING_KEY: r"ed25519 a_[A-Za-z]{4} [A-Za-z0-9+/]{43}",
    SecretForm.GARAGE_KEY_ID: r"GK[0-9a-f]{24}",
    SecretForm.GARAGE_SECRET_KEY: r"[0-9a-f]{64}",
}


@pytest.mark.parametrize("form", MADE_FORMS)
def test_a_made_value_has_its_form_and_passes_its_own_check(form: SecretForm) -> None:
    declaration = declare(form)
    values = [make_secret(declaration) for _ in range(50)]
    assert len(set(values)) == 50
    for value in values:
        assert re.fullmatch(SHAPES[form], value)
        assert refusal(declaration, value) == ""


@pytest.mark.parametrize("form", [SecretForm.ALPHANUMERIC, SecretForm.URL_SAFE, SecretForm.HEX])
@pytest.mark.parametrize("length", [32, 33, 64])
def test_the_length_is_as_declared(form: SecretForm, length: int) -> None:
    assert len(make_secret(declare(form, length))) == length


def test_every_character_of_the_alphabet_is_used() -> None:
    counted = Counter("".join(make_secret(declare()) for _ in range(200)))
    assert len(counted) == 62


def test_the_real_readers_accept_what_is_made() -> None:
    Fernet(make_secret(declare(SecretForm.FERNET_KEY)))
    key = make_secret(declare(SecretForm.MATRIX_SIGNING_KEY)).split()[2]
    nacl.signing.SigningKey(base64.b64decode(key + "="))
    assert len(base64.b64decode(make_secret(declare(SecretForm.BASE64_KEY)))) == 32


SEED = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        (SecretForm.ALPHANUMERIC, "a" * 19),
        (SecretForm.ALPHANUMERIC, "a" * 30 + "-"),
        (SecretForm.URL_SAFE, "a" * 30 + "+"),
        (SecretForm.HEX, "0" * 39),
        (SecretForm.HEX, "0" * 41),
        (SecretForm.HEX, "A" * 40),
        (SecretForm.FERNET_KEY, "K" * 32),  # 32 letters are no Fernet key
        (SecretForm.FERNET_KEY, "A" * 44),
        (SecretForm.FERNET_KEY, base64.b64encode(b"\xff" * 32).decode()),  # + and /
        (SecretForm.FERNET_KEY, base64.urlsafe_b64encode(b"k" * 31).decode()),
        (SecretForm.BASE64_KEY, base64.urlsafe_b64encode(b"\xff" * 32).decode()),
        (SecretForm.MATRIX_SIGNING_KEY, f"ed25519 a_test {SEED}"),  # with padding
        (SecretForm.MATRIX_SIGNING_KEY, f"ed25519 a_test {SEED[:-2]}"),
        (SecretForm.MATRIX_SIGNING_KEY, f"ed25519 {SEED[:-1]}"),
        (SecretForm.MATRIX_SIGNING_KEY, f"rsa a_test {SEED[:-1]}"),
        (SecretForm.MATRIX_SIGNING_KEY, f"ed25519 a-test {SEED[:-1]}"),
        (SecretForm.MATRIX_SIGNING_KEY, f"ed25519 a_test {SEED[:-2]}9"),  # stray bits at its end
        (SecretForm.MATRIX_SIGNING_KEY, f"ed25519 a_test {SEED[:-1]}\n"),
        (SecretForm.GARAGE_KEY_ID, "GK" + "0" * 23),
        (SecretForm.GARAGE_KEY_ID, "AK" + "0" * 24),
        (SecretForm.GARAGE_SECRET_KEY, "0" * 63),
        (SecretForm.FREE, "seven77"),
        (SecretForm.FREE, ""),
        (SecretForm.FREE, "with a NUL \0 inside"),
        (SecretForm.FREE, "x" * (LARGEST_GIVEN + 1)),
    ],
)
def test_a_given_value_of_another_form_is_refused_without_echo(
    form: SecretForm, wrong: str
) -> None:
    why = refusal(declare(form), wrong)
    assert why
    assert not wrong or wrong not in why
    assert not any(part in why for part in wrong.split() if len(part) > 8)


@pytest.mark.parametrize("form", list(SecretForm))
def test_each_form_is_told_in_words(form: SecretForm) -> None:
    assert len(form_in_words(declare(form))) > 15


@given(st.text(min_size=8, max_size=60).filter(lambda text: "\0" not in text))
def test_free_text_of_eight_characters_is_taken(value: str) -> None:
    assert refusal(declare(SecretForm.FREE), value) == ""


@pytest.mark.parametrize("name", ["Upper", "under_score", "", "-x", "x-", "a.b", "a" * 64, "é"])
def test_a_name_is_a_dns_label(name: str) -> None:
    with pytest.raises(ValueError, match="a name is"):
        declare(name=name)


@pytest.mark.parametrize("missing", ["purpose", "reader", "rotation"])
def test_purpose_reader_and_rotation_are_words(missing: str) -> None:
    purpose, reader, rotation = (
        " " if item == missing else "words" for item in ("purpose", "reader", "rotation")
    )
    with pytest.raises(ValueError, match=missing):
        SecretDeclaration("one", purpose, reader, rotation)


def test_a_guessable_length_is_no_declaration() -> None:
    with pytest.raises(ValueError, match="shorter than 20"):
        declare(length=19)
    with pytest.raises(ValueError, match="shorter than 32"):
        declare(SecretForm.HEX, 31)


def test_free_text_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="only be given"):
        SecretDeclaration("one", "p", "r", "o", SecretForm.FREE)
    with pytest.raises(ValueError, match="cannot be made"):
        make_secret(declare(SecretForm.FREE))


def test_one_name_is_one_secret() -> None:
    both = unique_declarations([declare(), declare(), declare(name="two")])
    assert list(both) == ["one", "two"]
    with pytest.raises(ValueError, match="declared twice"):
        unique_declarations([declare(), declare(length=41)])


def test_a_secret_in_memory_shows_itself_nowhere() -> None:
    secret = SecretText("canary-value")
    shown = [repr(secret), str(secret), f"{secret:>20}", f"{secret!r}", repr({"a": [secret]})]
    assert not any("canary" in text for text in shown)
    assert secret.reveal() == "canary-value"
    assert len(secret) == 12


def test_a_secret_in_memory_is_not_serialised() -> None:
    secret = SecretText("canary-value")
    for serialise in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, hash):
        with pytest.raises(TypeError):
            serialise(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_in_memory_compare_by_value() -> None:
    assert SecretText("same") == SecretText("same")
    assert SecretText("same") != SecretText("other")
    assert SecretText("same") != "same"
