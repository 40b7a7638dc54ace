"""What the settings of every component have in common."""

from typing import Any

from pydantic import Field

from installer.core.settings_types import SettingsSection


class ComponentSettings(SettingsSection):
    """Base of a component's settings, mounted at ``components.<name>``."""

    patches: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Changes of your own to its objects, by KIND/NAME: merged over what is made "
        "here (null removes a key), shown in the plan as yours. Floors and safety rules still "
        "hold.",
        examples=[{"deployment/redis-synapse-proxy": {"spec": {"minReadySeconds": 30}}}],
    )
