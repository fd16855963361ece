"""Receive messages of other pods and programs, and publish what operators revoke.

A message only evicts. It is accepted only on its own channel. Messages that are missed while the link is down are
recovered: the bus counts as up again only after the revocations of that time were read, and every token in memory was
compared with the current generation of its key. To a select of another pod it answers, in Redis, how many tokens it
evicted.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from hashlib import sha256
from itertools import count

from sidecar.cache.ports import TokenStore
from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.health import Pulse
from sidecar.core.labels import Labels, describe
from sidecar.core.ports import Clock, Randomness
from sidecar.fleet.answers import Dropped, SelectOutcome, outcome
from sidecar.fleet.messages import Revocation, encode
from sidecar.fleet.ports import Evictions, Seal
from sidecar.fleet.receiver import MessageReceiver
from sidecar.fleet.redis.answers import SelectAnswers
from sidecar.fleet.redis.connect import Client, disconnect
from sidecar.fleet.redis.guarded_client import GuardedClient, Moved
from sidecar.fleet.redis.library import RedisClusterException, RedisError
from sidecar.fleet.redis.reasons import reason
from sidecar.fleet.redis.revocation_log import RevocationLog
from sidecar.fleet.redis.subscription import Subscription, heed_cancellation
from sidecar.telemetry.events import Failed
from sidecar.telemetry.fleet_events import BustFailed, SelectSent
from sidecar.telemetry.ports import Journal

_Work = Callable[[], Coroutine[object, object, None]]

FIRST_PAUSE = 0.1
MAX_PAUSE = 2.0
"""Seconds between two attempts to subscribe: doubling, jittered; there is no last attempt."""
MOST_NODES = 1000
"""First node of a Cluster to try: a random one, so that pods spread over the nodes."""
IN_A_ROW = 10
"""Messages that are handled before other tasks run."""
LULL = 0.002
"""Seconds to wait after rejected messages, so that a flood of single ones arrives in a few reads."""
MAX_WRITES = 100
"""Number of other programs' revocations being recorded at a time; further ones are left to the other pods."""
MAX_ANSWERS = 4
"""Number of selects being answered at a time, because requests share the link to Redis."""
MAX_OWED = 1000
"""Limit: answers to busts by hand of other pods that wait to be written (number). Beyond: they are not written."""


class FewTasks:
    """A limited number of tasks. A limited number of further ones waits for them; others are not started."""

    def __init__(self, most: int, *, waiting: int = 0) -> None:
        self._most = most
        self._most_waiting = waiting
        self._under_way: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Work] = deque()

    def start(self, work: _Work) -> None:
        """Start it, now or in its turn, unless both limits are reached."""
        if len(self._under_way) < self._most:
            task = asyncio.get_running_loop().create_task(work())
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        elif len(self._waiting) < self._most_waiting:
            self._waiting.append(work)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting:
            self.start(self._waiting.popleft())

    async def finish(self) -> None:
        """Wait until the running tasks have ended, with or without an error. Those that wait are not started."""
        self._waiting.clear()
        await asyncio.gather(*self._under_way, return_exceptions=True)


