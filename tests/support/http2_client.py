"""A client of HTTP/2 for the tests, with prior knowledge or over TLS."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Self

from tests.support.http2_peer import DEFAULT_FRAME, DEFAULT_WINDOW, PREFACE, SETTINGS, Message, Peer
from tests.support.waiting import PATIENCE
from tests.support.wire_client import open_stream

Pairs = Sequence[tuple[bytes, bytes]]


class Http2Client(Peer):
    """One connection to the sidecar."""

    _next = 1

    @classmethod
    async def connect(
        cls,
        address: str,
        *,
        window: int = DEFAULT_WINDOW,
        max_frame: int = DEFAULT_FRAME,
        table: int = 4096,
        credit: bool = True,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int = 0,
    ) -> Self:
        """Connect to `host:port` or `unix:/path`, and exchange settings."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await open_stream(address, receive_buffer=receive_buffer)
            if tls is not None:
                await writer.start_tls(tls, server_hostname="localhost")
        client = cls(reader, writer, window=window, max_frame=max_frame, table=table, credit=credit)
        client.begin(PREFACE)
        await client.until(lambda: any(arrived.kind == SETTINGS for arrived in client.frames))
        return client

    def open(self, fields: Pairs, *, end: bool = False) -> int:
        """Open a stream with any fields; return its number."""
        stream, self._next = self._next, self._next + 2
        self.opened(stream)
        self.send_fields(stream, fields, end=end)
        return stream

    def begin_request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        fields: Pairs = (),
        *,
        authority: bytes = b"localhost",
        end: bool,
    ) -> int:
        """Send the head of a request; return its stream."""
        pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", authority), (b":path", path)]
        return self.open([*pseudo, *fields], end=end)

    async def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        fields: Pairs = (),
        body: bytes = b"",
        trailers: Pairs = (),
        *,
        authority: bytes = b"localhost",
    ) -> int:
        """Send a whole request; return its stream."""
        more = bool(body or trailers)
        stream = self.begin_request(method, path, fields, authority=authority, end=not more)
        if body:
            await self.send(stream, body, end=not trailers)
        if trailers:
            self.send_fields(stream, trailers, end=True)
        return stream

    async def head(self, stream: int) -> Message:
        """The answer as soon as its head has arrived, or its reset."""
        message = self.message(stream)
        await self.until(lambda: bool(message.fields) or message.over)
        return message

    async def answer(self, stream: int) -> Message:
        """The whole answer, or what came of it before a reset."""
        message = self.message(stream)
        await self.until(lambda: message.over)
        return message

    async def ask(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        fields: Pairs = (),
        body: bytes = b"",
        trailers: Pairs = (),
        *,
        authority: bytes = b"localhost",
    ) -> Message:
        """Send a whole request and read its answer."""
        sending = self.request(method, path, fields, body, trailers, authority=authority)
        return await self.answer(await sending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await self.close()
