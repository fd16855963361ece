"""Messages that were rejected: each is counted, and the log has at most one line a minute about them.

Anyone who can publish in Redis can cause them, so what one costs is kept small.
"""

from collections import Counter

from sidecar.core.ports import Clock
from sidecar.core.rate_limit import Digest
from sidecar.telemetry.fleet_events import BustRejected
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import Rejection


class Rejections:
    """Emits an event for the first message at once, and for all that follow one a minute."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._digest: Digest[tuple[str, Rejection]] = Digest(clock, self._emit)
        self.counts: Counter[Rejection] = Counter()
        """How many, by reason."""
        self.total = 0
        """How many in all."""

    def add(self, channel: str, reason: Rejection) -> None:
        """Count a message that came on this channel."""
        self.counts[reason] += 1
        self.total += 1
        self._digest.add((channel, reason))

    def tell(self) -> None:
        """Emit an event for what was counted since the last one, if anything: how many, and what most of them were."""
        self._digest.report()

    async def run(self) -> None:
        """Emit each event when it is due, whether another message comes or not. Never return."""
        await self._digest.run()

    def _emit(self, kind: tuple[str, Rejection], count: int) -> None:
        channel, reason = kind
        self._journal.tell(BustRejected(channel, reason, count))
