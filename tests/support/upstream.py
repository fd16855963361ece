"""Real servers on port 0: an upstream that records and can be scripted, a proxy that breaks connections."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from tests.support.waiting import PATIENCE
from tests.support.wire_client import (
    LIMIT,
    Fields,
    Head,
    WireError,
    open_stream,
    read_chunk,
    read_request_head,
    read_trailers,
    reset,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
INVALID_TOKEN = b'Bearer realm="api", error="invalid_token"'


@dataclass
class Received:
    """One request as it arrived; the body grows while it is read."""

    head: Head
    connection: int
    body: bytearray = field(default_factory=bytearray)
    chunks: list[bytes] = field(default_factory=list)
    trailers: Fields = ()
    whole: bool = False

    def values(self, name: str) -> list[bytes]:
        return self.head.values(name)

    @property
    def token(self) -> str:
        """The bearer token it carried, "" for none."""
        return b"".join(self.values("Authorization")).removeprefix(b"Bearer ").decode()


class Exchange:
    """What a script does its work with: the request so far, and the connection it came on."""

    def __init__(
        self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.received = received
        self.reader = reader
        self.writer = writer
        self.closed = False

    async def read(self, at_least: int | None = None) -> None:
        """Read the body until that much of it is there, or to its end."""
        framing = self.received.head.framing()
        while not self.received.whole and (at_least is None or len(self.received.body) < at_least):
            await self._read_some(framing)

    async def _read_some(self, framing: str | int) -> None:
        body = self.received.body
        if framing == "chunked":
            chunk = await read_chunk(self.reader)
            if not chunk:
                self.received.trailers = await read_trailers(self.reader)
                self.received.whole = True
            self.received.chunks.append(chunk)
            body += chunk
            return
        size = framing if isinstance(framing, int) else 0
        if len(body) < size:
            data = await self.reader.read(min(size - len(body), LIMIT))
            if not data:
                raise asyncio.IncompleteReadError(b"", size)
            body += data
        self.received.whole = len(body) == size

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def peer_left(self) -> None:
        """Wait until the other side closes or resets."""
        with suppress(ConnectionError):
            while await self.reader.read(LIMIT):
                pass

    def close(self) -> None:
        """End the connection as a server does that has nothing more to send."""
        self.closed = True
        self.writer.close()

    def reset(self) -> None:
        self.closed = True
        reset(self.writer)


Script = bytes | Callable[[Exchange], Awaitable[None]]


def says(data: bytes) -> Script:
    """Read the request, send these bytes, and wait for more."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(data)
        await exchange.peer_left()
        exchange.close()

    return script


def closing(answer: bytes) -> Script:
    """Read the request, send these bytes, close."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(answer)
        exchange.close()

    return script


def early(answer: bytes, *, after: int = 0) -> Script:
    """Answer when that much of the body has come, and read on to its end."""

    async def script(exchange: Exchange) -> None:
        await exchange.read(after)
        await exchange.send(answer)
        await exchange.read()

    return script


def when(go: asyncio.Event, script: Script) -> Script:
    """Do as `script` does, but not before `go`."""

    async def waiting(exchange: Exchange) -> None:
        await go.wait()
        await (exchange.send(script) if isinstance(script, bytes) else script(exchange))

    return waiting


async def hang_up(exchange: Exchange) -> None:
    """Read the request and close without a word."""
    await exchange.read()
    exchange.close()


def refusal(challenge: bytes = INVALID_TOKEN, status: int = 401, body: bytes = b"refused") -> bytes:
    """An answer that refuses a token; an empty challenge sends none."""
    field_line = b"WWW-Authenticate: %s\r\n" % challenge if challenge else b""
    return b"HTTP/1.1 %d Refused\r\n%sX-Refused: Yes\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        field_line,
        len(body),
        body,
    )


class Server(ABC):
    """Accepts connections on a port of its own and ends every one of them when stopped."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", port, ssl=self._tls, limit=LIMIT, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more connections; those there are go on."""
        self._server.close()

    async def stop(self) -> None:
        self.close()
        self.drop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self, *, hard: bool = False) -> None:
        """End all connections, with a RST if hard."""
        for writer in tuple(self._writers):
            reset(writer) if hard else writer.close()

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self.serve(self.connections, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    @abstractmethod
    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class Scripted(Server):
    """Records every request, and answers with the next script or else with `default`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.requests: list[Received] = []
        self.malformed: list[str] = []
        self.scripts: deque[Script] = deque()
        self.arrived = asyncio.Condition()

    def script(self, *scripts: Script) -> None:
        self.scripts.extend(scripts)

    async def reached(self, count: int) -> None:
        """Wait until that many requests have begun to arrive."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (head := await read_request_head(reader)) is not None:
                received = Received(head, number)
                self.requests.append(received)
                async with self.arrived:
                    self.arrived.notify_all()
                exchange = Exchange(received, reader, writer)
                await self._answer(exchange)
                if exchange.closed:
                    return
        except WireError as error:
            self.malformed.append(str(error))

    async def _answer(self, exchange: Exchange) -> None:
        script = self.scripts.popleft() if self.scripts else self.default
        if isinstance(script, bytes):
            await exchange.read()
            await exchange.send(script)
        else:
            await script(exchange)
        if not exchange.closed:
            await exchange.read()

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(OK)


class Upstream(Scripted):
    """With `accepts` set, only requests with one of these tokens get further than a 401."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.accepts: set[str] | None = None
        self.challenge = INVALID_TOKEN

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        welcome = self.accepts is None or exchange.received.token in self.accepts
        await exchange.send(OK if welcome else refusal(self.challenge))

    @property
    def tokens(self) -> list[str]:
        """The token of each request, in the order of arrival."""
        return [received.token for received in self.requests]


class FaultProxy(Server):
    """Passes bytes on to `target` (`host:port`) until it stalls; `drop` ends its connections."""

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.target = target
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await open_stream(self.target)
        self._writers.add(other_writer)
        try:
            await asyncio.gather(self._pipe(reader, other_writer), self._pipe(other_reader, writer))
        finally:
            self._writers.discard(other_writer)
            other_writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(LIMIT):
            await self.flowing.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
