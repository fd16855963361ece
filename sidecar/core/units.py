"""Durations as people write them."""

import re

DURATION = r"^[0-9]{1,9}(ms|s|m|h)$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Read `500ms`, `30s`, `5m` or `1h` as seconds; raises ValueError."""
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"{text[:40]!r} is no duration: write a whole number and ms, s, m or h, such as 30s")
    number, unit = re.findall(r"\d+|\D+", text)
    return int(number) * _SECONDS[unit]


def span(text: str) -> float:
    """Read a duration that must be longer than nothing, as seconds; raises ValueError."""
    length = seconds(text)
    if not length:
        raise ValueError("must be longer than 0s")
    return length
