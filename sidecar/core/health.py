"""How those we depend on are, since when and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

HealthState = Literal["up", "down", "unknown"]


@dataclass(frozen=True, slots=True)
class Health:
    """How one of them is; `unknown` until it was asked for the first time."""

    state: HealthState
    since: float
    """A moment."""
    why: str = ""
    """What was wrong last, even if it is up again; "" if nothing ever was."""


class Pulse:
    """Turns what becomes of single questions into a Health: the last one counts, the first of its kind dates it.

    The last is the one noted last, however close the moments are: what becomes of a question is noted when it happens.
    """

    __slots__ = ("health",)

    def __init__(self, now: float) -> None:
        self.health = Health("unknown", now)

    def beat(self, now: float) -> None:
        """Note an answer."""
        if self.health.state != "up":
            self.health = Health("up", now, self.health.why)

    def miss(self, now: float, why: str) -> None:
        """Note that there was none."""
        since = self.health.since if self.health.state == "down" else now
        self.health = Health("down", since, why)


def together(parts: Sequence[Health]) -> Health:
    """Return how something is that has parts: down while one of them is, since the first of those failed."""
    down = [part for part in parts if part.state == "down"]
    if down:
        return replace(down[0], since=min(part.since for part in down))
    known = [part for part in parts if part.state == "up"] or parts
    return max(known, key=lambda part: part.since)
