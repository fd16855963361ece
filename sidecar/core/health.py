"""How those we depend on are, since when and why."""

from dataclasses import dataclass
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
    last_failure: float | None = None
    """The moment when that was; None if nothing ever was. While it is down: when it was last tried."""


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
            self.health = Health("up", now, self.health.why, self.health.last_failure)

    def miss(self, now: float, why: str) -> None:
        """Note that there was none."""
        since = self.health.since if self.health.state == "down" else now
        self.health = Health("down", since, why, now)
