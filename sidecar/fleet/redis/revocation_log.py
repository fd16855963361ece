"""Recent revocations, kept for pods that were disconnected: one sorted set of signed messages by their moment."""

import asyncio
from collections.abc import Callable
from functools import partial

from sidecar.cache.refused_tokens import BustFailure
from sidecar.cache.revocations import MAX_REMEMBERED
from sidecar.core.ports import Clock
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.redis.connect import Client
from sidecar.fleet.redis.guarded_client import GuardedClient, Reply
from sidecar.fleet.redis.library import RedisCluster, ResponseError
from sidecar.fleet.redis.scripts import DENIABLE, Script, milliseconds
from sidecar.fleet.redis.server_errors import words
from sidecar.telemetry.words import BustStep

REVOKED_KEY = "m2m:revoked"
"""Sorted set of the last busts by hand and by other programs, signed, for pods that were not connected."""
PAGE = 500
"""Messages read at a time: a page takes much less than the time-out of an operation."""
SLACK = 1.0
"""Seconds added to the requested period, because the clocks differ, and a message is older than its arrival."""

ADD = Script(
    "revoke",
    DENIABLE
    + """
local message, at, life, most, channel = unpack(ARGV)
local kind = attempt('TYPE', KEYS[1])
local listeners = 0
if kind and kind.ok ~= 'zset' then attempt('DEL', KEYS[1]) end
attempt('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - life))
if elsewhere() then return redis.error_reply(denial) end
if channel ~= '' then listeners = attempt('PUBLISH', channel, message) or -1 end
attempt('ZADD', KEYS[1], at, message)
attempt('ZREMRANGEBYRANK', KEYS[1], 0, -1 - most)
attempt('PEXPIRE', KEYS[1], life)
return {clock[1], clock[2], denial, listeners}
""",
    urgent=True,
)
"""message, its moment (ms), how long it is kept (ms), how many are kept, channel or '' → listeners at this node, -1
if the server did not publish.

The message goes out whatever is denied, and what has expired makes room before it is added: see `scripts.BUST`.
"""

MEASURE = Script("revoked", DENIABLE + "return {clock[1], clock[2], denial}", urgent=True)
"""The server's time only."""

LOAD = Script(
    "revoked",
    """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then return {clock[1], clock[2], 0, '-inf', {}} end
local age, from, count = unpack(ARGV)
local since = string.format('%.0f', now - age)
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local page = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', since, 'LIMIT', from, count)
return {clock[1], clock[2], redis.call('ZCARD', KEYS[1]), oldest, page}
""",
)
"""how far back to go (ms), how many to skip, how many to return → how many there are in all, the moment of the oldest
(ms), the page. From the newest on: what is added meanwhile moves the others to later pages, and hides none."""


class RevocationLog:
    """The fleet's revocations in Redis: the last `most` of them, each for `life` seconds."""

    def __init__(
        self, redis: GuardedClient, *, key_prefix: str, clock: Clock, life: float, most: int = MAX_REMEMBERED
    ) -> None:
        """`life` in seconds."""
        self._redis = redis
        self._key = f"{key_prefix}{REVOKED_KEY}"
        self._clock = clock
        self._life = life
        self._most = most

    @property
    def offset(self) -> ClockOffset:
        """Return the offset of the server's clock from ours, as far as known."""
        return self._redis.offset

    async def measure(self) -> bool:
        """Fetch the server's time. Return whether the server answered, if only with an error."""
        return await self._run(MEASURE) is not None or self._redis.answers

    async def add(self, message: bytes, at: int) -> None:
        """Keep the message of that moment (ms there)."""
        await self._run(ADD, message, at, milliseconds(self._life), self._most, "")

    async def publish(self, message: bytes, at: int, channel: str) -> tuple[int, BustFailure | None]:
        """Publish and keep it. Return the number of the channel's subscribers, and what went wrong.

        In a Cluster PUBLISH counts the subscribers of a single node. If the other nodes do not answer, that count is
        returned.
        """
        reply = await self._run(ADD, message, at, milliseconds(self._life), self._most, channel)
        failure: BustFailure | None
        if reply is None:
            at_node, failure = 0, await self._redis.publish(channel, message)
        else:
            denial, at_node = reply
            step: BustStep = "publish" if at_node < 0 else "record"
            failure = BustFailure(step, words(denial.decode(errors="replace"))) if denial else None
        if failure is not None and failure.step == "publish":
            return 0, failure
        in_all = await self._redis.ask("listeners", partial(listeners, channel), urgent=True)
        return int(at_node) if in_all is None else in_all, failure

    async def load(self, since: float, take: Callable[[bytes], None]) -> float | None:
        """Pass on every message kept since that moment; return the moment from which on none can be missing.

        Both are moments here, in seconds. Return None if the server does not answer.
        """
        place = 0
        while True:
            age = milliseconds(min(self._clock.now() - since, self._life) + SLACK)
            reply = await self._run(LOAD, age, place, PAGE)
            if reply is None:
                return None
            total, oldest, page = reply
            for message in page:
                take(message)
            if len(page) < PAGE:
                return self._complete_since(int(total), float(oldest))
            place += PAGE

    def _complete_since(self, total: int, oldest: float) -> float:
        expired = self._clock.now() - self._life
        return max(expired, self.offset.latest_here(oldest / 1000)) if total >= self._most else expired

    async def _run(self, script: Script, *arguments: str | bytes | float) -> Reply | None:
        return await self._redis.run(script, [self._key], *arguments)


async def listeners(channel: str, client: Client) -> int:
    """Return how many subscribe to the channel; a Cluster's unreachable nodes count as having none."""
    if not isinstance(client, RedisCluster):
        return sum(number for _, number in await client.pubsub_numsub(channel))
    asking = (client.pubsub_numsub(channel, target_nodes=node) for node in client.get_nodes())
    replies = await asyncio.gather(*asking, return_exceptions=True)
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return sum(number for reply in replies if not isinstance(reply, BaseException) for _, number in reply)
