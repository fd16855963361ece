"""Server-sent events for the page: what `/status` shows, again and again, for as long as somebody looks.

A snapshot is made when a subscriber has taken the one before, so nothing queues up, and one that takes too long is cut
off. Those who look at the same share one, and when nobody does none is made.
"""

import asyncio

from aiohttp import web

from sidecar.admin.connection import Connection
from sidecar.admin.ports import AdminState
from sidecar.admin.responses import COMMON, encode, problem
from sidecar.core.labels import Labels

EVERY = 1.0
"""Seconds between two events; the page takes five without any for lost contact."""
MAX_SUBSCRIBERS = 8
PATIENCE = 10.0
"""Seconds a subscriber has to take an event."""
_RETRY = b"retry: 2000\n\n"  # milliseconds
_FIELDS = {**COMMON, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}


def asked_for(request: web.BaseRequest) -> Labels:
    """Read `?tenant=acme&service=ledger`; whatever else is asked for is not looked at."""
    return frozenset((name, request.query[name]) for name in ("tenant", "service") if request.query.get(name))


class LiveEvents:
    """The subscribers."""

    def __init__(self, state: AdminState, *, every: float = EVERY, patience: float = PATIENCE) -> None:
        self._state = state
        self._every = every
        self._patience = patience
        self._subscribers = 0
        self._closed = asyncio.Event()
        self._made: dict[Labels, tuple[float, bytes]] = {}

    def close(self) -> None:
        """Let every subscriber go."""
        self._closed.set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one subscriber until either side has enough."""
        if self._subscribers >= MAX_SUBSCRIBERS:
            return problem(503, f"{MAX_SUBSCRIBERS} pages are open already", **{"Retry-After": "5"})
        response = web.StreamResponse(headers=_FIELDS)
        response.force_close()
        self._subscribers += 1
        try:
            await self._serve(request, response)
        except (ConnectionError, TimeoutError):
            _cut(request)
        except Exception:
            _cut(request)  # an answer that has begun cannot become another
            raise
        finally:
            self._subscribers -= 1
            if not self._subscribers:
                self._made.clear()
        return response

    async def _serve(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        await response.prepare(request)
        if isinstance(request.protocol, Connection):
            request.protocol.stay()
        await response.write(_RETRY)
        selector = asked_for(request)
        while not self._closed.is_set():
            async with asyncio.timeout(self._patience):
                await response.write(self._snapshot(selector))
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._every):
                await self._closed.wait()
        except TimeoutError:
            return

    def _snapshot(self, selector: Labels) -> bytes:
        now = asyncio.get_running_loop().time()
        made = self._made.get(selector)
        if made is None or now - made[0] >= self._every / 2:
            made = (now, b"data: %b\n\n" % encode(self._state.status(selector)))
            self._made = {key: other for key, other in self._made.items() if now - other[0] < self._every} | {
                selector: made
            }
        return made[1]


def _cut(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
