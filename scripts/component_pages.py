"""Writes the pages of the manual that follow from the components."""

from pathlib import Path

from installer.core.settings_validation import validate_settings
from manifests.derive.reference import components_page, unverified_page
from manifests.registry import all_components, assembled, settings_model

DOCS = Path(__file__).parents[1] / "docs"
SAMPLE = {
    "version": 1,
    "install": {"id": "example"},
    "server": {
        "name": "example.org",
        "organisation": "Example Organisation",
        "admin_contact": "matrix-admin@example.org",
    },
    "scale": {"row": "100"},
    "cluster": {"kubeconfig": "kubeconfig"},
    "load_balancer": "existing",
}


def pages() -> dict[Path, str]:
    """Every page by its file."""
    settings = validate_settings(settings_model(), SAMPLE)
    return {
        DOCS / "unverified.md": unverified_page(all_components()),
        DOCS / "components.md": components_page(assembled(settings)),
    }


if __name__ == "__main__":
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
