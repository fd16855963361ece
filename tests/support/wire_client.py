"""A strict reader of HTTP/1.1 for the tests, and a client that sends exactly the bytes it is given.

It shares no code with the product, and accepts less than the RFCs allow: whatever it refuses, we should
not have sent.
"""

import asyncio
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from tests.support.waiting import PATIENCE

LIMIT = 1 << 18

Fields = tuple[tuple[bytes, bytes], ...]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} [\x21-\x7e]+ HTTP/1\.[01]")
_STATUS_LINE = re.compile(rb"HTTP/1\.1 [1-9][0-9]{2} [\t\x20-\x7e\x80-\xff]*")
_SIZE = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_BODYLESS = frozenset({204, 304})


class WireError(Exception):
    """Not well-formed HTTP/1.1."""


class TruncatedError(WireError):
    """The connection ended inside a message; `received` is what came of its body."""

    def __init__(self, received: bytes, *, reset: bool) -> None:
        super().__init__(f"{'reset' if reset else 'closed'} after {len(received)} bytes of the body")
        self.received = received
        self.reset = reset


@dataclass(frozen=True)
class Head:
    """A request's or an answer's first line and fields, as they were sent."""

    line: bytes
    fields: Fields
    raw: bytes

    def values(self, name: str) -> list[bytes]:
        """Every value of the field, in order."""
        return values(self.fields, name)

    @property
    def method(self) -> bytes:
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    def framing(self) -> str | int:
        """`chunked`, a length, or `none`; raises for anything that could be read in two ways."""
        lengths, codings = self.values("Content-Length"), self.values("Transfer-Encoding")
        if codings:
            if lengths or [coding.lower() for coding in codings] != [b"chunked"]:
                raise WireError(f"framing {lengths!r} {codings!r}")
            return "chunked"
        if not lengths:
            return "none"
        if len(lengths) > 1 or not _SIZE.fullmatch(lengths[0]):
            raise WireError(f"content-length {lengths!r}")
        return int(lengths[0])


@dataclass(frozen=True)
class Answer:
    """One whole answer as the client got it."""

    head: Head
    body: bytes
    trailers: Fields = ()
    interim: tuple[Head, ...] = ()
    chunks: tuple[bytes, ...] = field(default=(), compare=False)

    @property
    def status(self) -> int:
        return self.head.status

    def values(self, name: str) -> list[bytes]:
        return self.head.values(name)


def values(fields: Fields, name: str) -> list[bytes]:
    """Every value of the field, in order."""
    return [value for key, value in fields if key.lower() == name.lower().encode()]


