"""A process whose clock differs, by libfaketime."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.required import missing

_PLACES = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib*/faketime/libfaketime.so.1")


def _library() -> Path:
    found = [path for place in _PLACES for path in Path("/").glob(place)]
    if not found:
        missing("no libfaketime: make faketime")
    return found[0]


def ahead(seconds: float) -> Mapping[str, str]:
    """Return the variables with which a process's date is ahead; what measures durations stays right."""
    return {"LD_PRELOAD": str(_library()), "FAKETIME": f"{seconds:+g}s", "DONT_FAKE_MONOTONIC": "1"}
