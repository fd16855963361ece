"""Questions to the fleet's Redis: each answered within its time, or not at all; left alone while it is down."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from sidecar.adapters.redis.connect import Client, disconnect
from sidecar.adapters.redis.denial import denial
from sidecar.adapters.redis.scripts import PROBE, Script
from sidecar.core.breaker import LIMIT as FAILURES
from sidecar.core.breaker import PROBE_EVERY, Breaker
from sidecar.core.events import Failed, StoreDenied
from sidecar.core.health import Pulse
from sidecar.core.offset import Offset, better, measure
from sidecar.core.outage import Outage
from sidecar.core.ports import Clock, Journal, Randomness

LIMIT = 0.1
"""Seconds a request may lose to Redis, connecting included."""
STEPS = 20
"""In how many parts the limit is waited for. Only time in which Redis could be heard is its silence: however long one
turn of the event loop takes, on a busy machine or behind a busy loop, it counts as no more than one part."""
LAST_TURNS = 5
"""Of the loop, after the last part: what arrived in it is read before anybody is judged."""
OPENING = 1.0
"""Seconds a starting pod takes to connect before it asks for what it will need."""
CLIENT_TIMEOUT = 1.0
"""For redis-py itself, in seconds; longer, so that it is we who give up."""
MAX_QUESTIONS = 16
"""At a time, and as many connections; the others wait within their own limit."""

Reply = Sequence[Any]
"""What a script returned: bytes, integers, lists of them."""
T = TypeVar("T")


class Link:
    """One client with its breaker. Nothing here raises; None says that there is no answer.

    A Cluster has one breaker for all its nodes: while one of them is dead, a pod that wants several of its keys in
    a row leaves the others alone too, until a probe is answered a second later.
    """

    def __init__(
        self, client: Client, *, key_prefix: str, clock: Clock, randomness: Randomness, journal: Journal
    ) -> None:
        self._client = client
        self._probe_key = f"{key_prefix}m2m:probe"
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._breaker = Breaker()
        self.outage = Outage(clock, journal)
        """Where the bus, too, says how it is."""
        self._places = asyncio.Semaphore(MAX_QUESTIONS)
        self._probing: asyncio.Task[None] | None = None
        self._offset: Offset | None = None
        self.pulse = Pulse(clock.now())
        self._denied: set[str] = set()
        """Operations whose denial has been reported."""
        self.operations: Counter[tuple[str, str]] = Counter()
        """How many questions were asked, by name and outcome."""

    @property
    def up(self) -> bool:
        """Whether questions are asked at all now."""
        return not self._breaker.open

    @property
    def offset(self) -> Offset:
        """How far the server's clock is from ours, as far as the answers so far tell."""
        return self._offset or Offset(0.0, 0.0, self._clock.now())

    async def open(self) -> None:
        """Connect before anybody asks. A Cluster's nodes are many answers away; without them a whole fleet that
        starts would find no store, and each pod fetch for itself.
        """
        opening = asyncio.create_task(self._ask_in_turn(self._write_something))
        opening.add_done_callback(_look_at)
        await asyncio.wait({opening}, timeout=OPENING)
        opening.cancel()

    async def run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | float) -> Reply | None:
        """Run a script, whether the server knows it already or not; return what follows its TIME in the reply."""

        async def run(client: Client) -> tuple[float, Reply]:
            match await _run(client, script, keys, arguments):
                case [bytes(seconds), bytes(microseconds), *reply]:
                    return int(seconds) + int(microseconds) / 1e6, reply
                case _:
                    raise ResponseError("no reply of this script's")

        sent = self._clock.now()
        answer = await self.ask(script.name, run)
        if answer is None:
            return None
        theirs, reply = answer
        self._offset = better(self._offset, measure(sent, self._clock.now(), theirs))
        return reply

    async def ask(self, operation: str, question: Callable[[Client], Awaitable[T]]) -> T | None:
        """Ask, unless Redis is to be left alone, and count what came of it."""
        if self._breaker.open:
            self.operations[operation, "skipped"] += 1
            return None
        try:
            answer = await self._within_limit(question)
        except Exception as error:  # noqa: BLE001  whatever redis-py raises, a request goes on without Redis
            self._failed(operation, error)
            return None
        self._breaker.succeeded()
        self._denied.discard(operation)
        self.pulse.beat(self._clock.now())
        self.operations[operation, "ok"] += 1
        return answer

    async def check(self) -> None:
        """Ask until there is an answer or the breaker opens: where nobody else asks, nobody else would find out."""
        for _ in range(FAILURES):
            if await self.ask("probe", self._write_something):
                return

    def report_denial(self, operation: str, error: Exception) -> None:
        """Emit `store_denied` if the error is a denial, once until the operation succeeds."""
        words = denial(error)
        if words and operation not in self._denied:
            self._denied.add(operation)
            self._journal.tell(StoreDenied(operation, words))

    async def close(self) -> None:
        """End what is open."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await disconnect(self._client)

    async def _within_limit(self, question: Callable[[Client], Awaitable[T]]) -> T:
        asking = asyncio.create_task(self._ask_in_turn(question))
        asking.add_done_callback(_look_at)
        try:
            for _ in range(STEPS):
                await asyncio.wait({asking}, timeout=LIMIT / STEPS)
                if asking.done():
                    return asking.result()
            for _ in range(LAST_TURNS):
                await asyncio.sleep(0)
            if asking.done():
                return asking.result()
        finally:
            asking.cancel()
        raise TimeoutError

    async def _ask_in_turn(self, question: Callable[[Client], Awaitable[T]]) -> T:
        async with self._places:
            if isinstance(self._client, RedisCluster):
                # Learning its nodes may take longer than a question may. Given up with the question it would begin
                # anew with the next one, and never end; so it goes on, and a later question finds it done.
                await asyncio.shield(asyncio.ensure_future(self._client.initialize()))
            return await question(self._client)

    async def _write_something(self, client: Client) -> bool:
        await _run(client, PROBE, (self._probe_key,), ())
        return True

    def _failed(self, operation: str, error: Exception) -> None:
        self.operations[operation, "failed"] += 1
        self.report_denial(operation, error)
        if not isinstance(error, RedisError | RedisClusterException | OSError):
            self._journal.tell(Failed.of(f"asking Redis ({operation})", error))
        if self._breaker.failed():
            self.pulse.miss(self._clock.now(), type(error).__name__)
            self.outage.lost("store", error)
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Ask again and again, behind the requests, until there is an answer."""
        while self._breaker.open:
            await self._clock.sleep(PROBE_EVERY * self._randomness.uniform(0.75, 1.25))
            try:
                await self._within_limit(self._write_something)
            except Exception:  # noqa: BLE001  as in `ask`; that it is down has been told
                self.operations["probe", "failed"] += 1
            else:
                self.operations["probe", "ok"] += 1
                self._breaker.close()
                self.pulse.beat(self._clock.now())
        self.outage.back("store")


async def _run(
    client: Client, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | float]
) -> Reply:
    reply: Reply
    try:
        reply = await client.evalsha(script.digest, len(keys), *keys, *arguments)
    except NoScriptError:
        reply = await client.eval(script.text, len(keys), *keys, *arguments)
    return reply


def _look_at(asking: asyncio.Task[T]) -> None:
    """Retrieve the error of a question given up, so that the loop does not report it."""
    if not asking.cancelled():
        asking.exception()
