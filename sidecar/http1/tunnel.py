"""A WebSocket's bytes between a client and an upstream after both have left HTTP (RFC 6455 section 1.3).

Two ways, independent of each other. Nothing is read into the bytes: frames, pings and the closing handshake
are the peers' own.

| a way is | until                     | then                                                           |
| -------- | ------------------------- | -------------------------------------------------------------- |
| open     | its source sends its last | the target's output is ended after all that was written         |
| ended    | the other way ends too    | the tunnel is over                                             |

A loss, or a silence of both ways, breaks the tunnel: both peers are then cut off, and none of them can take
that for a proper end. Over TLS a connection cannot stay half open, so there one end is the end of both.
"""

import asyncio

from sidecar.core.errors import SidecarError, UpstreamTimeout
from sidecar.http1.connection import Connection
from sidecar.http1.deadlines import NEVER
from sidecar.http1.server import ClientConnection
from sidecar.http1.upstream import UpstreamConnection


class _Way:
    """The sink of one direction."""

    __slots__ = ("_target", "_tunnel", "open")

    def __init__(self, tunnel: "Tunnel", target: Connection) -> None:
        self._tunnel = tunnel
        self._target = target
        self.open = True

    @property
    def write_paused(self) -> bool:
        return self._target.write_paused

    def write_body(self, pieces: list[bytes]) -> None:
        self._target.write_body(pieces)
        self._tunnel.moved()

    def end_body(self, trailers: list[bytes]) -> None:
        self.open = False
        self._target.end_output()
        self._tunnel.way_ended()

    def break_body(self, error: SidecarError) -> None:
        self.open = False
        self._tunnel.broken(error)


class Tunnel:
    """See the head of this module. Both connections read into it from `run` on."""

    def __init__(self, client: ClientConnection, upstream: UpstreamConnection, idle_timeout: float) -> None:
        """`idle_timeout` in seconds, NEVER for none: the longest silence of both ways together."""
        self._client = client
        self._upstream = upstream
        self._deadlines = client.deadlines
        self._idle_timeout = idle_timeout
        self._up = _Way(self, upstream)
        self._down = _Way(self, client)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unread = 0
        self.deadline = NEVER

    async def run(self) -> None:
        """Carry bytes until both ways have ended. Raises what broke the tunnel."""
        client, upstream = self._client, self._upstream
        client.source, upstream.source = upstream, client
        client.idle_timeout = upstream.idle_timeout = (
            NEVER  # silence of one connection is not silence of the tunnel
        )
        self._deadlines.watch(self)
        try:
            self.moved()
            upstream.pipe(self._down)
            client.switch(self._up)
            await self._over
        except BaseException:
            upstream.abort()  # also when it has ended its direction: it must not take this for the end of the other one
            raise
        finally:
            self._deadlines.forget(self)
            client.source = upstream.source = None
            client.idle_timeout = upstream.idle_timeout = self._idle_timeout

    def moved(self) -> None:
        """Bytes went one direction or the other."""
        self._unread = 0
        self.deadline = self._deadlines.next_tick + self._idle_timeout
        if self._upstream.closed:  # it ended its direction, and then the connection: stop reading
            self._finish()

    def way_ended(self) -> None:
        """One of the directions has ended."""
        if not (self._up.open or self._down.open) or not self._upstream.transport.can_write_eof():
            self._finish()

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def broken(self, error: SidecarError) -> None:
        """One of the connections is lost."""
        if not self._over.done():
            self._over.set_exception(error)

    def deadline_passed(self) -> None:
        """Break the tunnel, unless a slow reader has read some of what waits for it."""
        unread = self._client.unread() + self._upstream.unread()
        if unread != self._unread:
            self.moved()
            self._unread = unread
        else:
            self.broken(UpstreamTimeout(f"nothing moved through the WebSocket for {self._idle_timeout:g} s"))
