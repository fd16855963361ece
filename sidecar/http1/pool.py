"""The connections to one origin: reused newest first, never more than allowed.

An exchange borrows one, by `take` if one is idle, else by `connect`, and returns it with `give_back`, which closes
what cannot carry another exchange. It has an owner, and gets no connection that another owner has used. When all are
busy, exchanges wait in line; the line and the wait are bounded too, by the same numbers as connecting is.

A parting connection takes no place: a new one may be opened at once. At most as many connections may part as may be
open; beyond that, the oldest is cut off.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from sidecar.core.errors import SidecarError, UpstreamTimeout, UpstreamUnreachable
from sidecar.core.health import Health, Pulse
from sidecar.core.origin import Origin
from sidecar.http1.arrived import arrivals
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.dial import Dialler
from sidecar.http1.tls import TlsUpstreamConnection
from sidecar.http1.upstream import UpstreamConnection
from sidecar.system.certificates import PeerCertificate
from sidecar.telemetry.ports import PoolReadings

IDLE_TIMEOUT = 60.0
"""Below the 60 to 75 s that many upstreams and balancers allow. Limit: time that an idle upstream connection is kept
(seconds). Beyond: the connection is closed."""
KNOWN_FOR = 3600.0
"""Seconds after a handshake for which the upstream's certificate is known: it may have been renewed since."""


class IdleConnections:
    """The idle connections of a pool. Of one owner the newest is used first; of all the oldest is evicted first.

    Each has an owner, and only that owner reuses it. Those that are not isolated have the owner "" and are in a list of
    their own, because nearly all are. No owner is remembered without an idle connection, so there are never more owners
    than connections.
    """

    __slots__ = ("_isolated", "_of", "_shared")

    def __init__(self) -> None:
        self._shared: list[UpstreamConnection] = []  # the oldest first, as all here
        self._isolated: dict[UpstreamConnection, None] = {}
        self._of: dict[str, list[UpstreamConnection]] = {}

    def __len__(self) -> int:
        return len(self._shared) + len(self._isolated)

    def add(self, connection: UpstreamConnection) -> None:
        """Add the connection as the newest. Hot path: ≤ 0.1 µs for a shared one."""
        owner = connection.owner
        if not owner:
            self._shared.append(connection)
            return
        self._isolated[connection] = None
        self._of.setdefault(owner, []).append(connection)

    def newest(self, owner: str) -> UpstreamConnection | None:
        """Remove and return this owner's newest, or None. Hot path: ≤ 0.1 µs for a shared one."""
        if not owner:
            return self._shared.pop() if self._shared else None
        own = self._of.get(owner)
        if own is None:
            return None
        connection = own[-1]
        self.remove(connection)
        return connection

    def oldest(self) -> UpstreamConnection | None:
        """Remove and return the oldest of all, or None."""
        own = next(iter(self._isolated), None)
        if own is None or (self._shared and self._shared[0].deadline <= own.deadline):
            return self._shared.pop(0) if self._shared else None
        self.remove(own)
        return own

    def remove(self, connection: UpstreamConnection) -> None:
        """Remove this one, if it is here."""
        if connection in self._isolated:
            del self._isolated[connection]
            own = self._of[connection.owner]
            own.remove(connection)
            if not own:
                del self._of[connection.owner]
        elif connection in self._shared:
            self._shared.remove(connection)


class OriginPool(ABC):
    """What pools of either version of HTTP share: the origin, and whether it answers."""

    def __init__(
        self,
        origin: Origin,
        deadlines: Deadlines,
        dialler: Dialler,
        changed: Callable[[Health, Health], None],
    ) -> None:
        """Call `changed` with the upstream's health before and after each failure, and when it answers again."""
        self.origin = origin
        self._changed = changed
        self._deadlines = deadlines
        self._dialler = dialler
        self._pulse = Pulse(deadlines.now())
        self._known_until = 0.0
        self._silent = False
        """Whether it accepted a connection and did not answer: then one more connection proves nothing."""
        self.in_doubt = True
        """Whether an answer is news: then `answered` must be called with it."""

    @property
    def health(self) -> Health:
        """Whether the upstream accepts connections and answers on them, as far as was tried."""
        return self._pulse.health

    @property
    def certificate(self) -> PeerCertificate | None:
        """The upstream's certificate as of the last handshake; None if there was none for KNOWN_FOR."""
        return self._dialler.certificate if self._deadlines.now() < self._known_until else None

    def limit_silence(self, seconds: float) -> None:
        """Set the longest idle time-out of the routes that use this pool, 0 for none; see `dial`."""
        self._dialler.acknowledged_within = seconds

    def answered(self) -> None:
        """Note that a request on one of the connections got an answer."""
        self._silent = self.in_doubt = False
        before = self._pulse.health
        self._pulse.beat(self._deadlines.now())
        if before.state != "up":
            self._changed(before, self._pulse.health)

    def unanswered(self, why: str) -> None:
        """Note that a request on one of the connections got no answer."""
        self._silent = True
        self._missed(why)

    def _missed(self, why: str) -> None:
        self.in_doubt = True
        before = self._pulse.health
        self._pulse.miss(self._deadlines.now(), why)
        self._changed(before, self._pulse.health)

    @abstractmethod
    def readings(self) -> PoolReadings:
        """Return how many connections are in use and idle, and how many requests wait for one."""

    @abstractmethod
    def close(self) -> None:
        """Close what is idle, and from now on what is returned."""


