"""The two sides of the sidecar over HTTP/2, in memory: a client's connection, the story of each request, and an
upstream's connection. Nothing waits, so an input always has the same result.
"""

import asyncio
import atexit
from collections.abc import Coroutine
from functools import cache

from sidecar.core.errors import RequestRefused, SidecarError, UpstreamUnreachable
from sidecar.core.origin import Origin
from sidecar.core.ports import Clock
from sidecar.core.problem import Problem, render
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.server import ClientConnection as Http1Connection
from sidecar.http1.shared.exchange import Exchange
from sidecar.http1.shared.listener import Listener
from sidecar.http2.by_hand import ByHand
from sidecar.http2.connection import Connection
from sidecar.http2.frames import HEAD, MIN_MAX_FRAME
from sidecar.http2.heads import Trailers
from sidecar.http2.limits import MAX_BLOCK, MAX_STREAMS, STREAM_WINDOW
from sidecar.http2.messages import Request
from sidecar.http2.outgoing import Outbox
from sidecar.http2.pool import Pool
from sidecar.http2.relay import Relay
from sidecar.http2.server import ClientConnection, ClientStream, Service
from sidecar.http2.upstream import UpstreamConnection
from sidecar.proxy.target import split
from tests.support.clock import FakeClock, settle

ORIGIN = Origin("http", "up.example", 80, http2=True)
TOKEN = b"Bearer fuzz"
PLAIN = b"/plain"
"""Path of requests without a token."""
TURNS = 3
"""Turns of the event loop in which every story that is a task does what it can."""
MOST_KEPT = 1 << 20


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of all inputs."""
    found = asyncio.new_event_loop()
    atexit.register(found.close)
    return found


class MemoryTransport(asyncio.Transport):
    """A transport whose peer has read everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        """What the peer has not been given yet."""
        self.ended = False
        """Whether no more is sent."""
        self.closed = False
        """Whether nothing more arrives either."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written after the end"
        self.sent += data

    def take(self) -> bytes:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, b""
        return sent

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = self.closed = True

    def abort(self) -> None:
        self.ended = self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """All that was written has been sent."""


class OnlyPool(Pool):
    """A pool with one connection, which it does not dial."""

    def __init__(self, deadlines: Deadlines, outbox: Outbox) -> None:
        super().__init__(ORIGIN, deadlines, outbox)
        self.connection = self._make()
        self._open.append(self.connection)
        self.missed = False
        """Whether a request found no place, so that its story is a task from then on."""

    def take(self, owner: str = "") -> UpstreamConnection | None:
        connection = super().take(owner)
        self.missed = self.missed or connection is None
        return connection

    async def connect(self, owner: str = "") -> UpstreamConnection:
        raise UpstreamUnreachable("there is no other connection")


class WatchedRelay(Relay):
    """A relay that notes what arrives from its client."""

    __slots__ = ("content", "ended", "head", "trailing")

    def __init__(
        self, client: ClientStream, request: Request, budget: ReplayBudget, clock: Clock, run: ByHand
    ) -> None:
        super().__init__(client, request, budget, clock, run)
        self.head = request.head
        self.content = b""
        self.trailing: Trailers | None = None
        self.ended = client.remote_ended

    def body_from_client(self, content: bytes, *, end: bool) -> None:
        self.content += content
        self.ended = end
        super().body_from_client(content, end=end)

    def trailers_from_client(self, trailers: Trailers) -> None:
        self.trailing, self.ended = trailers, True
        super().trailers_from_client(trailers)


class Rig:
    """One client's connection and one upstream's."""

    def __init__(self, *, heals: bool = False) -> None:
        """If it `heals`, a request that is refused with 401 is sent a second time."""
        clock = FakeClock()
        deadlines, outbox = Deadlines(clock), Outbox()
        self.heals = heals
        self.listener = Listener(_no_http1, deadlines, ServerLimits())
        self.pool = OnlyPool(deadlines, outbox)
        self.budget = ReplayBudget(MOST_KEPT)
        self.broken: list[Exception] = []
        self.seen: dict[int, WatchedRelay] = {}
        """The requests that have a story, by stream."""
        service = Service(
            self._story,
            _refused,
            self.budget,
            clock,
            outbox,
            broken=self.broken.append,
            relays=self._relay,
        )
        self.client = ClientConnection(self.listener, service)
        self.to_client, self.to_upstream = MemoryTransport(), MemoryTransport()
        for connection, transport in ((self.client, self.to_client), (self.upstream, self.to_upstream)):
            outbox.begin()
            connection.connection_made(transport)
            outbox.end()

    @property
    def upstream(self) -> UpstreamConnection:
        """The upstream's connection."""
        return self.pool.connection

    def _relay(
        self, client: ClientStream, request: Request, budget: ReplayBudget, clock: Clock, run: ByHand
    ) -> Relay:
        relay = self.seen[client.number] = WatchedRelay(client, request, budget, clock, run)
        return relay

    async def _story(self, exchange: Exchange) -> bool:
        """Relay a request, as `sidecar.proxy` does for a route with a token."""
        try:
            await self._send(exchange)
        except SidecarError as error:
            problem = render(error, "id")
            if exchange.begun:
                exchange.cut(problem)
            else:
                exchange.answer_ourselves(problem, close=False)
        finally:
            exchange.end()
        return True

    async def _send(self, exchange: Exchange) -> None:
        target = split(exchange.request.target)
        for again in (self.heals, False):
            if not exchange.reach(self.pool, target.path + target.query, ""):
                await exchange.connect()
            answer = await exchange.send(None if target.path == PLAIN else TOKEN, 0)
            if not again or answer.judged != 401 or not exchange.hold_body():
                break
            exchange.drop()
        if not exchange.answer_at_once(answer, close=False):
            await exchange.stream_answer(answer, close=False)

    async def feed(self, connection: Connection, transport: MemoryTransport, data: bytes) -> None:
        """Let bytes of the peer arrive, unless the connection has ended."""
        if not transport.closed:
            connection.data_received(data)
        if self.pool.missed:
            await settle(TURNS)
        check_bounds(connection)
        assert not self.broken, f"a story raised {self.broken[0]!r}"

    async def end(self) -> None:
        """Lose both connections, and check that nothing is left of any request."""
        for connection in (self.client, self.upstream):
            connection.connection_lost(None)
            await settle(TURNS)
        assert not self.broken, f"a story raised {self.broken[0]!r}"
        assert not self.client.streams
        assert not self.upstream.streams
        assert self.upstream.reserved == 0
        assert not self.listener.connections
        assert self.budget.take(MOST_KEPT), "memory of a request's body was not given back"


def check_bounds(connection: Connection) -> None:
    """Check what a peer makes a connection hold."""
    assert len(connection._held) < HEAD + MIN_MAX_FRAME
    assert sum(map(len, connection._block or ())) <= MAX_BLOCK
    assert len(connection.streams) <= MAX_STREAMS
    assert connection.window.left >= 0 or connection.failed
    for stream in connection.streams.values():
        assert stream.untaken <= STREAM_WINDOW


async def _no_http1(client: Http1Connection) -> None:
    raise AssertionError(client)


def _refused(refusal: RequestRefused) -> Problem:
    return render(refusal, "id")


def run(script: Coroutine[object, None, None]) -> None:
    """Run to the end."""
    loop().run_until_complete(script)
