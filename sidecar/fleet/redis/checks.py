"""Checks whether a Redis is suitable for a fleet: login, version, and permissions."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from sidecar.core.finding import Finding
from sidecar.fleet.redis.connect import Client, disconnect
from sidecar.fleet.redis.library import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    RedisCluster,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from sidecar.fleet.redis.reasons import code, reason
from sidecar.fleet.redis.revocation_log import listeners
from sidecar.fleet.redis.subscription import Subscription
from sidecar.system.causes import NO_ANSWER

OLDEST = (6, 2)
TRIAL = """
local one, two, channel = KEYS[1], KEYS[2], ARGV[1]
local tried = {
  {'TIME'}, {'SET', one, '1', 'PX', '5000'}, {'GET', one}, {'TYPE', one}, {'PTTL', one}, {'PEXPIRE', one, '5000'},
  {'HSET', two, 'f', '1'}, {'HGET', two, 'f'}, {'HMGET', two, 'f'}, {'DEL', two},
  {'ZADD', two, '1', 'm'}, {'ZCARD', two}, {'ZRANGE', two, '0', '-1'}, {'ZREVRANGEBYSCORE', two, '1', '0'},
  {'ZREMRANGEBYRANK', two, '0', '0'}, {'ZREMRANGEBYSCORE', two, '0', '1'}, {'DEL', one}, {'PUBLISH', channel, ''},
}
local wrong = {}
for _, each in ipairs(tried) do
  local reply = redis.pcall(unpack(each))
  if type(reply) == 'table' and reply.err then
    table.insert(wrong, each[1])
    table.insert(wrong, each[2] or '')
    table.insert(wrong, reply.err)
  end
end
return wrong
"""
"""Tries every command of our scripts, on keys like ours that end with it, on a channel that has no subscriber."""
_SETUSER = (
    "compare the user with the ACL in docs/how-to/share-through-redis.md: commands, keys (~) and channels (&)"
)
_HINTS = {
    "CLUSTERDOWN": "the Cluster has nodes or slots missing: see CLUSTER INFO",
    "LOADING": "wait until it has loaded its data",
    "MASTERDOWN": "it is a replica: give the primary in redis.url, or use redis.sentinel",
    "MISCONF": "it cannot save its data: see its log and its disk",
    "NOREPLICAS": "it has too few replicas: see its min-replicas-to-write",
    "OOM": "raise its maxmemory, or choose an eviction policy",
    "READONLY": "it is a replica: give the primary in redis.url, or use redis.sentinel",
}
_DATABASE = "DB index"
_NO_SUCH_COMMAND = "unknown command"
_NO_SCRIPT = "0" * 40
"""A digest of no script."""


class Examination:
    """One examination of a Redis. No method raises."""

    def __init__(self, client: Client) -> None:
        """Take ownership of the client."""
        self._client = client

    async def log_in(self) -> Finding:
        """Connect, authenticate, and get an answer."""

        async def ping() -> Finding:
            await self._client.initialize()
            await self._client.ping()
            return Finding("it answers")

        return await _judged(ping)

    async def version(self) -> Finding:
        """Fetch the version; HELLO needs no permission."""

        async def hello() -> Finding:
            any_node = isinstance(self._client, RedisCluster) and self._client.get_random_node()
            reply = await self._client.execute_command(
                "HELLO", **({"target_nodes": any_node} if any_node else {})
            )
            server_info = (
                reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
            )
            server, version = (_text(server_info.get(name, b"")) for name in (b"server", b"version"))
            number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
            if number < OLDEST:
                return Finding(
                    f"{server} {version}",
                    "failed",
                    "upgrade it: the sidecar requires Redis 6.2 or later, or Valkey",
                )
            return Finding(f"{server} {version}")

        return await _judged(hello)

    async def keys(self, key: str, channel: str) -> Finding:
        """Try every command that the sidecar needs, on this key and its companions."""

        async def attempt() -> Finding:
            keys = (key, f"{{{key}}}:gen")
            with suppress(NoScriptError):
                await self._client.evalsha(_NO_SCRIPT, len(keys), *keys)
            reply = [_text(text) for text in await self._client.eval(TRIAL, len(keys), *keys, channel)]
            wrong = list(zip(reply[::3], reply[1::3], reply[2::3], strict=True))
            if not wrong:
                return Finding(f"may read and write {key.rpartition('m2m:')[0]}m2m:…")
            (command, place, words), *others = wrong
            words = reason(ResponseError(words))
            more = dict.fromkeys(other for other, _, _ in others if other != command)
            also = f"; likewise {', '.join(more)}" if more else ""
            return Finding(f"{' '.join(filter(None, (command, place)))}: {words}{also}", "failed", _SETUSER)

        return await _judged(attempt)

    async def channels(self, channels: Sequence[str]) -> Finding:
        """Count each channel's subscribers and subscribe, as the bus does."""

        async def subscribe() -> Finding:
            await self._client.initialize()
            for channel in channels:
                await listeners(channel, self._client)
            async with Subscription(self._client, channels, 0):
                return Finding(f"may subscribe to {', '.join(channels)}")

        return await _judged(subscribe)

    async def close(self) -> None:
        """Close every connection."""
        await disconnect(self._client)


async def _judged(question: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await question()
    except AuthenticationError as error:
        hint = "give redis.password" if code(error) == "NOAUTH" else "check redis.username and redis.password"
        return Finding(f"authentication failed: {reason(error)}", "failed", hint)
    except NoPermissionError as error:
        return Finding(reason(error), "failed", _SETUSER)
    except TimeoutError:
        return Finding(NO_ANSWER, "failed", "check that Redis listens there, and whether it requires TLS")
    except (RedisError, RedisClusterException, OSError) as error:
        why = reason(error)
        if isinstance(error, ResponseError) or code(error) in _HINTS:
            return Finding(f"it answers: {why}", "failed", _hint(code(error), why))
        return Finding(why, "failed", "check redis.url, its TLS, and redis.password")


def _hint(error: str, why: str) -> str:
    if why.startswith(_DATABASE):
        return "give another database in redis.url: it has fewer"
    if why.startswith(_NO_SUCH_COMMAND):
        return "rename and disable no command of the ACL in docs/how-to/share-through-redis.md"
    return _HINTS.get(error, "")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
