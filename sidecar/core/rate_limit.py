"""How much of something there is to have: so much at once, then so much a second (a token bucket)."""


class RateLimit:
    """One bucket."""

    def __init__(self, *, burst: float, rate: float) -> None:
        """`burst` can be had at once; `rate` a second comes back."""
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Return one that was taken in vain."""
        self._left = min(self._burst, self._left + 1)
