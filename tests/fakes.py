"""Fakes for the ports; the contract tests hold them to what the real adapters do."""

import asyncio
import heapq
from itertools import count

from sidecar.core.events import Event, RequestRecord
from sidecar.core.token import Token, TokenRequest


class FakeClock:
    """A clock that moves only when told to; sleepers wake in the order of their alarms."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._order = count()
        self._alarms: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

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


class FixedRandomness:
    """Counts instead of drawing: bytes differ each time, jitter is always the low end."""

    def __init__(self) -> None:
        self._count = count(1)

    def token_bytes(self, count: int) -> bytes:
        return next(self._count).to_bytes(count, "big")

    def uniform(self, low: float, high: float) -> float:
        return low


class RecordingJournal:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.records: list[RequestRecord] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def request_finished(self, record: RequestRecord) -> None:
        self.records.append(record)

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


class FakeStore:
    """A shared second level in a dict; `reachable` is the switch that takes it down."""

    def __init__(self) -> None:
        self.reachable = True
        self.tokens: dict[str, Token] = {}
        self.generations: dict[str, int] = {}
        self.gets = 0
        self.busts: list[str] = []
        """Fingerprints told to the fleet."""

    async def get(self, request: TokenRequest) -> tuple[Token | None, int]:
        self.gets += 1
        if not self.reachable:
            return None, 0
        return self.tokens.get(request.key), self.generations.get(request.key, 0)

    async def fill(self, request: TokenRequest, token: Token, generation: int) -> bool:
        if not self.reachable:
            return True
        if self.generations.get(request.key, 0) != generation:
            return False
        self.tokens[request.key] = token
        return True

    async def bust(self, request: TokenRequest, refused: Token) -> None:
        self.busts.append(refused.fingerprint)
        held = self.tokens.get(request.key)
        if not self.reachable or (held is not None and held.secret != refused.secret):
            return
        self.tokens.pop(request.key, None)
        self.generations[request.key] = self.generations.get(request.key, 0) + 1
