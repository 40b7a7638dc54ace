"""Every error that the code can raise has a heading in the manual, and none that it cannot."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.cluster.failures import FailureKind

REPOSITORY = Path(__file__).parents[2]
MANUAL = REPOSITORY / "docs" / "errors.md"
CODE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
ONE_WORD = re.compile(r"[A-Z]{4,}")
NO_ERRORS = {"AGE-SECRET-KEY", "AGE-SECRET-KEY-1"}  # how age writes a private key


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Literals that have a code's form with a hyphen, wherever they stand: they are passed on
    through tables, helpers and dataclasses of many shapes. A code of one word is told from other
    words by its place: ``code=``, or first in a call of something that is an error or refuses."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=text) if isinstance(text, str) and CODE.fullmatch(text):
                yield text
            case ast.Call():
                yield from _one_word(node)
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=text)):
                if name == text:  # STALE = "STALE": codes of replies
                    yield name


def _one_word(call: ast.Call) -> Iterator[str]:
    places = [item.value for item in call.keywords if item.arg == "code"]
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name.endswith(("Error", "Problem")) or name in ("failed", "_refused"):
        places += call.args[:1]
    for place in places:
        if isinstance(place, ast.Constant) and ONE_WORD.fullmatch(str(place.value)):
            yield str(place.value)


def raised() -> dict[str, str]:
    """Each code and a file in which it stands."""
    found = {f"API-{kind.value.upper()}": "installer/cluster/failures.py" for kind in FailureKind}
    for room in ("installer", "manifests"):
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            if "rehearsal" in path.parts:
                continue  # its words are those of a cluster
            where = str(path.relative_to(REPOSITORY))
            tree = ast.parse(path.read_text())
            for code in codes_in(tree):
                found.setdefault(code, where)
            if path.name == "kubeconfig_problems.py":
                found |= {f"KUBECONFIG-{code}": where for code in _first_words(tree)}
    return {code: where for code, where in found.items() if code not in NO_ERRORS}


def _first_words(tree: ast.AST) -> Iterator[str]:
    """First arguments of the calls that put ``KUBECONFIG-`` before them."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="_error"), args=[ast.Constant(value=str(word)), *_]):
                yield word


def entries() -> dict[str, str]:
    """The manual's headings and what stands under each."""
    text = re.sub(r"^## .*$", "", MANUAL.read_text(), flags=re.MULTILINE)
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_code_has_its_heading_and_each_heading_its_code() -> None:
    codes = raised()
    missing = {code: where for code, where in codes.items() if code not in entries()}
    assert not missing, f"docs/errors.md has no heading for {missing}"
    unknown = [code for code in entries() if code not in codes]
    assert not unknown, f"docs/errors.md explains what nothing raises: {unknown}"


def test_no_code_is_explained_twice() -> None:
    headings = re.findall(r"^### (.+)$", MANUAL.read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(set(headings))


@pytest.mark.parametrize("code", sorted(entries()))
def test_an_entry_says_what_happened_and_what_to_do_in_few_lines(code: str) -> None:
    lines = [line for line in entries()[code].splitlines() if line]
    assert 2 <= len(lines) <= 5
    assert sum(line.startswith("**Do:** ") for line in lines) == 1
    assert not lines[0].startswith("**Do:**")
    assert max(map(len, lines)) <= 100


def test_codes_are_found_in_every_place_where_they_stand() -> None:
    source = """
raise InstallError("LOCKED", "title")
raise InstallError(code="INTERNAL", title="t")
STALE = "STALE"
problem(code="SINGLE")
table = {"x": ("TWO-WORDS", 1)}
reply(command, "PLAN-CHANGED")
print("SHOUTED")
"""
    found = set(codes_in(ast.parse(source)))
    assert found == {"LOCKED", "INTERNAL", "STALE", "SINGLE", "TWO-WORDS", "PLAN-CHANGED"}