def parse_fields(block: bytes) -> Fields:
    """Fields of a block in which every line ends with CRLF."""
    fields = []
    for line in block.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not (colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise WireError(f"field line {line!r}")
        fields.append((name, value))
    return tuple(fields)


def parse_head(raw: bytes, first_line: re.Pattern[bytes]) -> Head:
    line, _, rest = raw.partition(b"\r\n")
    if not first_line.fullmatch(line):
        raise WireError(f"first line {line!r}")
    return Head(line, parse_fields(rest.removesuffix(b"\r\n")), raw)


async def read_head(reader: asyncio.StreamReader, first_line: re.Pattern[bytes]) -> Head | None:
    """The next head, or None where the connection ended cleanly before it."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise WireError(f"ended inside a head: {error.partial!r}") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise WireError("endless head") from error
    return parse_head(raw, first_line)


async def read_request_head(reader: asyncio.StreamReader) -> Head | None:
    """Read the next request's head, with the framing and the host that the RFCs require."""
    head = await read_head(reader, _REQUEST_LINE)
    if head is None:
        return None
    if len(head.values("Host")) != 1 or len(head.values("Authorization")) > 1:
        raise WireError(f"host or authorization not once: {head.raw!r}")
    head.framing()
    return head


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk's data; b"" for the last one, whose trailers follow."""
    size = (await reader.readuntil(b"\r\n")).removesuffix(b"\r\n")
    if not _CHUNK_SIZE.fullmatch(size):
        raise WireError(f"chunk size {size!r}")
    if int(size, 16) == 0:
        return b""
    data = await reader.readexactly(int(size, 16) + 2)
    if data[-2:] != b"\r\n":
        raise WireError("chunk without its end")
    return data[:-2]


async def read_trailers(reader: asyncio.StreamReader) -> Fields:
    """The fields after the last chunk."""
    block = b""
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        block += line
    return parse_fields(block)


async def open_stream(
    address: str, *, receive_buffer: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to `host:port` or `unix:/path`; a small receive buffer soon stalls the peer."""
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"), limit=LIMIT)
    host, _, port = address.rpartition(":")
    plain = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    plain.settimeout(0)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(plain, (host.strip("[]"), int(port)))
    except OSError:
        plain.close()
        raise
    return await asyncio.open_connection(sock=plain, limit=receive_buffer or LIMIT)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a RST."""
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


class AnswerReader:
    """Reads answers from a stream."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader

    async def head(self) -> Head:
        """The next answer's head, interim or final."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await read_head(self.reader, _STATUS_LINE)
            except ConnectionError as error:
                raise TruncatedError(b"", reset=True) from error
        if head is None:
            raise TruncatedError(b"", reset=False)
        return head

    async def chunk(self) -> bytes:
        """The next chunk of a chunked answer."""
        async with asyncio.timeout(PATIENCE):
            return await read_chunk(self.reader)

    async def answer(self, method: str = "GET") -> Answer:
        """The next final answer, whole, and the interim ones before it."""
        interim = []
        while 100 <= (head := await self.head()).status < 200 and head.status != 101:
            interim.append(head)
        body, chunks, trailers = bytearray(), list[bytes](), Fields()
        try:
            async with asyncio.timeout(PATIENCE):
                trailers = await self._body(head, method, body, chunks)
        except asyncio.IncompleteReadError as error:
            raise TruncatedError(bytes(body + error.partial), reset=False) from error
        except ConnectionError as error:
            raise TruncatedError(bytes(body), reset=True) from error
        return Answer(head, bytes(body), trailers, tuple(interim), tuple(chunks))

    async def _body(self, head: Head, method: str, body: bytearray, chunks: list[bytes]) -> Fields:
        framing = head.framing()
        if method == "HEAD" or head.status in _BODYLESS or head.status == 101:
            return ()
        if framing == "chunked":
            while chunk := await read_chunk(self.reader):
                chunks.append(chunk)
                body += chunk
            return await read_trailers(self.reader)
        if isinstance(framing, int):
            while len(body) < framing:
                if not (data := await self.reader.read(min(framing - len(body), LIMIT))):
                    raise asyncio.IncompleteReadError(b"", framing)
                body += data
            return ()
        while data := await self.reader.read(LIMIT):
            body += data
        return ()


class Client(AnswerReader):
    """One connection to the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader)
        self.writer = writer

    @classmethod
    async def connect(cls, address: str, *, receive_buffer: int = 0) -> Self:
        async with asyncio.timeout(PATIENCE):
            return cls(*await open_stream(address, receive_buffer=receive_buffer))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def send_in_pieces(self, *pieces: bytes) -> None:
        """Send each piece so that the peer reads it by itself, as far as a loopback allows."""
        for piece in pieces:
            await self.send(piece)
            for _ in range(3):
                await asyncio.sleep(0)

    async def ending(self) -> str:
        """How the connection ends: `closed` or `reset`; fails where more bytes come or it stays open."""
        try:
            async with asyncio.timeout(PATIENCE):
                more = await self.reader.read(LIMIT)
        except ConnectionError:
            return "reset"
        if more:
            raise WireError(f"unexpected bytes {more[:200]!r}")
        return "closed"

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send these bytes and read one answer."""
        await self.send(data)
        return await self.answer(method)

    async def refused(self, data: bytes) -> Answer:
        """Send these bytes, read the one answer and see the connection closed after it."""
        with suppress(ConnectionError):
            await self.send(data)
        answer = await self.answer()
        assert await self.ending() == "closed"
        return answer

    async def half_close(self) -> None:
        """End this way; a connection that the peer has reset meanwhile has no way left to end."""
        if not self.writer.transport.is_closing():
            self.writer.write_eof()

    def reset(self) -> None:
        reset(self.writer)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


async def ask(address: str, data: bytes, method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    async with await Client.connect(address) as client:
        return await client.ask(data, method)