class RedisBus:
    """Implements `BustBus`."""

    def __init__(
        self,
        client: Client,
        *,
        redis: GuardedClient,
        receiver: MessageReceiver,
        revocation_log: RevocationLog,
        answers: SelectAnswers,
        evictions: Evictions,
        store: TokenStore,
        seal: Seal,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
        pod: str,
    ) -> None:
        """Take `client`, the bus's own, and `pod`, the id that our messages are from."""
        self._client = client
        self._redis = redis
        self._receiver = receiver
        self._revocation_log = revocation_log
        self._answers = answers
        self._evictions = evictions
        self._store = store
        self._seal = seal
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._pod = pod
        self._heard_until = -math.inf
        self._writing, self._answering = FewTasks(MAX_WRITES), FewTasks(MAX_ANSWERS, waiting=MAX_OWED)
        self._subscribed = False
        """Whether Redis counts this pod among the subscribers."""
        self.pulse = Pulse(clock.now())
        self.up = False
        """Whether the other pods' messages arrive, and none was missed."""

    async def run(self) -> None:
        pauses = self._pauses()
        for turn in count(int(self._randomness.uniform(0, MOST_NODES))):
            try:
                async with Subscription(self._client, self._receiver.channels, turn) as subscription:
                    self._subscribed = True
                    await _together(
                        subscription.watch(),
                        self._redis.watch(),
                        self._receiver.rejections.run(),
                        self._catch_up(),
                        self._listen(subscription),
                    )
            except Exception as error:  # noqa: BLE001  the next attempt may succeed after any error
                if self.up:
                    pauses = self._pauses()
                await self._lost(error)
            finally:
                self.up = self._subscribed = False
            heed_cancellation()
            await self._clock.sleep(next(pauses))

    async def publish(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Publish the select. It applies in this pod at once, even if publishing fails."""
        own = self._answers.own(self._receiver.revoke(selector, self._clock.now()))
        number = self._randomness.token_bytes(8).hex()
        others, failure = await self._send(selector, number)
        if failure is None or failure.step == "record":
            self._journal.tell(SelectSent(describe(selector), others + 1))
        if failure is None:
            answers = await self._answers.read(number, others)
            return outcome(others + 1, own, *(answers or ()), collected=answers is not None)
        self._journal.tell(BustFailed("select", describe(selector), "", failure.step, failure.error))
        return failure

    async def _send(self, selector: Labels, number: str) -> tuple[int, BustFailure | None]:
        """Return how many other pods received it, and what went wrong."""
        if not await self._revocation_log.measure():
            return 0, BustFailure("publish", self._redis.trouble)
        at = math.ceil(self._revocation_log.offset.latest_there(self._clock.now()) * 1000)
        message = self._message(Revocation(selector, at, number), self._pod)
        pods, failure = await self._revocation_log.publish(message, at, self._receiver.bust_channel)
        return max(0, pods - self._subscribed), failure

    async def close(self) -> None:
        """Write the pending records, and close the connections."""
        self._receiver.rejections.tell()
        await asyncio.gather(self._writing.finish(), self._answering.finish())
        await disconnect(self._client)

    async def _lost(self, error: Exception) -> None:
        """Check whether the store is lost too: a closed connection is no outage, but failing to open another one is."""
        if isinstance(error, Moved):
            self._heard_until = -math.inf  # it is unknown when the last server stopped receiving
            return
        why = reason(error)
        self.pulse.miss(self._clock.now(), why)
        if not isinstance(error, RedisError | RedisClusterException | OSError):  # of which is TimeoutError
            self._journal.tell(Failed.of("receiving busts", error))
        was_up, self.up = self.up, False
        if not was_up:
            self._redis.outage.lost("bus", why)
        await self._redis.check()

    def _pauses(self) -> Iterator[float]:
        pause = FIRST_PAUSE
        while True:
            yield pause * self._randomness.uniform(0.5, 1.5)
            pause = min(2 * pause, MAX_PAUSE)

    async def _catch_up(self) -> None:
        """Load what was revoked and bust since the last complete state; retry until that succeeds.

        Messages that arrive meanwhile are applied: a Cluster that has lost some of its nodes may not answer for long,
        but other pods' busts still arrive.
        """
        pauses = self._pauses()
        while not await self._know_what_was_missed():
            self.pulse.miss(self._clock.now(), "the missed busts are not known yet")
            if not self._redis.up:
                self._redis.outage.lost("bus", self._redis.trouble)
            heed_cancellation()
            await self._clock.sleep(next(pauses))
        self.up = True
        self.pulse.beat(self._clock.now())
        self._redis.outage.back("bus")

    async def _know_what_was_missed(self) -> bool:
        at_start = self._heard_until == -math.inf
        since = self._clock.now() - self._receiver.memory if at_start else self._heard_until
        complete_since = await self._revocation_log.load(since, self._recall)
        generations = await self._store.generations(list(self._evictions.held()))
        if complete_since is None or generations is None:
            return False
        self._receiver.drop_missed(generations, complete_since if since < complete_since else -math.inf)
        return True

    def _recall(self, payload: bytes) -> None:
        self._receiver.recall(payload, self._revocation_log.offset)

    async def _listen(self, subscription: Subscription) -> None:
        try:
            while True:
                rejected = self._receiver.rejections.counts.total()
                for number, (channel, payload) in enumerate(subscription.messages(), 1):
                    for owed in self._receiver.hear(channel, payload, self._revocation_log.offset):
                        if isinstance(owed, Dropped):
                            self._answering.start(partial(self._answers.write, owed))
                        else:
                            self._writing.start(partial(self._write_down, owed))
                    if number % IN_A_ROW == 0:
                        await asyncio.sleep(0)  # a flood must not delay the requests
                if self._receiver.rejections.counts.total() > rejected:
                    await self._clock.sleep(LULL)
                await subscription.wait()
        finally:
            if self.up:
                self._heard_until = self._clock.now() - subscription.gap

    async def _write_down(self, selector: Labels) -> None:
        """Record another program's revocation for the pods that are not connected now.

        Every pod that dropped a token because of it does so, and all of them write the same entry: the moment is the
        end of the second, and the id is derived from the content. So a thousand pods leave one entry, or two.
        """
        at = math.ceil(self._revocation_log.offset.latest_there(self._clock.now())) * 1000
        number = sha256(describe(selector).encode()).hexdigest()[:16]
        message = self._message(Revocation(selector, at, number), "foreign")
        await self._revocation_log.add(message, at)

    def _message(self, revocation: Revocation, sender: str) -> bytes:
        channel = self._receiver.bust_channel
        return encode(revocation, channel=channel, sender=sender, at=revocation.at, sign=self._seal.sign)


async def _together(*coroutines: Coroutine[object, object, None]) -> None:
    """Run them until one fails, and raise its error.

    A caller that is cancelled in the turn in which one fails ends cancelled; a TaskGroup would lose the cancellation.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
