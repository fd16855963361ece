"""State of each neighbour that the sidecar depends on, since when and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

HealthState = Literal["up", "down", "unknown"]


@dataclass(frozen=True, slots=True)
class Health:
    """State of a neighbour. `since` is a moment."""

    state: HealthState
    """`up`, `down`, or `unknown` until the first request."""
    since: float
    """When that state began."""
    why: str = ""
    """Last failure, even if the neighbour is up again; empty if there was none."""
    last_failure: float | None = None
    """When that was; null if there was none. While the neighbour is down: the last attempt."""


class Pulse:
    """Turn the results of single requests into a Health: the last one counts, the first of its kind dates it.

    The last is the one noted last, however close the moments are, because each result is noted when it happens.
    """

    __slots__ = ("health",)

    def __init__(self, now: float) -> None:
        self.health = Health("unknown", now)

    def beat(self, now: float) -> None:
        """Note an answer."""
        if self.health.state != "up":
            self.health = Health("up", now, self.health.why, self.health.last_failure)

    def miss(self, now: float, why: str) -> None:
        """Note a failure."""
        since = self.health.since if self.health.state == "down" else now
        self.health = Health("down", since, why, now)


def together(parts: Sequence[Health]) -> Health:
    """Return the health of a whole with parts: down while one of them is, since the first of those failed."""
    down = [part for part in parts if part.state == "down"]
    if down:
        tried = max((part.last_failure for part in down if part.last_failure is not None), default=None)
        return replace(down[0], since=min(part.since for part in down), last_failure=tried)
    known = [part for part in parts if part.state == "up"] or parts
    return max(known, key=lambda part: part.since)
