"""Messages that were rejected: each is counted, and the log has at most one line a minute about them.

Every client that can publish in Redis can cause them, so the cost of each is small.
"""

from collections import Counter

from sidecar.core.ports import Clock
from sidecar.core.rate_limit import Digest
from sidecar.telemetry.fleet_events import BustRejected
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import Rejection


class Rejections:
    """Emit an event for the first message at once, and for all later ones one a minute."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._digest: Digest[tuple[str, Rejection]] = Digest(clock, self._emit)
        self.counts: Counter[Rejection] = Counter()
        """Number by reason."""
        self.total = 0
        """Total number."""

    def add(self, channel: str, reason: Rejection) -> None:
        """Count a message that arrived on this channel."""
        self.counts[reason] += 1
        self.total += 1
        self._digest.add((channel, reason))

    def tell(self) -> None:
        """Emit an event for the messages since the last one, if any: their number, and the most frequent reason."""
        self._digest.report()

    async def run(self) -> None:
        """Emit each event when it is due, whether another message arrives or not. Never return."""
        await self._digest.run()

    def _emit(self, kind: tuple[str, Rejection], count: int) -> None:
        channel, reason = kind
        self._journal.tell(BustRejected(channel, reason, count))
