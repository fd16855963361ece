"""What a JWT says, unverified: a hint about its life and its name, good for nothing else."""

import base64
import json
import math
import re
from collections.abc import Mapping

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")


def unverified(token: str) -> Mapping[str, object]:
    """Return the token's claims, {} for an opaque token."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def number(value: object) -> float | None:
    """Read a number as met in the wild, strings of one included; None for anything else."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # an int beyond any float
        return math.inf if value > 0 else -math.inf
    return None if math.isnan(found) else found
