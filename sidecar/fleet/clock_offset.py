"""Offset of another machine's clock from ours, with its uncertainty."""

from dataclasses import dataclass

DRIFT = 1e-4
"""Seconds per second by which two clocks may diverge."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Their clock minus ours, in seconds, as measured at `at` of ours and right to within `uncertainty`."""

    seconds: float
    uncertainty: float
    at: float

    def earliest_there(self, ours: float) -> float:
        """Return our moment on their clock, the earliest it can have been."""
        return ours + self.seconds - self.uncertainty

    def latest_there(self, ours: float) -> float:
        """Return our moment on their clock, the latest it can have been."""
        return ours + self.seconds + self.uncertainty

    def earliest_here(self, theirs: float) -> float:
        """Return their moment on our clock, the earliest it can have been."""
        return theirs - self.seconds - self.uncertainty

    def latest_here(self, theirs: float) -> float:
        """Return their moment on our clock, the latest it can have been."""
        return theirs - self.seconds + self.uncertainty


def measure(sent: float, received: float, theirs: float) -> ClockOffset:
    """Measure by one request: their clock showed `theirs` at some moment between `sent` and `received`."""
    half = (received - sent) / 2
    return ClockOffset(theirs - sent - half, half, received)


def better(known: ClockOffset | None, measured: ClockOffset) -> ClockOffset:
    """Return the better offset: the more certain one, or the new one once the known one cannot be right any longer."""
    if known is None:
        return measured
    uncertainty = known.uncertainty + DRIFT * (measured.at - known.at)
    apart = abs(measured.seconds - known.seconds) > uncertainty + measured.uncertainty
    if apart or measured.uncertainty <= uncertainty:
        return measured
    return ClockOffset(known.seconds, uncertainty, measured.at)
