"""Redaction: no form of a registered value survives, and nothing else is touched."""

import base64
import html
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from types import MappingProxyType
from urllib.parse import quote, quote_plus

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from installer.core import redaction
from installer.core.errors import InstallError
from installer.core.events import Progress, StepWaiting
from installer.core.redaction import MASK, redact, redact_data, register
from installer.core.secrets import SecretDeclaration, SecretForm, SecretText, make_secret


@pytest.fixture(autouse=True)
def _nothing_registered() -> Iterator[None]:
    redaction.forget_all()
    yield
    redaction.forget_all()


SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=60
).filter(lambda text: MASK not in text and len(text.strip()) >= 8)
AROUND = st.text(max_size=40)
BYTES_AROUND = st.binary(max_size=40)


def go_quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted[1:-1]


def lower_escapes(text: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), text)


ENCODERS: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "json": lambda text: json.dumps(text)[1:-1],
    "json-unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json-in-json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "go-json": go_quoted,
    "php-json": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "url": lambda text: quote(text, safe=""),
    "url-path": quote,
    "url-lower": lambda text: lower_escapes(quote(text, safe="")),
    "form": quote_plus,
    "html": html.escape,
    "repr": lambda text: repr(text)[1:-1],
    "bytes-repr": lambda text: repr(text.encode())[2:-1],
    "shell": lambda text: shlex.quote(text).removeprefix("'").removesuffix("'"),
    "yaml": lambda text: text.replace("'", "''"),
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64-unpadded": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64-url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


def pieces(shown: str) -> list[str]:
    return shown.split(MASK)


# One line of short words, so that no part of it is masked by itself.
EVERY_QUOTING = "a b/c<d>& é\"'\\%+~]Z\U0001f511 \t end"


