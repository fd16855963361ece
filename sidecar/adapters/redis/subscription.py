"""One subscription: a connection that is known to be alive, or is given up."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from redis.asyncio import RedisCluster
from redis.asyncio.client import PubSub

from sidecar.adapters.redis.connect import Client, disconnect

PING_EVERY = 1.0
SILENCE = 3.0
"""Seconds without a word, not even a pong, after which the link counts as dead."""

LAST_LOOK = 0.05
"""Seconds each look takes at least: where this process stood still itself, what came meanwhile is still read."""


class Subscription:
    """Entering subscribes and returns once the server has confirmed every channel.

    Whatever ends it raises: errors of redis-py and the system, TimeoutError for silence. It is never mended,
    for only a new one makes its owner look what was missed between the two.
    """

    def __init__(self, client: Client, channels: Sequence[str], turn: int) -> None:
        """`turn` chooses the node of a Cluster: each hears everything, so the next one does when one is dead."""
        self._client = client
        self._channels = channels
        self._turn = turn
        self._pubsub: PubSub | None = None
        self._heard = 0.0
        self._next_ping = 0.0

    async def __aenter__(self) -> Self:
        self._heard = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(SILENCE):
                await self._client.initialize()  # a Cluster's must know the nodes before it subscribes
                self._pubsub = self._choose()
                await self._pubsub.subscribe(*self._channels)
                for _ in self._channels:
                    await self._next("subscribe")
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def silence(self) -> float:
        """Seconds since the server was last heard."""
        return asyncio.get_running_loop().time() - self._heard

    async def message(self) -> tuple[str, bytes]:
        """Wait for the next message; return its channel and payload."""
        return await self._next("message")

    def _choose(self) -> PubSub:
        if isinstance(self._client, RedisCluster):
            nodes = self._client.get_nodes()
            return self._client.pubsub(node=nodes[self._turn % len(nodes)])
        return self._client.pubsub()

    async def _next(self, kind: str) -> tuple[str, bytes]:
        assert self._pubsub is not None
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= self._next_ping:
                self._next_ping = loop.time() + PING_EVERY
                await self._pubsub.ping()
            patience = min(self._next_ping - loop.time(), SILENCE - self.silence)
            heard = await self._pubsub.get_message(timeout=max(patience, LAST_LOOK))
            if heard is not None:
                self._heard = loop.time()
                if heard["type"] == kind:
                    return heard["channel"].decode(errors="replace"), heard["data"]
            elif self.silence >= SILENCE:
                raise TimeoutError

    async def _close(self) -> None:
        if self._pubsub is not None:
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await disconnect(self._client)  # the next one looks for the nodes anew: they may have changed
