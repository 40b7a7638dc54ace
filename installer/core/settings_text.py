"""Which characters a setting may hold."""

import unicodedata

# Joiners that ordinary words need in Persian, Arabic and Indian scripts.
_JOINERS = {"\u200c", "\u200d"}
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def unfit_character(text: str, *, lines: bool = False) -> str | None:
    """The name of the first character that no setting may hold, or None.

    Control, formatting, private-use and unassigned characters do not show on a screen and change
    what files mean. ``lines`` allows line breaks and tabs.
    """
    for character in text:
        if character in _JOINERS or (lines and character in "\n\t"):
            continue
        if unicodedata.category(character) in _INVISIBLE:
            return f"U+{ord(character):04X}"
    return None
