"""The clients of the streams: each stream is a call; the next one begins as soon as it has ended."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from hpack import Encoder

from tests.bench.cells import MESSAGE
from tests.bench.processes import BenchmarkError
from tests.bench.stream_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MOST,
    PREFACE,
    PREFIX,
    RST_STREAM,
    SIZE,
    Side,
    frame,
)

MOST_REPLIES = (1 << 16) - 1


@dataclass(frozen=True)
class Call:
    """What a client does on each stream."""

    sent: int
    """Messages of the client, each after the replies to the one before."""
    replies: int
    """Messages in answer to each."""
    stays: bool = False
    """Whether the stream stays open after its last message, and no other follows."""


def _message(replies: int) -> bytes:
    return PREFIX + replies.to_bytes(2, "big") + bytes(MESSAGE - 2)


class Connection(Side):
    """One connection to a proxy."""

    def __init__(self, call: Call, streams: int, address: str, window: int = MOST) -> None:
        super().__init__(window=window)
        self._call = call
        self._first = streams
        self._fields = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/bench.Streams/Stream"),
            (":authority", address),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )
        self._encoder = Encoder()
        self._open: dict[int, tuple[int, int]] = {}
        """By stream: messages sent, and bytes that are still to come in answer to them."""
        self._next = 1
        self._message = _message(call.replies)
        self._parts: list[bytes] = []
        self._began: dict[int, float] = {}
        self._unread = 0
        """The stream that is not read."""
        self.took: list[float] = []
        """Seconds of each call."""
        self.received = 0
        """Bytes of messages."""
        self.answered = 0
        """Streams whose last message has been answered."""
        self.calls = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(PREFACE)
        super().connection_made(transport)
        for _ in range(self._first):
            self._begin()
        self.read()

    @property
    def unread(self) -> int:
        """Bytes that have arrived of the stream that is not read."""
        return MOST_REPLIES * SIZE - self._open[self._unread][1]

    def connection_lost(self, error: Exception | None) -> None:
        if not self._stopped:
            self._fail("closed its connection")

    def stop(self) -> None:
        self._stopped = True
        self.failed.cancel()
        self.transport.abort()

    def _begin(self) -> None:
        number, self._next = self._next, self._next + 2
        self._parts.append(frame(HEADERS, END_HEADERS, number, self._encoder.encode(self._fields)))
        self._began[number] = time.perf_counter()
        self._send(number, 1)

    def begin_unread(self) -> None:
        """Open a stream of more messages than its window allows: the client never returns credit for a stream."""
        number, self._next = self._next, self._next + 2
        self._unread = number
        self._open[number] = self._call.sent, MOST_REPLIES * SIZE
        head = frame(HEADERS, END_HEADERS, number, self._encoder.encode(self._fields))
        self.write(head + frame(DATA, END_STREAM, number, _message(MOST_REPLIES)))

    def _send(self, number: int, count: int) -> None:
        """Send the message of that number. A proxy returns credit long before a window is used up."""
        last = count == self._call.sent and not self._call.stays
        self._parts.append(frame(DATA, END_STREAM if last else 0, number, self._message))
        self._open[number] = count, self._call.replies * SIZE
        self.credit -= SIZE

    def arrived(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        count, expected = self._open[stream]
        if kind == DATA:
            expected -= len(payload)
            self.received += len(payload)
            self._open[stream] = count, expected
            if not expected and count < self._call.sent:
                self._send(stream, count + 1)
            elif not expected:
                self.answered += 1
        if kind == RST_STREAM or (flags & END_STREAM and (expected or count < self._call.sent)):
            self._fail(f"ended stream {stream} before its last message")
        elif flags & END_STREAM:
            del self._open[stream]
            self.took.append(time.perf_counter() - self._began.pop(stream))
            self.calls += 1
            self._begin()

    def read(self) -> None:
        if self.credit < 0:
            self._fail("returned too little credit")
        if self._parts:
            self.write(b"".join(self._parts))
            self._parts.clear()

    def left(self, payload: bytes) -> None:
        self._fail(f"sent GOAWAY {payload!r}")

    def _fail(self, why: str) -> None:
        if not self.failed.done():
            self.failed.set_exception(BenchmarkError(f"the proxy {why}"))


async def connect(netloc: str, call: Call, connections: int, streams: int, window: int) -> list[Connection]:
    """Open the connections, and as many streams on each."""
    loop = asyncio.get_running_loop()
    host, _, port = netloc.partition(":")
    opened = []
    for _ in range(connections):
        _, side = await loop.create_connection(
            lambda: Connection(call, streams, netloc, window), host, int(port)
        )
        opened.append(side)
    return opened


async def going_on(clients: Sequence[Connection], seconds: float) -> None:
    """Let them run for that long. Raises `BenchmarkError` as soon as a call fails."""
    failed, _ = await asyncio.wait(
        [client.failed for client in clients], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
    )
    for each in failed:
        each.result()
