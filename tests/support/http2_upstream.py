"""An upstream of HTTP/2 that records and can be scripted, on port 0."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tests.support.http2_peer import DEFAULT_FRAME, DEFAULT_WINDOW, PREFACE, Message, Peer
from tests.support.upstream import INVALID_TOKEN, Server
from tests.support.waiting import PATIENCE
from tests.support.wire_client import WireError

Pairs = Sequence[tuple[bytes, bytes]]


class Exchange2:
    """What a script does its work with: the request so far, and the connection that it came on."""

    def __init__(self, received: Message, peer: Peer) -> None:
        self.received = received
        self.peer = peer
        self.stream = received.stream

    async def read(self, at_least: int | None = None) -> None:
        """Wait until that much of the body is there, or all of the request."""
        received = self.received
        await self.peer.until(
            lambda: received.over or (at_least is not None and len(received.body) >= at_least)
        )

    def interim(self, status: int = 103, fields: Pairs = ()) -> None:
        self.peer.send_fields(self.stream, [(b":status", b"%d" % status), *fields])

    def head(self, status: int = 200, fields: Pairs = (), *, end: bool = False) -> None:
        self.peer.send_fields(self.stream, [(b":status", b"%d" % status), *fields], end=end)

    async def send(self, data: bytes, *, end: bool = False) -> None:
        await self.peer.send(self.stream, data, end=end)

    def trailers(self, fields: Pairs) -> None:
        self.peer.send_fields(self.stream, fields, end=True)

    def reset(self, code: int) -> None:
        self.peer.reset(self.stream, code)


Script2 = Callable[[Exchange2], Awaitable[None]]


def answering(status: int = 200, fields: Pairs = (), body: bytes = b"ok", trailers: Pairs = ()) -> Script2:
    """Read the request, and answer."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head(status, fields, end=not (body or trailers))
        if body:
            await exchange.send(body, end=not trailers)
        if trailers:
            exchange.trailers(trailers)

    return script


def refusing(challenge: bytes = INVALID_TOKEN, status: int = 401) -> Script2:
    """Read the request, and refuse its token."""
    fields = [(b"www-authenticate", challenge)] if challenge else []
    return answering(status, fields, b"refused")


async def echo(exchange: Exchange2) -> None:
    """Answer with the request's body as it comes, and with its trailers."""
    received = exchange.received
    exchange.head(200)
    sent = 0
    while not received.over or sent < len(received.body):
        await exchange.read(sent + 1)
        part = bytes(received.body[sent:])
        sent += len(part)
        await exchange.send(part)
    if received.trailers:
        exchange.trailers(received.trailers)
    else:
        await exchange.send(b"", end=True)


class _ServerSide(Peer):
    """A connection to the upstream: each head that arrives is a request."""

    on_request: Callable[[Message, Peer], None]

    def peer_opens(self, stream: int) -> None:
        if stream % 2 == 0 or stream <= max(self._streams, default=0):
            raise WireError(f"the client opened stream {stream}")
        self.opened(stream)

    def head_arrived(self, message: Message) -> None:
        self.on_request(message, self)


class Http2Upstream(Server):
    """Records every request, and answers with the next script or else with `default`.

    With `accepts` set, only requests with one of these tokens get further than a 401.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        window: int = DEFAULT_WINDOW,
        max_frame: int = DEFAULT_FRAME,
        table: int = 4096,
        streams: int | None = None,
        credit: bool = True,
    ) -> None:
        super().__init__(tls)
        self.window, self.max_frame, self.table = window, max_frame, table
        self.streams, self.credit = streams, credit
        self.requests: list[Message] = []
        self.malformed: list[str] = []
        self.peers: list[Peer] = []
        self.scripts: deque[Script2] = deque()
        self.welcome = answering()
        """The script where there is no other."""
        self.accepts: set[str] | None = None
        self.challenge = INVALID_TOKEN
        self.arrived = asyncio.Condition()

    def script(self, *scripts: Script2) -> None:
        self.scripts.extend(scripts)

    async def reached(self, count: int) -> None:
        """Wait until that many requests have begun to arrive."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    @property
    def tokens(self) -> list[str]:
        """The token of each request, in the order of arrival."""
        return [received.token for received in self.requests]

    async def default(self, exchange: Exchange2) -> None:
        welcome = self.accepts is None or exchange.received.token in self.accepts
        await (self.welcome if welcome else refusing(self.challenge))(exchange)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(len(PREFACE)) != PREFACE:
            self.malformed.append("no preface of HTTP/2")
            return
        peer = _ServerSide(
            reader,
            writer,
            number=number,
            window=self.window,
            max_frame=self.max_frame,
            table=self.table,
            streams=self.streams,
            credit=self.credit,
        )
        tasks: set[asyncio.Task[None]] = set()

        def answer(message: Message, peer: Peer) -> None:
            self.requests.append(message)
            tasks.add(asyncio.ensure_future(self._answer(Exchange2(message, peer))))

        peer.on_request = answer
        self.peers.append(peer)
        try:
            peer.begin()
            await peer.finished()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await peer.close()
            if peer.fault is not None:
                self.malformed.append(str(peer.fault))

    async def _answer(self, exchange: Exchange2) -> None:
        async with self.arrived:
            self.arrived.notify_all()
        script = self.scripts.popleft() if self.scripts else self.default
        await script(exchange)


class Greeting(Server):
    """Sends these bytes to each connection, and reads."""

    def __init__(self, data: bytes, *, close: bool) -> None:
        super().__init__()
        self._data = data
        self._close = close

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._data)
        while not self._close and await reader.read(1 << 16):
            pass
