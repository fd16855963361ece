"""State that the connections of one listen address share, and what they have in common."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.server import ClientConnection


class Client(Protocol):
    """A client's connection, of either version of HTTP."""

    @property
    def busy(self) -> int:
        """How many requests are with the story."""

    @property
    def at_rest(self) -> bool:
        """Whether no request is in flight, and the client has read all that was written."""

    def drain(self) -> None:
        """Announce that the sidecar stops, where that is possible between answers."""

    def end(self) -> None:
        """End now."""


TakeOver = Callable[["Listener", asyncio.Transport, bytes], None]
"""Serves a connection whose first bytes are these."""
Story = Callable[[ClientConnection], Coroutine[None, None, None]]
"""The handler of one client, from its first request to its last."""


class Listener:
    """State that the connections of one listen address share."""

    def __init__(self, story: Story, deadlines: Deadlines, limits: ServerLimits) -> None:
        self.story = story
        self.deadlines = deadlines
        self.limits = limits
        self.take_over: TakeOver | None = None
        """Serves connections over HTTP/2; None if no route uses it."""
        self.draining = False
        self.connections: set[Client] = set()
        self.requests = 0
        """How many requests have begun."""
        self.refused = 0
        """How many connections were closed because there were too many."""
        self._empty = asyncio.Event()
        self._empty.set()

    def connection(self) -> ClientConnection:
        """Make the protocol for an accepted connection."""
        return ClientConnection(self)

    def admit(self, connection: Client) -> bool:
        """Count the connection in, unless there are too many."""
        if len(self.connections) >= self.limits.max_connections:
            self.refused += 1
            return False
        self.connections.add(connection)
        self._empty.clear()
        return True

    def forget(self, connection: Client) -> None:
        """Count it out."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    @property
    def busy(self) -> int:
        """How many requests are with the story."""
        return sum(connection.busy for connection in self.connections)

    async def settle(self, *, least: float, within: float, quiet: float) -> None:
        """Announce that the sidecar stops, and wait until all clients have been at rest for `quiet` seconds.

        For `least` seconds, `within` at most.
        """
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = began + within
        seen, quiet_since = self.requests, began
        while (now := loop.time()) < end:
            at_rest = all(connection.at_rest for connection in self.connections)
            if not at_rest or self.requests != seen:  # most requests are over between two looks
                seen, quiet_since = self.requests, now
            elif now - quiet_since >= quiet and now - began >= least:
                return
            await asyncio.sleep(quiet / 10)

    async def close(self) -> None:
        """Cut every connection that is left."""
        for connection in tuple(self.connections):
            connection.end()
        await self._empty.wait()
