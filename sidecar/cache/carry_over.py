"""Take over the tokens and failures that a new configuration still needs."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from sidecar.cache.cooldown import CoolDowns
from sidecar.cache.ports import Current
from sidecar.cache.token_memory import HeldToken
from sidecar.cache.token_status import Troubles
from sidecar.core.backoff import Setbacks
from sidecar.core.lru import Lru

FAREWELL = 60.0
"""Seconds for which requests of an earlier configuration, still in flight, find its tokens."""


def carry_over(
    memory: Lru[HeldToken],
    troubles: Troubles,
    setbacks: Setbacks,
    cool_downs: CoolDowns,
    *,
    current: Current,
    now: float,
) -> Iterator[None]:
    """Give needed entries their current names, and drop the rest, in short steps; tokens wait for `drop_unneeded`."""
    for held in memory:
        request = current(held.request)
        since = min(held.unneeded_since, now) if request is None else inf
        renamed = request is not None and request is not held.request
        if (renamed or since != held.unneeded_since) and memory.peek(held.key) is held:
            memory.exchange(held.key, replace(held, request=request or held.request, unneeded_since=since))
        if request is None:
            troubles.end(held.key)
            setbacks.clear(held.key)
            cool_downs.healed(held.key)
        yield
    for trouble in troubles:
        request = current(trouble.request)
        if request is None:
            troubles.end(trouble.key)
            setbacks.clear(trouble.key)
            cool_downs.healed(trouble.key)
        elif request is not trouble.request:
            troubles.rename(trouble, request)
        yield


def drop_unneeded(memory: Lru[HeldToken], now: float) -> Iterator[None]:
    """Drop the tokens that no request in flight may need any longer, in short steps."""
    for held in memory:
        if held.unneeded_since <= now - FAREWELL and memory.peek(held.key) is held:
            memory.pop(held.key)
        yield
