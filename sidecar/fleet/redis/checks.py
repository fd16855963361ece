"""Whether a Redis will do for a fleet: who we are there, what it is, and what we may do."""

import re
from collections.abc import Awaitable, Callable, Sequence

from sidecar.core.finding import Finding
from sidecar.fleet.redis.connect import Client, disconnect
from sidecar.fleet.redis.library import (
    AuthenticationError,
    NoPermissionError,
    RedisCluster,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from sidecar.fleet.redis.subscription import Subscription

OLDEST = (6, 2)
_COMMANDS = """
local one, two, channel = KEYS[1], KEYS[2], ARGV[1]
local tried = {
  {'TIME'}, {'SET', one, '1', 'PX', '5000'}, {'GET', one}, {'TYPE', one}, {'PTTL', one}, {'PEXPIRE', one, '5000'},
  {'HSET', two, 'f', '1'}, {'HMGET', two, 'f'}, {'DEL', two},
  {'ZADD', two, '1', 'm'}, {'ZCARD', two}, {'ZRANGE', two, '0', '-1'}, {'ZREVRANGEBYSCORE', two, '1', '0'},
  {'ZREMRANGEBYRANK', two, '0', '0'}, {'ZREMRANGEBYSCORE', two, '0', '1'}, {'DEL', one}, {'PUBLISH', channel, ''},
}
local wrong = {}
for _, each in ipairs(tried) do
  local reply = redis.pcall(unpack(each))
  if type(reply) == 'table' and reply.err then
    table.insert(wrong, each[1] .. ' ' .. (each[2] or ''))
    table.insert(wrong, reply.err)
  end
end
return wrong
"""
"""Tries what our scripts do, on keys like ours that end with it, on a channel that nobody hears."""
_SETUSER = "compare the user with the ACL in the README: commands, keys (~) and channels (&)"


class Examination:
    """One look at a Redis. Nothing raises."""

    def __init__(self, client: Client) -> None:
        """The client becomes ours."""
        self._client = client

    async def log_in(self) -> Finding:
        """Connect, show user and password, and get an answer."""

        async def ping() -> Finding:
            await self._client.initialize()
            await self._client.ping()
            return Finding("it answers")

        return await _judged(ping)

    async def version(self) -> Finding:
        """Ask what it is; HELLO needs no permission."""

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
                return Finding(f"{server} {version}", "failed", "Redis 6.2 or later, or Valkey, is wanted")
            return Finding(f"{server} {version}")

        return await _judged(hello)

    async def keys(self, key: str, channel: str) -> Finding:
        """Try every command that we will need, on this key and its companions."""

        async def attempt() -> Finding:
            keys = (key, f"{{{key}}}:gen")
            errors = await self._client.eval(_COMMANDS, len(keys), *keys, channel)
            wrong = [_text(error) for error in errors]
            if wrong:
                return Finding(f"{wrong[0].strip()}: {wrong[1]}", "failed", _SETUSER)
            return Finding(f"may read and write {key.rpartition('m2m:')[0]}m2m:…")

        return await _judged(attempt)

    async def channels(self, channels: Sequence[str]) -> Finding:
        """Subscribe to each channel, as the bus does."""

        async def subscribe() -> Finding:
            async with Subscription(self._client, channels, 0):
                return Finding(f"may hear {', '.join(channels)}")

        return await _judged(subscribe)

    async def close(self) -> None:
        """End every connection."""
        await disconnect(self._client)


async def _judged(question: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await question()
    except AuthenticationError:
        return Finding("it does not accept us", "failed", "check redis.username and redis.password")
    except NoPermissionError as error:
        return Finding(str(error), "failed", _SETUSER)
    except ResponseError as error:
        hint = "give redis.password" if "NOAUTH" in str(error) else ""
        return Finding(f"it says: {error}", "failed", hint)
    except TimeoutError:
        return Finding(
            "no answer in time", "failed", "is it Redis that listens there, and with TLS or without?"
        )
    except (RedisError, RedisClusterException, OSError) as error:
        hint = "check redis.url, its TLS, and redis.password"
        return Finding(type(error).__name__, "failed", hint)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
