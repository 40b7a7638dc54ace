"""The manual's page on settings says what the code does."""

from scripts.settings_page import PAGE, page


def test_the_tables_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run: make docs"
    assert "| `20k` | 20,000 | 51 | 1,208 | 4,080 | 112.6 |" in text
    assert "| `server.public_names.web_client` |" in text
