"""What a Redis was asked, by its own account (INFO commandstats)."""

from collections import Counter

from redis.asyncio import Redis

_OURS = ("info", "config|resetstat", "config|set")
"""What we ask ourselves, for the benchmark."""


async def commands(client: Redis) -> Counter[str]:
    """How often each command ran, those inside scripts included."""
    statistics = await client.info("commandstats")
    named = {name.removeprefix("cmdstat_"): each["calls"] for name, each in statistics.items()}
    return Counter({name: calls for name, calls in named.items() if name not in _OURS})


def scripts(since: Counter[str], now: Counter[str]) -> int:
    """How many scripts ran, each of them one round trip: all that a pod asks about tokens."""
    return sum(now[name] - since[name] for name in ("evalsha", "eval"))


def asked(since: Counter[str], now: Counter[str]) -> int:
    """How many commands ran but for the pings of the buses, which come once a second whatever happens."""
    return sum((now - since).values()) - (now["ping"] - since["ping"])
