"""The manual says what the components are, and what is proven about them."""

import re
from pathlib import Path

from manifests.registry import all_components
from scripts.component_pages import DOCS, pages

DECISIONS = DOCS / "design-decisions.md"
ROOT = DOCS.parent


def test_made_pages_are_current() -> None:
    for file, text in pages().items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: run make docs"


def test_every_unverified_fact_says_where_it_is_from_and_how_it_would_show() -> None:
    for component in all_components():
        for fact in component.unverified:
            assert fact.source.startswith("https://")
            assert fact.fact.endswith(".")
            assert fact.if_wrong.endswith(".")


def test_tests_named_by_the_design_decisions_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DECISIONS.read_text(encoding="utf-8"))
    assert len(named) >= 4
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), test


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in (DECISIONS, *pages()):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert Path(page.parent, target).exists(), f"{page.name}: {target}"