@pytest.mark.parametrize("encoder", ENCODERS)
@given(secret=SECRETS, before=AROUND, after=AROUND)
@example(secret=EVERY_QUOTING, before="", after="")
@example(secret="a\u2028b\u2029cdef", before="", after="")
def test_no_encoding_survives_in_any_text(
    encoder: str, secret: str, before: str, after: str
) -> None:
    encoded = ENCODERS[encoder](secret)
    text = before + encoded + after
    assume(MASK not in text)
    redaction.forget_all()
    register([secret])
    shown = redact(text)
    assert MASK in shown
    assert not any(encoded in piece or secret in piece for piece in pieces(shown))
    assert redact(shown) == shown


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(secret=SECRETS, before=BYTES_AROUND, after=BYTES_AROUND)
def test_inside_longer_base64_only_the_shared_edges_remain(
    encode: Callable[[bytes], bytes], secret: str, before: bytes, after: bytes
) -> None:
    redaction.forget_all()
    register([secret])
    raw = secret.encode()
    encoded = encode(before + raw + after).decode()
    shown = redact(encoded)
    first_bit, end_bit = 8 * len(before), 8 * (len(before) + len(raw))
    assert MASK in shown
    assert len(pieces(shown)[0]) <= -(-first_bit // 6)
    assert sum(map(len, pieces(shown)[1:])) <= len(encoded) - end_bit // 6


@given(secret=SECRETS, before=BYTES_AROUND, after=BYTES_AROUND)
def test_a_registry_login_encoded_twice_is_masked(secret: str, before: bytes, after: bytes) -> None:
    redaction.forget_all()
    register([secret])
    inner = base64.b64encode(before + secret.encode() + after)
    shown = redact(base64.b64encode(b'{"auth":"' + inner + b'"}').decode())
    # At most one character is left at each edge of the inner text, and two of its encoding.
    hidden = len(secret.encode()) * 4 / 3 * 4 / 3 - 8
    assert MASK in shown
    assert len(inner + b'{"auth":""}') * 4 / 3 + 4 - sum(map(len, pieces(shown))) >= hidden


@given(st.lists(SECRETS, min_size=2, max_size=6), st.data())
def test_values_that_overlap_leave_no_tail(secrets: list[str], data: st.DataObject) -> None:
    parts = [data.draw(st.sampled_from(secrets))[data.draw(st.integers(0, 7)) :] for _ in "abc"]
    text = "".join(parts) + secrets[0]
    assume(MASK not in text)
    redaction.forget_all()
    register(secrets)
    shown = redact(text)
    assert not any(secret in piece for secret in secrets for piece in pieces(shown))
    assert redact(shown) == shown


def test_the_end_of_one_value_that_begins_another_is_masked() -> None:
    register(["first-SHARED", "SHARED-second"])
    assert redact("a first-SHARED-second z") == f"a {MASK} z"
    assert redact("a first-SHARED z SHARED-second") == f"a {MASK} z {MASK}"


@given(st.text(max_size=200))
def test_text_passes_untouched_when_nothing_is_registered(text: str) -> None:
    redaction.forget_all()
    assert redact(text) is text


@given(st.text('abcdefgh -:{}"\n', max_size=300))
def test_ordinary_text_passes_untouched_beside_made_values(text: str) -> None:
    redaction.forget_all()
    register(MADE)
    assert redact(text) == text


MADE = [
    make_secret(SecretDeclaration(f"one-{form.value}", "p", "r", "o", form))
    for form in SecretForm
    if form is not SecretForm.FREE
]


def test_a_value_that_is_a_word_of_the_mask_stays_stable() -> None:
    register(["secret", "ecret]"])
    shown = redact("the secret is secret")
    assert shown == f"the {MASK} is {MASK}"
    assert redact(shown) == shown


def test_too_short_a_value_masks_nothing() -> None:
    register(["abc", ""])
    assert redact("abc abcd") == "abc abcd"


def test_what_was_forgotten_is_shown_again() -> None:
    register(["forgotten-value"])
    redaction.forget_all()
    assert redact("forgotten-value") == "forgotten-value"


LINES = [f"{index:02d}{'Qx7/+' * 12}{index:02d}" for index in range(20)]
PEM = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(LINES) + "\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("style", [None, "|", '"', "'", ">"])
def test_each_line_of_a_key_is_masked_however_yaml_writes_it(style: str | None) -> None:
    register([PEM])
    text = yaml.safe_dump({"stringData": {"tls.key": PEM}}, default_style=style)
    shown = redact(text)
    assert MASK in shown
    assert "Qx7/+" not in shown


@pytest.mark.parametrize("style", ["|", ">", None])
def test_each_line_of_a_key_file_in_json_is_masked(style: str | None) -> None:
    lines = ["{", ' "type": "of account",', ' "id": "one two",', "}"]
    register(["\n".join(lines)])
    shown = redact(yaml.safe_dump({"key.json": "\n".join(lines)}, default_style=style))
    assert "of account" not in shown
    assert "one two" not in shown


@pytest.mark.parametrize("width", [64, 76])
def test_each_line_of_wrapped_base64_is_masked(width: int) -> None:
    register([PEM])
    whole = base64.b64encode(PEM.encode()).decode()
    lines = [whole[at : at + width] for at in range(0, len(whole), width)]
    shown = redact("\n".join(lines))
    assert not any(line in shown for line in lines)


def test_the_delimiters_of_a_key_are_no_secret() -> None:
    register([PEM])
    assert redact("starts with -----BEGIN PRIVATE KEY-----") == (
        "starts with -----BEGIN PRIVATE KEY-----"
    )


def test_the_key_inside_a_signing_key_line_is_masked_alone() -> None:
    line = make_secret(SecretDeclaration("k", "p", "r", "o", SecretForm.MATRIX_SIGNING_KEY))
    register([line])
    shown = redact(f"key: >\n  ed25519 a_x\n  {line.split()[2]}\n")
    assert line.split()[2] not in shown


def test_data_of_any_nesting_is_masked_and_keeps_its_shape() -> None:
    register(["canary-value"])
    data = {
        "canary-value": ["x canary-value", ("canary-value", 1)],
        "n": None,
        "set": {"canary-value"},
        "proxy": MappingProxyType({"k": "canary-value"}),
    }
    assert redact_data(data) == {
        MASK: [f"x {MASK}", (MASK, 1)],
        "n": None,
        "set": {MASK},
        "proxy": {"k": MASK},
    }


def test_errors_and_events_are_masked_when_made() -> None:
    register(["canary-value"])
    error = InstallError("C", "t canary-value", "c canary-value", "r", evidence=("canary-value",))
    shown = [str(error), repr(error), repr(error.report())]
    shown.append(repr(StepWaiting("step", "for canary-value")))
    shown.append(repr(Progress("log", "step", "saw canary-value", "")))
    assert not any("canary-value" in text for text in shown)


def test_a_secret_in_memory_is_not_needed_to_be_text_to_be_kept_out() -> None:
    assert redact(f"{SecretText('canary-value')}") == MASK


def processor_seconds(secrets: int, text: str) -> float:
    redaction.forget_all()
    register(f"{index:06d}-{'v' * 34}" for index in range(secrets))
    taken = []
    for _ in range(3):
        began = time.process_time()
        redact(text)
        taken.append(time.process_time() - began)
    return min(taken)


def test_a_long_text_takes_no_longer_with_many_values() -> None:
    text = json.dumps([{"line": index, "words": "of an ordinary log"} for index in range(4000)])
    assert processor_seconds(400, text) < 4 * processor_seconds(2, text)
