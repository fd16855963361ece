"""The HTTP/2 connections to one origin: one, as long as it has room for more streams.

Rule 1. A request takes a place on the first connection of its owner that has one. If none has, one more is opened,
        within `max_connections`. For one owner, one connection is opened at a time, because it has room for many.
Rule 2. Meanwhile, and beyond that, requests wait in line, for the connect time-out. A place that gets free is offered
        to the line first. A connection that cannot be opened fails for all requests that wait for it.
Rule 3. A connection without streams is closed when another owner needs its place.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from sidecar.core.errors import MessageMalformed, SidecarError, UpstreamTimeout, UpstreamUnreachable
from sidecar.core.health import Health
from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.dial import Dialler
from sidecar.http1.pool import KNOWN_FOR, OriginPool
from sidecar.http2.messages import pseudo_fields
from sidecar.http2.outgoing import Outbox
from sidecar.http2.upstream import UpstreamConnection
from sidecar.telemetry.ports import PoolReadings

MOST_WAITING = 1024
"""Limit: requests that wait for an HTTP/2 stream to an upstream; `max_connections` if that is more (number). Beyond:
502."""
_Turn = asyncio.Future[UpstreamConnection | None]
"""A place on a connection, or None: it is this request's turn to open one."""


class Pool(OriginPool):
    """See the head of this module."""

    def __init__(
        self,
        origin: Origin,
        deadlines: Deadlines,
        outbox: Outbox,
        changed: Callable[[Health, Health], None] = lambda before, now: None,
    ) -> None:
        """Call `changed` with the upstream's health before and after each change of its state."""
        super().__init__(origin, deadlines, Dialler(origin, "h2"), changed)
        self.pseudo_fields = pseudo_fields(origin)
        self._outbox = outbox
        self._open: list[UpstreamConnection] = []
        self._opening: set[str] = set()
        """The owners for which a connection is being opened."""
        self._lines: dict[str, deque[_Turn]] = {}
        """By owner; no line is empty."""
        self._closed = False
        self._calling = self._call_again = False
        """`_call` closes connections (rule 3), which calls it again: the call that goes on serves those lines too."""

    def take(self, owner: str = "") -> UpstreamConnection | None:
        """Reserve a place at once, if there is one and no request waits for it."""
        return None if owner in self._lines else self._place(owner)

    def _place(self, owner: str) -> UpstreamConnection | None:
        for connection in self._open:
            if connection.owner == owner and connection.has_room:
                connection.reserved += 1
                return connection
        return None

    def give_back(self, connection: UpstreamConnection) -> None:
        """Return a place that was reserved and not used."""
        connection.reserved -= 1
        self._changed_on(connection)

    async def connect(self, owner: str = "") -> UpstreamConnection:
        """Reserve a place on a new connection, or wait in line for any. Raises UpstreamUnreachable, UpstreamTimeout."""
        limit = self.origin.max_connections
        try:
            async with asyncio.timeout(self.origin.connect_timeout or None):
                connection = self.take(owner) or await self._turn(owner, limit)
        except TimeoutError:
            raise UpstreamTimeout(f"all {limit} connections to {self.origin.host} stayed busy") from None
        return connection or await self._open_one(owner)

    def _may_open(self, owner: str) -> bool:
        """Return whether one more may be opened; close one of another owner's if necessary (rule 3)."""
        if owner in self._opening:
            return False
        limit = self.origin.max_connections
        if len(self._open) + len(self._opening) >= limit:
            unused = (each for each in self._open if not each.streams and not each.reserved)
            connection = next(unused, None)
            if connection is not None:
                self._open.remove(connection)
                connection.part()
        return len(self._open) + len(self._opening) < limit

    async def _turn(self, owner: str, limit: int) -> UpstreamConnection | None:
        """Return a place, or None if a connection has to be opened, once it is this request's turn."""
        if owner not in self._lines and self._may_open(owner):
            self._opening.add(owner)
            return None
        if sum(map(len, self._lines.values())) >= max(MOST_WAITING, limit):
            raise UpstreamUnreachable(
                f"all {limit} connections to {self.origin.host} are busy and too many requests wait:"
                " raise max_connections"
            )
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(owner, deque()).append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            self._leave(owner, turn)
            raise

    def _leave(self, owner: str, turn: _Turn) -> None:
        """Leave the line; a turn that came meanwhile goes to the next one."""
        line = self._lines.get(owner)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[owner]
        elif turn.done() and not turn.cancelled() and turn.exception() is None:
            connection = turn.result()
            if connection is None:
                self._opening.discard(owner)
            else:
                connection.reserved -= 1
        self._call()

    def _call(self) -> None:
        """Give places, and turns to open a connection, to the requests in line (rule 2)."""
        self._call_again = True
        if self._calling:
            return
        self._calling = True
        try:
            while self._call_again:
                self._call_again = False
                for owner in tuple(self._lines):
                    self._serve(owner, self._lines[owner])
        finally:
            self._calling = False

    def _serve(self, owner: str, line: deque[_Turn]) -> None:
        while line:
            connection = self._place(owner)
            if connection is None and not self._may_open(owner):
                break
            turn = line.popleft()
            if turn.done():  # cancelled, and about to leave
                if connection is not None:
                    connection.reserved -= 1
                continue
            if connection is None:
                self._opening.add(owner)
            turn.set_result(connection)
        if not line:
            del self._lines[owner]

    async def _open_one(self, owner: str) -> UpstreamConnection:
        try:
            connection = await self._dialler.connect(self._make)
            await self._greeted(connection)
        except BaseException as error:
            self._opening.discard(owner)
            if isinstance(error, SidecarError):
                self._missed(str(error))
                self._fail_line(owner, error)
            self._call()
            raise
        self._opening.discard(owner)
        self._known_until = self._deadlines.now() + KNOWN_FOR
        connection.owner = owner
        connection.reserved = 1
        self._open.append(connection)
        if not self._silent:
            self.answered()
        self._call()
        return connection

    async def _greeted(self, connection: UpstreamConnection) -> None:
        seconds = self.origin.connect_timeout
        try:
            async with asyncio.timeout(seconds or None):
                await connection.wait_until_greeted()
        except TimeoutError:
            connection.transport.abort()
            where = f"{self.origin.host}:{self.origin.port}"
            raise UpstreamTimeout(
                f"{where} accepted a connection and sent no HTTP/2 within {seconds:g} s"
            ) from None
        except BaseException:
            connection.transport.abort()
            raise

    def _fail_line(self, owner: str, error: SidecarError) -> None:
        kind = type(error) if isinstance(error, UpstreamTimeout | MessageMalformed) else UpstreamUnreachable
        for turn in self._lines.pop(owner, ()):
            if not turn.done():
                turn.set_exception(kind(str(error)))

    def _make(self) -> UpstreamConnection:
        return UpstreamConnection(self._deadlines, self._outbox, self._changed_on)

    def _changed_on(self, connection: UpstreamConnection) -> None:
        if connection.closing and connection in self._open:
            self._open.remove(connection)
        if self._lines:
            self._call()
        if self._closed and connection in self._open:
            self._part_unused(connection)

    def _part_unused(self, connection: UpstreamConnection) -> None:
        if not connection.streams and not connection.reserved:
            connection.part()

    def readings(self) -> PoolReadings:
        busy = sum(1 for connection in self._open if connection.streams or connection.reserved)
        waiting = sum(map(len, self._lines.values()))
        return PoolReadings(busy + len(self._opening), len(self._open) - busy, waiting)

    def close(self) -> None:
        self._closed = True
        for connection in tuple(self._open):
            self._part_unused(connection)
