"""One connection to the sidecar, whose answers are checked as they stream by."""

import asyncio
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

from tests.support.wire_client import (
    Head,
    WireError,
    open_stream,
    read_chunk,
    read_head,
    read_trailers,
    reset,
)

_STATUS_LINE = re.compile(rb"HTTP/1\.1 [1-9][0-9]{2} [\t\x20-\x7e\x80-\xff]*")
_PIECE = 1 << 16
_KEPT = 1 << 16


class Trouble(Exception):
    """Something did not go as expected; `word` is what rules know it by."""

    def __init__(self, word: str, detail: str = "") -> None:
        super().__init__(word, detail)
        self.word = word
        self.detail = detail


@dataclass
class Answer:
    """An answer; of its body only the first 64 KiB are kept."""

    head: Head
    size: int = 0
    crc: int = 0
    body: bytes = b""

    def take(self, data: bytes) -> None:
        self.size += len(data)
        self.crc = crc32(data, self.crc)
        self.body += data[: _KEPT - len(self.body)]

    @property
    def last(self) -> bool:
        """Whether the connection ends with it."""
        return b"close" in self.head.values("Connection") or self.head.framing() == "none"

    def expect(self, word: str, request_id: str = "") -> None:
        """Raise Trouble unless it is this answer, see `word_of`, to this request."""
        if word_of(self.head) != word:
            raise Trouble(word_of(self.head), self.body[:200].decode(errors="replace"))
        if request_id and self.head.values("X-Request-Id") != [request_id.encode()]:
            raise Trouble("another request's answer", repr(self.head.raw))


def word_of(head: Head) -> str:
    """What rules know an answer by: its status, and the error if it is one of the sidecar's own (RFC 9209)."""
    own = b"".join(head.values("Proxy-Status")).partition(b"error=")[2]
    return f"{head.status} {own.decode()}".strip()


class Client:
    """Sends given bytes at a given pace."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: str, *, receive_buffer: int = 0) -> "Client":
        return cls(*await open_stream(address, receive_buffer=receive_buffer))

    async def send(self, pieces: Iterable[bytes], pause: float = 0.0) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def ask(
        self, head: bytes, method: str = "GET", *, body: Iterable[bytes] = (), pause: float = 0.0
    ) -> Answer:
        """Send a request and read its answer, which may come before all of the request has gone."""
        self._writer.write(head)
        sending = asyncio.create_task(self.send(body, pause))
        try:
            return await self.answer(method)
        finally:
            sending.cancel()
            with suppress(ConnectionError, asyncio.CancelledError):
                await sending

    async def answer(self, method: str = "GET", pause: float = 0.0) -> Answer:
        """Read the next final answer to its end, with a pause after each piece. Raises Trouble when it breaks off."""
        try:
            answer = Answer(await self.head())
            if method != "HEAD":
                await self._body(answer, pause)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise Trouble("broken off", repr(error)) from error
        return answer

    async def head(self) -> Head:
        """Read the next final answer's head."""
        while (head := await self.any_head()).status < 200:
            pass
        return head

    async def any_head(self) -> Head:
        """Read the next head, interim or final."""
        try:
            head = await read_head(self.reader, _STATUS_LINE)
        except WireError as error:
            raise Trouble("malformed answer", str(error)) from error
        if head is None:
            raise Trouble("broken off", "closed before the answer")
        return head

    async def _body(self, answer: Answer, pause: float) -> None:
        framing = answer.head.framing()
        if framing == "chunked":
            while chunk := await read_chunk(self.reader):
                answer.take(chunk)
                await asyncio.sleep(pause)
            await read_trailers(self.reader)
            return
        rest = framing if isinstance(framing, int) else float("inf")
        while answer.size < rest:
            data = await self.reader.read(int(min(rest - answer.size, _PIECE)))
            if not data:
                if isinstance(framing, int):
                    raise asyncio.IncompleteReadError(b"", framing)
                return
            answer.take(data)
            await asyncio.sleep(pause)

    def half_close(self) -> None:
        self._writer.write_eof()

    def leave(self, *, rudely: bool = False) -> None:
        """Close, with a RST if rudely."""
        if rudely and not self._writer.is_closing():
            reset(self._writer)
        else:
            self._writer.close()
