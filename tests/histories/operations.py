"""The operations of a history: requests, and what goes wrong around them, in a seeded order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from time import time

from tests.histories.driver import PAUSE, Fleet
from tests.histories.history import Cut
from tests.histories.pods import KEYS, Pod

OVERLAP = 0.3
"""Seconds for which an operation waits for an event that may not happen while a response is held back."""
SHORT, LONG = 0.3, 4.0
"""Seconds for which Redis stops: some operations time out, or every link is given up as silent."""


WEIGHTS: Mapping[str, int] = {
    "request": 24,
    "burst": 10,
    "slow": 8,
    "release": 6,
    "revoke": 10,
    "report": 12,
    "late": 4,
    "overlap": 5,
    "gap": 3,
    "twins": 2,
    "forge": 4,
    "refuse": 3,
    "fail": 3,
    "hold": 3,
    "expire": 3,
    "select": 3,
    "cut": 3,
    "replace": 1,
    "pause": 1,
    "restart": 1,
    "flush": 1,
}
"""The operations, and how often each comes."""


def plan(seed: int, count: int) -> Sequence[str]:
    """Return so many operations, always the same for a seed."""
    return Random(seed).choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)


class Operations:
    """Perform operations on a fleet. Each fault ends by itself a few operations later."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._random = fleet.random
        self._gates: list[asyncio.Event] = []
        self._ends: dict[Callable[[], None], int] = {}
        """What ends a fault, and after how many operations."""
        self._apart: set[Pod] = set()
        """Pods without a link to Redis."""

    async def perform(self, kind: str) -> None:
        """Perform one operation of `WEIGHTS`."""
        do: Callable[[], Awaitable[None]] = getattr(self, kind)
        await do()
        for end, left in tuple(self._ends.items()):
            self._ends[end] = left - 1
            if left <= 1:
                del self._ends[end]
                end()

    # Requests

    async def request(self) -> None:
        """One request."""
        await self._settle(self.fleet.ask(self._pod(), self._key()))

    async def burst(self) -> None:
        """Requests of all pods at once."""
        key = self._key()
        await self._settle(*(self.fleet.ask(pod, key) for pod in self.fleet.pods for _ in range(3)))

    async def slow(self) -> None:
        """A request whose response the upstream holds back."""
        gate = asyncio.Event()
        self._gates.append(gate)
        self.fleet.ask(self._pod(), self._key(), held=gate)

    async def release(self) -> None:
        """The oldest such response is sent."""
        if self._gates:
            self._gates.pop(0).set()

    # Tokens

    async def revoke(self) -> None:
        """The upstream refuses every token of a key so far."""
        self.fleet.upstream.revoke(self._key())

    async def refuse(self) -> None:
        """The upstream refuses new tokens too, and every pod sends requests."""
        key = self._key()
        self.fleet.upstream.refusing.add(key)
        await self._settle(self.fleet.ask(self._pod(), key))
        await self.report()
        await self._settle(*(self.fleet.ask(pod, key) for pod in self.fleet.pods))
        self._until(lambda: self.fleet.upstream.refusing.discard(key), 4)

    async def fail(self) -> None:
        """The token server fails, and a pod needs a token."""
        self.fleet.tokens.failing = True
        self._until(self._recover_tokens, 2)
        key = self._key()
        self.fleet.upstream.revoke(key)
        await self._settle(self.fleet.ask(self._pod(), key))
        await self.report()

    async def hold(self) -> None:
        """The token server holds its responses back."""
        self.fleet.tokens.open.clear()
        self._until(self.fleet.tokens.open.set, 3)

    async def expire(self) -> None:
        """Redis evicts a stored token."""
        await self.evict(self._key())

    async def late(self) -> None:
        """A late refusal of a token that another pod has bust already."""
        key = self._key()
        one, other = self._two()
        gate = asyncio.Event()
        late = self.fleet.ask(one, key, held=gate)
        await self._soon(lambda: self.fleet.upstream.waiting > 0)
        self.fleet.upstream.revoke(key)
        await self._settle(self.fleet.ask(other, key))
        gate.set()
        await self._settle(late)

    async def overlap(self) -> None:
        """A late refusal of the token before the last busts a key, while or after its next token is fetched."""
        fleet, key = self.fleet, self._key()
        one, other = self._two()
        fleet.tokens.open.set()
        await asyncio.wait((fleet.ask(one, key), fleet.ask(other, key)))
        gate = asyncio.Event()
        late = fleet.ask(one, key, held=gate)
        await self._soon(lambda: fleet.upstream.waiting > 0)
        fleet.upstream.revoke(key)
        await asyncio.wait((fleet.ask(other, key),))
        fleet.upstream.revoke(key)
        if self._random.random() < 0.7:
            fleet.tokens.open.clear()
        fetches = fleet.tokens.fetches
        again = fleet.ask(other, key)
        await self._soon(lambda: fleet.tokens.fetches > fetches)
        busts = fleet.busts
        gate.set()
        await self._soon(lambda: fleet.busts > busts)
        fleet.tokens.open.set()
        await asyncio.wait((late, again))
        await asyncio.wait((fleet.ask(other, key),))
        await self.report()

    async def gap(self) -> None:
        """A pod misses a bust, and gets a request again once it is connected."""
        key = self._key()
        one, other = self._two()
        await self._settle(self.fleet.ask(one, key))
        self.fleet.cut(one)
        self.fleet.upstream.revoke(key)
        await self._settle(self.fleet.ask(other, key))
        self._mend(one)
        await self.report()
        await self._settle(self.fleet.ask(one, key))

    async def twins(self) -> None:
        """Two pods hold different tokens, because Redis evicted the first one, and both are revoked."""
        key = self._key()
        one, other = self._two()
        await self._settle(self.fleet.ask(one, key))
        await self.evict(key)
        new = await self._replace(other)
        await self._settle(self.fleet.ask(new, key))
        self.fleet.upstream.revoke(key)
        await self._settle(self.fleet.ask(one, key))

    # Busts

    async def select(self) -> None:
        """An operator busts by label; then every pod sends a request."""
        key = self._key()
        with suppress(OSError):
            await self.fleet.select(self._pod(), key)
        await self.report()
        await self._settle(*(self.fleet.ask(pod, key) for pod in self.fleet.pods))

    async def forge(self) -> None:
        """A client without the key of the fleet publishes a bust of the newest token."""
        key = self._key()
        if issued := self.fleet.tokens.issued.get(key):
            await self.fleet.forge(key, issued[-1], signed=self._random.random() < 0.5)

    async def report(self) -> None:
        """Wait until the pods have received all messages."""
        await asyncio.gather(*(self.fleet.report(pod) for pod in self.fleet.pods if pod not in self._apart))

    # Redis and pods

    async def cut(self) -> None:
        """A pod loses its link, noticed at once or not, and continues."""
        pod = self._pod()
        if pod not in self._apart:
            self._apart.add(pod)
            (self.fleet.hush if self._random.random() < 0.3 else self.fleet.cut)(pod)
            self._until(lambda: self._mend(pod), self._random.randint(2, 6))

    async def pause(self) -> None:
        """Redis stops, and continues."""
        self._miss()
        self.fleet.redis.pause()
        await self._meanwhile(self._random.choices((SHORT, LONG), (3, 1))[0])
        self.fleet.redis.resume()

    async def restart(self) -> None:
        """Redis is killed, and starts again with its data."""
        for pod in self.fleet.pods:
            self.fleet.cut(pod)
        await self.fleet.seen()
        self.fleet.redis.kill()
        await self._meanwhile(SHORT)
        self.fleet.redis.start()
        await self.fleet.attach()
        for pod in self.fleet.pods:
            pod.link.mend()
        self._apart.clear()

    async def flush(self) -> None:
        """Redis loses its data."""
        self._miss()
        await self.fleet.client.flushall()

    async def replace(self) -> None:
        """A pod ends, and another one starts."""
        await self._replace(self._pod())

    # Internals

    def _pod(self) -> Pod:
        return self._random.choice(self.fleet.pods)

    def _two(self) -> list[Pod]:
        return self._random.sample(self.fleet.pods, 2)

    def _key(self) -> str:
        return self._random.choices(KEYS, (3, 1))[0]

    async def evict(self, key: str) -> None:
        """Redis evicts the stored token of this key."""
        for whole in self.fleet.monitor.keys.get(key, ()):
            await self.fleet.client.delete(whole)

    async def _replace(self, pod: Pod) -> Pod:
        self._apart.discard(pod)
        await self.fleet.leave(pod, hard=self._random.random() < 0.5)
        return await self.fleet.join()

    def _until(self, end: Callable[[], None], operations: int) -> None:
        self._ends[end] = operations

    def _recover_tokens(self) -> None:
        self.fleet.tokens.failing = False

    def _mend(self, pod: Pod) -> None:
        self._apart.discard(pod)
        pod.link.mend()

    def _miss(self) -> None:
        for pod in self.fleet.pods:
            self.fleet.record(Cut(time(), pod.number))

    async def _settle(self, *tasks: asyncio.Task[int]) -> None:
        """Wait for the responses; only briefly while the driver holds one back."""
        held = not self.fleet.tokens.open.is_set() or bool(self._gates)
        await asyncio.wait(tasks, timeout=OVERLAP if held else None)

    async def _soon(self, condition: Callable[[], bool]) -> None:
        """Wait briefly for an event that may not happen."""
        with suppress(TimeoutError):
            async with asyncio.timeout(OVERLAP):
                while not condition():
                    await asyncio.sleep(PAUSE)

    async def _meanwhile(self, seconds: float) -> None:
        """Send requests until the time is over."""
        pause = asyncio.create_task(asyncio.sleep(seconds))
        while not pause.done():
            await self._settle(self.fleet.ask(self._pod(), self._key()))
            await asyncio.wait((pause,), timeout=0.05)
