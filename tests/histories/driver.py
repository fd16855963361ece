"""The driver: a seeded sequence of operations on a real fleet, which writes its history."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from time import time

from redis.asyncio import Redis

from sidecar.cache.refused_tokens import Bust
from sidecar.fleet.messages import encode
from sidecar.fleet.seal import AesSeal
from sidecar.system.clock import SystemRandomness
from tests.histories.history import (
    Answered,
    Asked,
    Busted,
    Cut,
    Dropped,
    Event,
    Forged,
    History,
    Joined,
    Left,
    Reported,
    Selected,
    Waited,
)
from tests.histories.monitor import Monitor, attach
from tests.histories.pods import KEYS, PREFIX, Pod
from tests.histories.servers import TokenServer, TruthfulUpstream
from tests.support.fleet_of_members import KEY, Cable
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE

PODS = 3
BUST_CHANNEL, FILL_CHANNEL = f"{PREFIX}m2m:bust", f"{PREFIX}m2m:fill"
PAUSE = 0.005
"""Seconds between two readings of a pod."""
LOOKS = 50
"""Readings of a pod before the next mark."""


class Fleet:
    """Pods around one Redis, one token server and one upstream; it records what all of them do."""

    def __init__(self, folder: Path, random: Random, packages: Sequence[Path]) -> None:
        """Take `packages`, the folders of the pods' packages, in turn."""
        self.random = random
        self._folder = folder
        self._packages = packages
        self._events: list[Event] = []
        self._commands: list[Event] = []
        self.pods: list[Pod] = []
        self._ended: list[Pod] = []
        self._numbers = 0
        self._requests = 0
        self.seal = AesSeal([("k1", KEY)], SystemRandomness())
        self.tokens = TokenServer(self._events.append, self.seal.fingerprint_key)
        self.upstream = TruthfulUpstream(self._events.append, self.tokens.issued)
        self.redis = RedisServer(folder, {"appendonly": "yes", "appendfsync": "always"})
        self.client = Redis(port=self.redis.port)
        self.monitor = Monitor(self._pod_of, self.tokens.name)
        self._writer: asyncio.StreamWriter | None = None
        self._marks = 0
        self._seen = 0
        """Number of the last mark that the monitor has reported."""
        self.under_way: set[asyncio.Task[int]] = set()

    def record(self, event: Event) -> None:
        """Add an event to the history."""
        self._events.append(event)

    def _pod_of(self, port: int) -> int:
        return next((pod.number for pod in (*self.pods, *self._ended) if port in pod.link.ports), 0)

    # Redis

    async def attach(self) -> None:
        """Read what Redis executes, from now on."""
        if self._writer is not None:
            self._writer.close()
        reader, self._writer = await attach(self.redis.port)
        self._watching = asyncio.create_task(self._watch(reader))

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if b'"mark-' in line:
                self._seen = int(line.rpartition(b'"mark-')[2].split(b'"')[0])
            else:
                self._commands.extend(self.monitor.read(line))

    async def mark(self) -> None:
        """Publish a message without effect, which every pod rejects and counts."""
        self._marks += 1
        await self.client.publish(FILL_CHANNEL, f"mark-{self._marks}")

    async def forge(self, key: str, token: str, *, signed: bool) -> None:
        """Publish a bust that no pod signed: without a signature, or with that of another message."""
        whole = next(iter(self.monitor.keys.get(key, ())), "").removeprefix(PREFIX)
        bust = Bust(whole, self.tokens.fingerprint(token), int(time() * 1000))
        sign = (lambda message: self.seal.sign(message + b" ")) if signed else (lambda _: b"")
        self.record(Forged(time(), key, token))
        message = encode(bust, channel=BUST_CHANNEL, sender="forger", at=int(time() * 1000), sign=sign)
        await self.client.publish(BUST_CHANNEL, message)

    @property
    def busts(self) -> int:
        """Return the number of busts that Redis has published."""
        return sum(isinstance(event, Busted) for event in self._commands)

    # Pods

    async def join(self) -> Pod:
        """Start a pod."""
        self._numbers = number = self._numbers + 1
        link = Cable(self.redis.port)
        await link.__aenter__()
        pod = Pod(number, self._folder, link, self._packages[number % len(self._packages)])
        self.pods.append(pod)
        await pod.start(self.tokens, self.upstream)
        self.record(Joined(time(), pod.number))
        return pod

    async def leave(self, pod: Pod, *, hard: bool) -> None:
        """End a pod."""
        self.pods.remove(pod)
        self._ended.append(pod)
        await pod.stop(hard=hard)
        self.record(Left(time(), pod.number))
        await pod.link.__aexit__()

    def cut(self, pod: Pod) -> None:
        """End the pod's connections to Redis."""
        self.record(Cut(time(), pod.number))
        pod.link.cut()

    def hush(self, pod: Pod) -> None:
        """Let the pod's connections to Redis fall silent."""
        self.record(Cut(time(), pod.number))
        pod.link.hush()

    async def report(self, pod: Pod) -> bool:
        """Wait until the pod has received all that was published by now. Twice, so that it has also sent its own."""
        since, failures = time(), 0
        try:
            async with asyncio.timeout(PATIENCE):
                for _ in range(2):
                    before = await self._connected(pod)
                    while (await self._connected(pod))[0] <= before[0]:
                        await self.mark()  # again: the pod may not have noticed yet that it lost its link
                        await self._counted(pod, before[0])
                _, failures = await self._connected(pod)
        except TimeoutError:
            self.record(Waited(time(), f"pod {pod.number} to receive messages"))
            return False
        self.record(Reported(time(), pod.number, since, failures))
        return True

    async def _counted(self, pod: Pod, before: int) -> None:
        """Wait for a while until the pod has counted another mark."""
        for _ in range(LOOKS):
            if (await pod.reading())[1] > before:
                return
            await asyncio.sleep(PAUSE)

    async def _connected(self, pod: Pod) -> tuple[int, int]:
        """Wait until store and bus are up; return the number of rejected marks, and of failed operations."""
        while not (reading := await pod.reading())[0]:
            await asyncio.sleep(PAUSE)
        return reading[1:]

    async def select(self, pod: Pod, key: str) -> None:
        """Bust by label at this pod."""
        begun = time()
        if await pod.select(key) == 200:
            self.record(Selected(time(), key, begun))

    # Clients

    def ask(self, pod: Pod, key: str, *, held: asyncio.Event | None = None) -> asyncio.Task[int]:
        """Begin a request. `held` keeps the upstream's response back until it is set."""
        self._requests += 1
        if held is not None:
            self.upstream.held[self._requests] = held
        task = asyncio.create_task(self._ask(pod, key, self._requests))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def _ask(self, pod: Pod, key: str, number: int) -> int:
        self.record(Asked(time(), number, pod.number, key))
        status = -1
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                status = await pod.ask(key, number)
        if status == 0 and pod in self.pods:
            status = -1  # the pod neither responded nor ended
        self.record(Answered(time(), number, status))
        return status

    # The end

    async def recover(self) -> None:
        """End every fault, and wait until each pod gets accepted responses again."""
        self.tokens.failing = False
        self.tokens.open.set()
        self.upstream.refusing.clear()
        for gate in self.upstream.held.values():
            gate.set()
        for pod in self.pods:
            pod.link.mend()
        await asyncio.gather(*self.under_way)
        reported = await asyncio.gather(*(self.report(pod) for pod in self.pods))
        if all(reported):
            await asyncio.gather(*(self._serves(pod, key) for pod in self.pods for key in KEYS))
            await asyncio.gather(*(self.report(pod) for pod in self.pods))

    async def _serves(self, pod: Pod, key: str) -> None:
        """Wait until requests of the key are accepted: a cool-down lasts a minute at most."""
        try:
            async with asyncio.timeout(2 * PATIENCE):
                while await self.ask(pod, key) != 200:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            self.record(Waited(time(), f"pod {pod.number} to serve {key}"))

    def history(self) -> History:
        """Return the history so far. Pods whose log counts have ended."""
        logged = [event for pod in (*self.pods, *self._ended) for event in pod.events()]
        named = [
            Dropped(event.at, event.pod, self.tokens.name(event.token))
            if isinstance(event, Dropped)
            else event
            for event in logged
        ]
        return sorted([*self._commands, *self._events, *named], key=lambda event: event.at)

    @property
    def bugs(self) -> list[str]:
        """Faults of the program that pods logged."""
        return [bug for pod in (*self.pods, *self._ended) for bug in pod.bugs]

    async def seen(self) -> None:
        """Wait until the monitor has reported everything so far."""
        await self.mark()
        async with asyncio.timeout(PATIENCE):
            while self._seen < self._marks:
                await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        """End everything."""
        for pod in tuple(self.pods):
            await self.leave(pod, hard=True)
        for task in tuple(self.under_way):
            task.cancel()
        if self._writer is not None:
            self._writer.close()
        self._watching.cancel()
        (ended,) = await asyncio.gather(self._watching, return_exceptions=True)
        await self.client.aclose()
        if isinstance(ended, Exception):
            raise ended


@asynccontextmanager
async def fleet(folder: Path, random: Random, packages: Sequence[Path]) -> AsyncIterator[Fleet]:
    """A fleet of three pods that has started."""
    made = Fleet(folder, random, packages)
    with made.redis:
        async with made.tokens, made.upstream:
            await made.attach()
            try:
                await asyncio.gather(*(made.join() for _ in range(PODS)))
                await asyncio.gather(*(made.report(pod) for pod in made.pods))
                yield made
            finally:
                await made.close()
