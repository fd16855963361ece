"""Colours of a terminal."""

from collections.abc import Mapping
from typing import Literal

Colour = Literal["bold", "dim", "red", "green", "yellow", "cyan"]
_CODES: Mapping[Colour, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}


def painted(colour: Colour, text: str) -> str:
    """Return the text in a colour (ECMA-48 section 8.3.117, SGR)."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"
