"""One connection to the admin server, and how it ends."""

import asyncio

from aiohttp import web

from sidecar.admin.responses import problem

Connections = dict["Connection", None]
"""Those whose time is limited, the oldest first."""


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
            auto_decompress=False,  # it would read on until the content, whatever its length, is decoded
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
        """Answer what aiohttp could not parse without its page, which names the fault and the library."""
        return problem(status)

    def stay(self) -> None:
        """Do not cut it off: whoever writes to it now sees to that."""
        self._end.cancel()
        self._others.pop(self, None)

    def cut(self) -> None:
        """End it at once."""
        self.stay()
        if self.transport is not None:
            self.transport.abort()
