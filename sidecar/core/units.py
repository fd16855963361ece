"""Durations and sizes as people write them."""

import re

DURATION = r"^[0-9]{1,9}(ms|s|m|h)$"
SIZE = r"^[0-9]{1,12}(B|KiB|MiB|GiB)$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


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


def size(text: str) -> int:
    """Read `512B`, `64KiB`, `16MiB` or `1GiB` as bytes; raises ValueError."""
    if not re.fullmatch(SIZE, text):
        raise ValueError(f"{text[:40]!r} is no size: write a number and B, KiB, MiB or GiB, such as 64KiB")
    number, unit = re.findall(r"\d+|\D+", text)
    return int(number) * _BYTES[unit]
