"""Messages that were rejected: each is counted, and the log has at most one line a minute about them.

Anyone who can publish in Redis can cause them, so what one costs is kept small.
"""

from collections import Counter
from collections.abc import Mapping

from sidecar.core.ports import Clock
from sidecar.telemetry.fleet_events import BustRejected
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import Rejection

EVERY = 60.0
"""Seconds between two events."""
LEAST = 1.0
"""Seconds to wait at least before the next look."""


class Rejections:
    """Emits an event for the first message at once, and for all that follow one a minute."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._due = float("-inf")
        self.total = 0
        """How many there were."""
        self._untold: Counter[tuple[str, Rejection]] = Counter()
        self._told: Counter[Rejection] = Counter()

    @property
    def counts(self) -> Mapping[Rejection, int]:
        """How many, by reason."""
        counts = self._told.copy()
        for (_, reason), count in self._untold.items():
            counts[reason] += count
        return counts

    def add(self, channel: str, reason: Rejection) -> None:
        """Count a message that came on this channel."""
        self.total += 1
        self._untold[channel, reason] += 1
        if self._clock.now() >= self._due:
            self.tell()

    def tell(self) -> None:
        """Emit an event for what was counted since the last one, if anything: how many, and what most of them were."""
        if not self._untold:
            return
        [((channel, reason), _)] = self._untold.most_common(1)
        count = self._untold.total()
        self._told = Counter(self.counts)
        self._untold.clear()
        self._due = self._clock.now() + EVERY
        self._journal.tell(BustRejected(channel, reason, count))

    async def run(self) -> None:
        """Emit each event when it is due, whether another message comes or not. Never return."""
        while True:
            left = self._due - self._clock.now()
            await self._clock.sleep(max(left, LEAST) if self._untold else EVERY)
            if self._clock.now() >= self._due:
                self.tell()
