"""The claims of a JWT, unverified: a hint about its life and its name, not proof of anything."""

import base64
import math
import re
from collections.abc import Mapping

from sidecar.core.foreign_text import parse_object

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")


def unverified(token: str) -> Mapping[str, object]:
    """Return the token's claims, {} for an opaque token."""
    parts = token.split(".")
    return (segment(parts[1]) if len(parts) == 3 else None) or {}


def segment(encoded: str) -> dict[str, object] | None:
    """Return the content of a part of the token (RFC 7515 section 2: base64url without padding); None for no object."""
    try:
        return parse_object(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except ValueError:
        return None


def number(value: object) -> float | None:
    """Return a number as servers send it, also as a string; None for anything else."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        read = float(value)
    except OverflowError:  # an int beyond any float
        return math.inf if value > 0 else -math.inf
    return None if math.isnan(read) else read
