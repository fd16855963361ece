"""Randomness that is the same in every run."""

from itertools import count


class FixedRandomness:
    """Counts instead of drawing: bytes differ each time, jitter is always the low end."""

    def __init__(self) -> None:
        self._count = count(1)

    def token_bytes(self, count: int) -> bytes:
        return next(self._count).to_bytes(count, "big")

    def uniform(self, low: float, high: float) -> float:
        return low
