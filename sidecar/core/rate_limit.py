"""A rate limit: a number at once, then a number a second (a token bucket).

And a limit on reports of what any client can cause: the first at once, then at most one a minute.
"""

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from sidecar.core.ports import Clock

EVERY = 60.0
"""Seconds between two reports."""
LEAST = 1.0
"""Least number of seconds to wait before the next check."""

Kind = TypeVar("Kind")


class RateLimit:
    """One bucket."""

    def __init__(self, *, burst: float, rate: float) -> None:
        """Take `burst`, the number available at once, and `rate`, the number added a second."""
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Take one if available; return whether it was."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Return one that was not used."""
        self._left = min(self._burst, self._left + 1)


class Digest(Generic[Kind]):
    """Count what any client can cause, and report it at most once in EVERY seconds: the most frequent kind, and the
    number.

    The caller bounds the kinds.
    """

    def __init__(self, clock: Clock, report: Callable[[Kind, int], None]) -> None:
        """`report` takes the most frequent kind, and the number of all kinds since the last report."""
        self._clock = clock
        self._report = report
        self._due = float("-inf")
        self.unreported: Counter[Kind] = Counter()
        """Counts since the last report, by kind."""

    def add(self, kind: Kind) -> None:
        """Count one, and report it if a report is due."""
        self.unreported[kind] += 1
        if self._clock.now() >= self._due:
            self.report()

    def report(self) -> None:
        """Report what was counted since the last report, if anything."""
        if not self.unreported:
            return
        [(kind, _)] = self.unreported.most_common(1)
        count = self.unreported.total()
        self.unreported.clear()
        self._due = self._clock.now() + EVERY
        self._report(kind, count)

    async def run(self) -> None:
        """Report when it is due, whether more is counted or not. Never return."""
        while True:
            left = self._due - self._clock.now()
            await self._clock.sleep(max(left, LEAST) if self.unreported else EVERY)
            if self._clock.now() >= self._due:
                self.report()
