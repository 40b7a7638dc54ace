"""The texts in which a secret value can turn up after a program has encoded it.

Plain, quoted by JSON (Python's and Go's way, once and twice), Python, URL, HTML and shell, in
hexadecimal, and in base64: alone, inside a longer encoded text at each of the three byte offsets,
wrapped at the widths of common programs, and encoded twice (a registry login in a Secret).
"""

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST_MASKED = 4  # characters; a shorter value would mask ordinary words
SHORTEST_LINE = 8  # characters; shorter lines of a longer secret are words like ``data:``
SHORTEST_WORD = 16  # characters; a key inside a line, as in a signing key
_WRAPS = (64, 76)  # characters a line: PEM and openssl; MIME and coreutils' base64
_PEM_DELIMITER = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
_URL_SAFE_SETS = ("", "/", "-._~!$&'()*+,;=:@/?", "-._~!$&'()*+,;=:@/?#[]%")


def forms_of(value: str) -> set[str]:
    """Every form of the value and of its parts, each at least four characters long."""
    forms: set[str] = set()
    for part in {value, *_parts(value)}:
        if len(part) >= SHORTEST_MASKED:
            forms.update(_quoted(part), _encoded(part))
    return {form for form in forms if len(form) >= SHORTEST_MASKED}


def _parts(value: str) -> Iterator[str]:
    """Lines (YAML indents each) and long words (YAML folds a line at its spaces)."""
    for line in value.splitlines():
        stripped = line.strip()
        if len(stripped) >= SHORTEST_LINE and not _PEM_DELIMITER.fullmatch(stripped):
            yield stripped
        yield from (word for word in line.split() if len(word) >= SHORTEST_WORD)


def _quoted(value: str) -> set[str]:
    forms = {value, html.escape(value), html.escape(value, quote=False)}
    once = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    once |= {_as_go_quotes(form) for form in once}
    once |= {form.replace("/", "\\/") for form in once}
    twice = {json.dumps(form, ensure_ascii=False)[1:-1] for form in once}
    forms |= once | twice
    forms |= {repr(value)[1:-1], repr(value.encode())[2:-1]}
    forms |= {value.replace("'", "'\"'\"'"), value.replace("'", "'\\''"), value.replace("'", "''")}
    for safe in _URL_SAFE_SETS:
        encoded = quote(value, safe=safe)
        forms |= {encoded, _lower_escapes(encoded)}
    form_encoded = quote_plus(value)
    return forms | {form_encoded, _lower_escapes(form_encoded)}


def _as_go_quotes(form: str) -> str:
    """Go's encoding/json, and so every answer of the Kubernetes API, escapes for HTML as well."""
    for character in "<>&\u2028\u2029":
        form = form.replace(character, f"\\u{ord(character):04x}")
    return form


def _lower_escapes(encoded: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), encoded)


def _encoded(value: str) -> set[str]:
    raw = value.encode()
    forms = {raw.hex(), raw.hex().upper()}
    cores = {core for offset in range(3) for core in _base64_core(raw, offset)}
    doubled = {
        core
        for inner in cores
        if len(inner) >= SHORTEST_LINE
        for offset in range(3)
        for core in _base64_core(inner.encode(), offset)
    }
    forms |= cores | doubled
    whole = base64.b64encode(raw).decode()
    forms |= {whole, whole.translate(str.maketrans("+/", "-_"))}
    for width in _WRAPS:
        lines = [whole[at : at + width] for at in range(0, len(whole), width)]
        forms |= {line for line in lines if len(line) >= SHORTEST_LINE}
    return forms


def _base64_core(raw: bytes, offset: int) -> tuple[str, str]:
    """The base64 characters that depend on ``raw`` alone when ``offset`` bytes come before it.

    A character holds 6 bits; those at the edges share theirs with the neighbours.
    """
    encoded = base64.b64encode(b"\0" * offset + raw).decode()
    first = -(-8 * offset // 6)
    core = encoded[first : 8 * (offset + len(raw)) // 6]
    return core, core.translate(str.maketrans("+/", "-_"))
