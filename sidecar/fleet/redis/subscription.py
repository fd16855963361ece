"""One subscription: a connection that is known to work, or is closed."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from sidecar.fleet.redis.connect import Client, disconnect
from sidecar.fleet.redis.library import (
    AbstractConnection,
    Disconnected,
    RedisCluster,
    answered_error,
    stream,
)
from sidecar.fleet.redis.pushes import ERROR, PushParser
from sidecar.fleet.redis.reasons import code
from sidecar.fleet.redis.server_errors import STILL_PUBLISHES

PING_EVERY = 1.0
SILENCE = 3.0
"""Limit: time without a message or pong from Redis (seconds). Beyond: the sidecar reconnects and checks for missed
busts."""

LAST_LOOK = 0.25
"""Seconds in which the last ping must be answered after this process itself stood still."""
READ_SIZE = 65536
"""Bytes read at a time."""


class Subscription:
    """Entering subscribes and returns once the server has confirmed every channel.

    Every end raises: errors of redis-py and the system, TimeoutError for silence. It is never repaired, because only a
    new one makes its owner check what was missed between the two.

    redis-py connects, logs in and writes; later input is read here, as much at a time as there is.
    """

    def __init__(self, client: Client, channels: Sequence[str], turn: int) -> None:
        """Take `turn`, which chooses a Cluster's node: each gets every message, so after one fails the next serves."""
        self._client = client
        self._channels = channels
        self._turn = turn
        self._parser = PushParser()
        self._heard = self._complete = 0.0
        self._pings: deque[float] = deque()
        """When each ping was sent that has no answer yet; silence ends the subscription before there are many."""

    async def __aenter__(self) -> Self:
        self._heard = self._complete = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(SILENCE):
                await self._client.initialize()  # a Cluster's must know the nodes before it subscribes
                self._connection = await self._connect()
                await self._connection.send_command("SUBSCRIBE", *self._channels)
                heed_cancellation()
                await self._confirmed()
        except BaseException:
            await disconnect(self._client)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await disconnect(self._client)  # the next one finds the nodes again: they may have changed

    @property
    def silence(self) -> float:
        """Return the seconds since the server last sent anything."""
        return asyncio.get_running_loop().time() - self._heard

    @property
    def gap(self) -> float:
        """Return the seconds since the last answered ping was sent: messages published in them may be missing.

        A message may have been delayed on its way, and be the last before the link is found to be broken.
        """
        return asyncio.get_running_loop().time() - self._complete

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Yield the channel and payload of each message that has arrived. It counts as received once it was yielded."""
        for kind, channel, payload in self._parser.pushes():
            if kind == b"message":
                yield channel.decode(errors="replace"), payload
            else:
                self._note(kind, channel)

    async def wait(self) -> None:
        """Wait until more arrives, even a part of a message. Call it after the messages were taken."""
        data = await stream(self._connection).read(READ_SIZE)
        if not data:
            raise Disconnected("Connection closed by server.")
        self._heard = asyncio.get_running_loop().time()
        self._parser.feed(data)

    async def watch(self) -> None:
        """Ping until cancelled. Raises TimeoutError if nothing arrives."""
        while True:
            self._pings.append(asyncio.get_running_loop().time())
            await self._connection.send_command("PING")
            heed_cancellation()
            last = self.silence >= SILENCE
            await asyncio.sleep(max(min(PING_EVERY, SILENCE - self.silence), LAST_LOOK))
            if last and self.silence >= SILENCE:
                raise TimeoutError

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection
        if isinstance(self._client, RedisCluster):
            nodes = self._client.get_nodes()
            connection = nodes[self._turn % len(nodes)].acquire_connection()
            await connection.connect()  # type: ignore[no-untyped-call]
        else:
            connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        return connection

    async def _confirmed(self) -> None:
        """Wait until the server has confirmed every channel."""
        missing = len(self._channels)
        while True:
            for kind, words, _ in self._parser.pushes():
                self._note(kind, words)
                missing -= kind == b"subscribe"
                if not missing:
                    return
            await self.wait()

    def _note(self, kind: bytes, words: bytes) -> None:
        """Handle the answer to a ping. Raise the error if it is an error answer."""
        if kind == ERROR:
            error = answered_error(words.decode(errors="replace"))
            if not self._pings or code(error) not in STILL_PUBLISHES:
                raise error
        if kind in {b"pong", ERROR} and self._pings:
            self._complete = self._pings.popleft()


def heed_cancellation() -> None:
    """Raise CancelledError if this task is to end.

    The cancellation may have been lost: redis-py sends within `asyncio.wait_for`, and until Python 3.12 that loses a
    cancellation in the very turn in which the sending ends.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
