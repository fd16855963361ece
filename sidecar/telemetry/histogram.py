"""How many values fell where."""

from bisect import bisect_left

from sidecar.telemetry.instruments import SECONDS, Distribution


class Histogram:
    """Counts durations by the buckets of `SECONDS`."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one. Hot path: ≤ 0.3 µs."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._total += seconds

    @property
    def used(self) -> bool:
        """Whether anything was counted."""
        return any(self._counts)

    def read(self) -> Distribution:
        """Return it as it is now."""
        return Distribution(tuple(self._counts), self._total)
