"""Operations on the fleet's Redis: each ends within its time-out, and none is sent while Redis is unavailable.

A server that is no longer the primary keeps its connections, and returns an error to every write on them. So the link
leaves such a server: it connects again, which resolves the name or queries the Sentinels again, and sends the operation
once more there. A script whose first write is denied has had no effect.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.health import Pulse
from sidecar.core.ports import Clock, Randomness
from sidecar.fleet.breaker import LIMIT as FAILURES
from sidecar.fleet.breaker import PROBE_EVERY, Breaker
from sidecar.fleet.clock_offset import ClockOffset, better, measure
from sidecar.fleet.outage import Outage
from sidecar.fleet.redis.connect import Client, disconnect, retire
from sidecar.fleet.redis.denial import denial
from sidecar.fleet.redis.library import (
    Disconnected,
    NoScriptError,
    RedisCluster,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from sidecar.fleet.redis.reasons import code, reason
from sidecar.fleet.redis.scripts import BEFORE_WRITES, PROBE, PROBE_KEY, Script
from sidecar.fleet.redis.server_errors import ELSEWHERE, Departures
from sidecar.telemetry.events import Failed
from sidecar.telemetry.fleet_events import StoreDenied
from sidecar.telemetry.ports import Journal

STEPS = 20
"""Parts in which an operation's time-out is waited for. Only time in which an answer could be read counts: however long
a turn of the event loop takes, on a busy machine or in a busy loop, it counts as one part at most."""
LAST_TURNS = 5
"""Turns of the loop after the last part: what arrived in them is read before the operation fails."""
OPENING = 1.0
"""Seconds for which a starting pod may connect before its first operation."""
CLIENT_TIMEOUT = 10
"""Time-out of redis-py itself, in operation time-outs; longer, so that ours ends first."""
MAX_QUESTIONS = 16
"""Operations at a time, and as many connections; the others wait within their own limit."""
WRITE_EVERY = 30.0
"""Seconds, times a jitter, between writes of a pod that otherwise only reads, because a replica answers reads."""

Reply = Sequence[Any]
"""What a script returned: bytes, integers, lists of them."""
Answer = tuple[float | None, Reply]
"""The server's time, None if its user may not fetch it, and the rest of a script's reply."""
T = TypeVar("T")


class Moved(Disconnected):
    """Another server is the primary now, and answers."""


class Denied(ResponseError):
    """The server ran a script and denied one of its commands."""

    def __init__(self, denial: str, answer: Answer) -> None:
        """Take `denial`, the server's text, and `answer`, the script's reply all the same."""
        super().__init__(denial)
        self.answer = answer


class GuardedClient:
    """One client with its breaker. No method raises; None stands for no answer.

    A Cluster has one breaker for all its nodes: while one of them is down, a pod that reads several of its keys in a
    row stops using the others too, until a probe succeeds a second later.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        *,
        key_prefix: str,
        operation_timeout: float,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
    ) -> None:
        """`operation_timeout` is in seconds, see RedisSettings."""
        self._connect = connect
        self._client = connect()
        self._departures = Departures()
        self._retiring: set[asyncio.Task[None]] = set()
        self._arriving = False
        self._moved = asyncio.Event()
        self.answers = True
        """Whether the last operation was answered, if only with an error."""
        self._probe_key = f"{key_prefix}{PROBE_KEY}"
        self._operation_timeout = operation_timeout
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._breaker = Breaker()
        self.outage = Outage(clock, journal)
        """The outage state, which the bus updates too."""
        self._places = asyncio.Semaphore(MAX_QUESTIONS)
        self._probing: asyncio.Task[None] | None = None
        self._offset: ClockOffset | None = None
        self.pulse = Pulse(clock.now())
        self._denied: set[str] = set()
        """Operations whose denial has been reported."""
        self.operations: Counter[tuple[str, str]] = Counter()
        """Number of operations, by name and outcome."""
        self.trouble = ""
        """Reason of the last failure."""

    @property
    def up(self) -> bool:
        """Whether operations are sent now."""
        return not self._breaker.open

    @property
    def settled(self) -> bool:
        """Whether all operations of the last seconds were answered."""
        return self._breaker.settled(self._clock.now())

    @property
    def offset(self) -> ClockOffset:
        """Offset of the server's clock from ours, by the answers so far."""
        return self._offset or ClockOffset(0.0, 0.0, self._clock.now())

    async def open(self) -> None:
        """Connect before the first operation.

        A Cluster's nodes take many answers to learn. Without them a whole fleet that starts would find no store, and
        each pod would fetch for itself.
        """
        opening = asyncio.create_task(self._ask_in_turn(self._write_something))
        opening.add_done_callback(_look_at)
        await asyncio.wait({opening}, timeout=OPENING)
        opening.cancel()

    async def run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | float) -> Reply | None:
        """Run a script, loading it if necessary; return the part of the reply after its TIME.

        A reply with a denied command counts as a failure and is returned all the same.
        """
        attempts = iter(("first", "again"))

        async def run(client: Client) -> Answer:
            answer: Answer
            attempt = (next(attempts),) if script.urgent else ()
            match await _run(client, script, keys, (*arguments, *attempt)):
                case [b"", b"", *reply]:
                    answer = None, reply
                case [bytes(seconds), bytes(microseconds), *reply]:
                    answer = int(seconds) + int(microseconds) / 1e6, reply
                case _:
                    raise ResponseError("no reply of this script's")
            if script.urgent and reply[0]:
                raise Denied(reply[0].decode(errors="replace"), answer)
            return answer

        sent = self._clock.now()
        try:
            answer = await self._counted(script.name, run, script.urgent)
        except Denied as denied:
            answer = denied.answer
        except Exception:  # noqa: BLE001  it is counted
            return None
        else:
            if not any(word in BEFORE_WRITES for word in answer[1][1:2]):
                self._denied.discard(script.name)
        theirs, reply = answer
        if theirs is not None:
            self._offset = better(self._offset, measure(sent, self._clock.now(), theirs))
        return reply

    async def publish(self, channel: str, message: bytes) -> BustFailure:
        """Publish a message that no script published, if the server answers and runs none. Return what went wrong."""
        trouble = self.trouble

        async def publish(client: Client) -> int:
            return await client.publish(channel, message)

        if not self.answers or await self.ask("publish", publish, urgent=True) is None:
            return BustFailure("publish", self.trouble)
        return BustFailure("record", trouble)

    async def ask(
        self, operation: str, question: Callable[[Client], Awaitable[T]], *, urgent: bool = False
    ) -> T | None:
        """Run the operation, unless the breaker is open, and count the result. See `Script.urgent`."""
        try:
            answer = await self._counted(operation, question, urgent)
        except Exception:  # noqa: BLE001  it is counted
            return None
        self._denied.discard(operation)
        return answer

    async def watch(self) -> None:
        """Write at intervals. Raise Moved if another server has become the primary and answers."""
        moved = self._moved
        while True:
            pause = WRITE_EVERY * self._randomness.uniform(0.75, 1.25)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await moved.wait()
                    raise Moved
            await self.ask("probe", self._write_something)

    async def check(self) -> None:
        """Send operations until one is answered or the breaker opens: without requests, no other operation would."""
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
        """Close what is open."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await disconnect(self._client)

    async def _counted(self, operation: str, question: Callable[[Client], Awaitable[T]], urgent: bool) -> T:
        """Run the operation, unless the breaker is open. Raise redis-py's errors: a request continues without Redis."""
        if self._breaker.open and not (urgent and self.answers):
            self.operations[operation, "skipped"] += 1
            raise Disconnected
        try:
            answer = await self._within_limit(question)
        except Exception as error:
            self._failed(operation, error)
            raise
        self.operations[operation, "ok"] += 1
        self._breaker.succeeded()
        self._answered()
        return answer

    async def _within_limit(self, question: Callable[[Client], Awaitable[T]]) -> T:
        asking = asyncio.create_task(self._ask_in_turn(question))
        asking.add_done_callback(_look_at)
        try:
            for _ in range(STEPS):
                await asyncio.wait({asking}, timeout=self._operation_timeout / STEPS)
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
                # Learning its nodes may take longer than an operation may. If it ended with the operation it would
                # begin again with the next one, and never end. So it goes on, and a later operation finds it done.
                await asyncio.shield(asyncio.ensure_future(self._client.initialize()))
            client = self._client
            try:
                return await question(client)
            except (RedisError, RedisClusterException) as error:
                if isinstance(error, Denied) or code(error) not in ELSEWHERE:
                    raise
            self._leave(client)
            return await question(self._client)

    def _leave(self, client: Client) -> None:
        """Make the next operation connect again, unless another one has done so, or the last time was a moment ago.

        A Cluster's client needs no help: a node that is no longer a primary redirects it.
        """
        if isinstance(client, RedisCluster) or client is not self._client:
            return
        if self._departures.may_leave(self._clock.now()):
            self._client = self._connect()
            self._arriving = True
            retiring = asyncio.get_running_loop().create_task(retire(client))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    async def _write_something(self, client: Client) -> bool:
        await _run(client, PROBE, (self._probe_key,), ())
        return True

    def _failed(self, operation: str, error: Exception) -> None:
        self.operations[operation, "failed"] += 1
        self.answers, self.trouble = isinstance(error, ResponseError), reason(error)
        self.report_denial(operation, error)
        if not isinstance(error, RedisError | RedisClusterException | OSError):
            self._journal.tell(Failed.of(f"sending to Redis ({operation})", error))
        if self._breaker.failed(self._clock.now()):
            self.pulse.miss(self._clock.now(), self.trouble)
            self.outage.lost("store", self.trouble)
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Probe repeatedly, in the background, until there is an answer."""
        while self._breaker.open:
            await self._clock.sleep(PROBE_EVERY * self._randomness.uniform(0.75, 1.25))
            try:
                await self._within_limit(self._write_something)
            except Exception as error:  # noqa: BLE001  as in `ask`; the outage has been reported
                self.operations["probe", "failed"] += 1
                self.answers, self.trouble = isinstance(error, ResponseError), reason(error)
                self.pulse.miss(self._clock.now(), self.trouble)
            else:
                self.operations["probe", "ok"] += 1
                self._breaker.close(self._clock.now())
                self._answered()
        self.outage.back("store")

    def _answered(self) -> None:
        """Note an answer. An urgent operation's answer while the breaker is open does not make the store healthy."""
        if self._breaker.open:
            return
        self.pulse.beat(self._clock.now())
        if self._arriving:
            self._arriving = False
            self._moved.set()
            self._moved = asyncio.Event()


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
    """Retrieve the error of an abandoned operation, so that the loop does not report it."""
    if not asking.cancelled():
        asking.exception()
