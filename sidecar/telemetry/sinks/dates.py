"""Moments, by which durations are measured here, as the dates that the outside reads."""

from sidecar.core.ports import Clock

STEP = 0.1
"""Seconds by which the two clocks must have come apart to be a step, and not what passes between two readings."""


class Dates:
    """Dates moments as the wall clock stands today. A moment's date changes only when that clock is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.wall() - clock.now()

    def ahead(self) -> float:
        """Return the seconds that lead from a moment to its date."""
        ahead = self._clock.wall() - self._clock.now()
        if abs(ahead - self._ahead) > STEP:
            self._ahead = ahead
        return self._ahead

    def of(self, moment: float) -> float:
        """Return the moment's date, in epoch seconds."""
        return moment + self.ahead()
