"""Conversion of moments, which measure durations, to dates for the outside."""

from sidecar.core.ports import Clock

STEP = 0.1
"""Seconds by which the two clocks must have diverged to be a step, and not the time between two readings."""


class Dates:
    """Convert moments to dates by the current wall clock. A moment's date changes only when that clock is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.wall() - clock.now()

    def ahead(self) -> float:
        """Return the seconds to add to a moment to get its date."""
        ahead = self._clock.wall() - self._clock.now()
        if abs(ahead - self._ahead) > STEP:
            self._ahead = ahead
        return self._ahead

    def of(self, moment: float) -> float:
        """Return the moment's date, in epoch seconds."""
        return moment + self.ahead()
