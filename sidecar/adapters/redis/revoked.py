"""What was revoked of late, kept for the pods that were away: one sorted set of signed messages by their moment."""

import asyncio
from collections.abc import Callable
from functools import partial

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from sidecar.adapters.redis.connect import Client
from sidecar.adapters.redis.link import Link, Reply
from sidecar.adapters.redis.scripts import Script, milliseconds
from sidecar.core.offset import Offset
from sidecar.core.ports import Clock
from sidecar.core.selectors import MAX_REMEMBERED

PAGE = 500
"""Messages read at a time: a page is well within the time of one question."""
SLACK = 1.0
"""Seconds further back than asked for: the clocks differ, and a message is older than its arrival."""

_PRELUDE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local set = redis.call('TYPE', KEYS[1]).ok == 'zset'
"""

ADD = Script(
    "revoke",
    _PRELUDE
    + """
local message, at, life, most, channel = unpack(ARGV)
if not set then redis.call('DEL', KEYS[1]) end
redis.call('ZADD', KEYS[1], at, message)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - life))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - most)
redis.call('PEXPIRE', KEYS[1], life)
if channel ~= '' then redis.call('PUBLISH', channel, message) end
return {clock[1], clock[2]}
""",
)
"""message, its moment (ms), how long it is kept (ms), how many are kept, channel or ''."""

LOAD = Script(
    "revoked",
    _PRELUDE
    + """
if not set then return {clock[1], clock[2], 0, '-inf', {}} end
local age, from, count = unpack(ARGV)
local since = string.format('%.0f', now - age)
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local page = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', since, 'LIMIT', from, count)
return {clock[1], clock[2], redis.call('ZCARD', KEYS[1]), oldest, page}
""",
)
"""how far back to go (ms), how many to pass over, how many to return → how many there are in all, the moment of the
oldest (ms), the page. From the newest on: what is added meanwhile moves the others to later pages, and hides none."""


class RevokedSet:
    """The fleet's revocations in Redis: the last `most` of them, each for `life` seconds."""

    def __init__(
        self, link: Link, *, key_prefix: str, clock: Clock, life: float, most: int = MAX_REMEMBERED
    ) -> None:
        """`life` in seconds."""
        self._link = link
        self._key = f"{key_prefix}m2m:revoked"
        self._clock = clock
        self._life = life
        self._most = most

    @property
    def offset(self) -> Offset:
        """How far the server's clock is from ours, as far as known."""
        return self._link.offset

    async def measure(self) -> bool:
        """Learn the server's time; False when it does not answer."""
        return await self._run(LOAD, 0, 0, 0) is not None

    async def add(self, message: bytes, at: int) -> None:
        """Keep the message of that moment (ms there)."""
        await self._run(ADD, message, at, milliseconds(self._life), self._most, "")

    async def publish(self, message: bytes, at: int, channel: str) -> int | None:
        """Keep it and publish it; tell how many listen to the channel, None when the server does not answer.

        What PUBLISH returns would not do: in a Cluster it counts the listeners of a single node.
        """
        if await self._run(ADD, message, at, milliseconds(self._life), self._most, channel) is None:
            return None
        return await self._link.ask("listeners", partial(listeners, channel))

    async def load(self, since: float, take: Callable[[bytes], None]) -> float | None:
        """Hand over every message kept since that moment; return from when on none can be missing.

        Both are moments here, in seconds. None when the server does not answer.
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
        return await self._link.run(script, [self._key], *arguments)


async def listeners(channel: str, client: Client) -> int:
    """Return how many listen to the channel; a node of a Cluster that cannot be reached has no listeners."""
    if not isinstance(client, RedisCluster):
        return sum(number for _, number in await client.pubsub_numsub(channel))
    asking = (client.pubsub_numsub(channel, target_nodes=node) for node in client.get_nodes())
    found = await asyncio.gather(*asking, return_exceptions=True)
    for each in found:
        if isinstance(each, ResponseError):
            raise each
    return sum(number for each in found if not isinstance(each, BaseException) for _, number in each)
