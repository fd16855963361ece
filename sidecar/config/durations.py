"""Durations and shares as users write them."""

import re

DURATION = r"^[0-9]{1,9}(ms|s|m|h)$"
SHARE = r"^(all|errors|[0-9]{1,3}(\.[0-9]{1,3})?%)$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return `500ms`, `30s`, `5m` or `1h` as seconds; raises ValueError."""
    if not re.fullmatch(DURATION, text):
        raise ValueError(
            f"{text[:40]!r} is not a duration: write a whole number and ms, s, m or h, such as 30s"
        )
    number, unit = re.findall(r"\d+|\D+", text)
    return int(number) * _SECONDS[unit]


def span(text: str) -> float:
    """Return a duration above zero as seconds; raises ValueError."""
    length = seconds(text)
    if not length:
        raise ValueError("must be longer than 0s")
    return length


def share(text: str) -> float:
    """Return the share of successful requests, from 0 to 1: `all`, `errors` (none), `1%`, `0.1%`.

    Raises ValueError.
    """
    word = text.casefold()
    if word in {"all", "errors"}:
        return float(word == "all")
    part = float(text[:-1]) / 100 if re.fullmatch(SHARE, text) else 0.0
    if not 0.0 < part <= 1.0:
        raise ValueError(
            f"{text[:40]!r} is not a share: write all, errors, or a percentage such as 1% or 0.1%"
        )
    return part
