"""A clock that the test moves."""

import asyncio
import heapq
from itertools import count


class FakeClock:
    """A clock that moves only by `advance`; sleepers wake in the order of their alarms."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._stepped = 0.0
        self._order = count()
        self._alarms: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now + self._stepped

    def step(self, seconds: float) -> None:
        """Set the wall clock forward by `seconds`, or back; no moment passes."""
        self._stepped += seconds

    async def sleep(self, seconds: float) -> None:
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._alarms, (self._now + seconds, next(self._order), alarm))
        await alarm

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, letting everything due on the way run at its own moment."""
        end = self._now + seconds
        await settle()
        while self._alarms and self._alarms[0][0] <= end:
            self._now, _, alarm = heapq.heappop(self._alarms)
            if not alarm.done():
                alarm.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle(turns: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(turns):
        await asyncio.sleep(0)