class Pool(OriginPool):
    """See the head of this module."""

    def __init__(
        self,
        origin: Origin,
        deadlines: Deadlines,
        changed: Callable[[Health, Health], None] = lambda before, now: None,
    ) -> None:
        """Call `changed` with the upstream's health before and after each change of its state."""
        super().__init__(origin, deadlines, Dialler(origin), changed)
        self.authority = origin.authority
        self.serialized_origin = origin.serialized
        self._kind = TlsUpstreamConnection if origin.scheme == "https" else UpstreamConnection
        self._idle = IdleConnections()
        self._open: set[UpstreamConnection] = set()
        self._parting: dict[UpstreamConnection, None] = {}  # in the order in which they began to part
        self._opening = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._called = 0
        """Turns that were given and not yet taken; until then no other request may go first."""
        self._closed = False

    def take(self, owner: str = "") -> UpstreamConnection | None:
        """Return an idle connection at once, if there is one and no request waits for it."""
        return None if self._line or self._called else self._newest_idle(owner)

    def _newest_idle(self, owner: str) -> UpstreamConnection | None:
        """Return one on which nothing has arrived: unrequested bytes would be taken for an answer."""
        while (connection := self._idle.newest(owner)) is not None:
            if connection.closed or connection.transport.is_closing():
                continue
            if not connection.unread_arrivals():
                return connection
            self._open.discard(connection)
            connection.part()
        return None

    async def connect(self, owner: str = "") -> UpstreamConnection:
        """Return a new connection, or wait in line for any. Raises UpstreamUnreachable, UpstreamTimeout."""
        if self._line or self._called or not self._make_room():
            limit = self.origin.max_connections
            try:
                async with asyncio.timeout(self.origin.connect_timeout or None):
                    connection = await self._wait_in_line(limit, owner)
            except TimeoutError:
                raise UpstreamTimeout(f"all {limit} connections to {self.origin.host} stayed busy") from None
            if connection is not None:
                return connection
        return await self._open_one(owner)

    def _make_room(self) -> bool:
        """Return whether one more may be opened; evict the oldest idle one if necessary."""
        if len(self._open) + self._opening >= self.origin.max_connections:
            oldest = self._idle.oldest()
            if oldest is not None:
                self._open.discard(oldest)
                oldest.part()
        return len(self._open) + self._opening < self.origin.max_connections

    async def _wait_in_line(self, limit: int, owner: str) -> UpstreamConnection | None:
        """Return an idle connection, or None when there is room for a new one."""
        if len(self._line) >= limit:
            raise UpstreamUnreachable(
                f"all {limit} connections to {self.origin.host} are busy and as many requests wait:"
                " raise max_connections"
            )
        join = self._line.append
        while True:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            join(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._called -= 1
                    self._call_next()  # our turn came as we left: it goes to the next in line
                elif turn in self._line:
                    self._line.remove(turn)
                raise
            self._called -= 1
            connection = self._newest_idle(owner)
            if connection is not None or self._make_room():
                ours = 1 if connection is None else 0
                if self._idle or len(self._open) + self._opening + ours < limit:
                    self._call_next()  # another request may have joined the line only because it was our turn
                return connection
            join = self._line.appendleft  # it was closed before we could take it: our place stays the first

    def _call_next(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                self._called += 1
                turn.set_result(None)
                return

    async def _open_one(self, owner: str) -> UpstreamConnection:
        self._opening += 1
        try:
            connection = await self._dialler.connect(self._make)
        except BaseException as error:
            if isinstance(error, SidecarError):
                self._missed(str(error))
            self._call_next()
            raise
        finally:
            self._opening -= 1
        if connection.closed:
            self._call_next()
            raise UpstreamUnreachable(f"{self.origin.host} closed the connection at once")
        self._known_until = self._deadlines.now() + KNOWN_FOR
        connection.owner = owner
        connection.unread_arrivals = arrivals(connection.transport)
        self._open.add(connection)
        if not self._silent:
            self.answered()
        return connection

    def _make(self) -> UpstreamConnection:
        return self._kind(self._deadlines, self._leaving)

    def _leaving(self, connection: UpstreamConnection) -> None:
        self._idle.remove(connection)
        if connection in self._open:
            self._open.discard(connection)
            self._call_next()
        if connection.closed:
            self._parting.pop(connection, None)
            return
        self._parting[connection] = None
        if len(self._parting) > self.origin.max_connections:
            oldest = next(iter(self._parting))
            del self._parting[oldest]
            oldest.abort()

    def give_back(self, connection: UpstreamConnection) -> None:
        """End an exchange: keep the connection if it can carry another, else close it."""
        if self._closed or not connection.rest(self._deadlines.next_tick + IDLE_TIMEOUT):
            connection.part()
            return
        self._idle.add(connection)
        if self._line:
            self._call_next()

    def readings(self) -> PoolReadings:
        idle = len(self._idle)
        return PoolReadings(len(self._open) - idle + self._opening, idle, len(self._line))

    def close(self) -> None:
        self._closed = True
        while (connection := self._idle.oldest()) is not None:
            connection.part()
