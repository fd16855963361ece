"""One connection to the admin server, and how it ends."""

import asyncio
import fcntl
import socket
import struct
import termios

from aiohttp import web

from sidecar.admin.responses import problem

Connections = dict["Connection", None]
"""Connections whose time is limited, the oldest first."""


class Connection(web.RequestHandler):
    """One admin connection, cut off when its time is over."""

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, lifetime: float, others: Connections
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            lingering_time=0,
            max_line_size=2048,
            max_field_size=8192,
            max_headers=64,
            auto_decompress=False,  # it would read on until the content, of any length, is decoded
        )
        self._end = loop.call_later(lifetime, self.cut)
        self._others = others
        others[self] = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.stay()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that aiohttp could not parse, without its page, which names the fault and the library."""
        return problem(status)

    def stay(self) -> None:
        """Do not cut it off: the writer limits its time from now on."""
        self._end.cancel()
        self._others.pop(self, None)

    def untaken(self) -> int:
        """Return how many bytes the peer has not read: those in our buffer and in the kernel's."""
        if self.transport is None:
            return 0
        return self.transport.get_write_buffer_size() + _in_kernel(self.transport.get_extra_info("socket"))

    def cut(self) -> None:
        """End it at once."""
        self.stay()
        if self.transport is not None:
            self.transport.abort()


def _in_kernel(peer: socket.socket) -> int:
    """Return how many bytes sent are not acknowledged; on a Unix socket, how many are not read."""
    try:
        answer = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(struct.calcsize("i")))
    except OSError:  # unknown on this system, or the connection has ended
        return 0
    (count,) = struct.unpack("i", answer)
    return int(count)
