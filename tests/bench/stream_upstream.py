"""The upstream of the streams: sends each message back, as often as the message requests.

A program: `python -m tests.bench.stream_upstream --port 8000 --ready-port 8001 --token T`.
"""

import argparse
import asyncio
from dataclasses import dataclass

import uvloop
from hpack import Decoder

from tests.bench.cells import MESSAGE
from tests.bench.stream_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_CONCURRENT_STREAMS,
    PREFACE,
    PREFIX,
    RST_STREAM,
    SIZE,
    Side,
    frame,
    setting,
)

STREAMS = 100
"""At the same time on one connection, as many servers allow."""
HEAD = b"\x88\x0f\x10\x10application/grpc"
"""Status 200 and the content type."""
TRAILERS = b"\x00\x0bgrpc-status\x010"
REFUSED = HEAD + b"\x00\x0bgrpc-status\x0216"


@dataclass
class Stream:
    """One call."""

    credit: int
    received: bytes = b""
    """Of a message that has not arrived whole."""
    owed: int = 0
    """Messages to send."""
    ended: bool = False


class Connection(Side):
    """One connection of a proxy."""

    def __init__(self, required: tuple[bytes, bytes]) -> None:
        """Refuse calls without this field."""
        super().__init__(setting(MAX_CONCURRENT_STREAMS, STREAMS))
        self.preface = PREFACE
        self._required = required
        self._decoder = Decoder()
        self._streams: dict[int, Stream] = {}
        self._due: dict[int, Stream] = {}
        """Streams with messages to send."""

    def arrived(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == RST_STREAM:
            self._streams.pop(stream, None)
            self._due.pop(stream, None)
            return
        if kind == HEADERS:
            assert flags & END_HEADERS
            assert not flags & ~(END_HEADERS | END_STREAM)
            if self._required not in map(tuple, self._decoder.decode(payload, raw=True)):
                self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, REFUSED))
                return
            self.write(frame(HEADERS, END_HEADERS, stream, HEAD))
            self._streams[stream] = Stream(self.window)
        call = self._streams.get(stream)
        if call is None:
            return
        if kind == DATA:
            data = call.received + payload
            whole = len(data) - len(data) % SIZE
            call.owed += sum(
                int.from_bytes(data[at + len(PREFIX) : at + len(PREFIX) + 2], "big")
                for at in range(0, whole, SIZE)
            )
            call.received = data[whole:]
        call.ended = bool(flags & END_STREAM)
        self._due[stream] = call

    def read(self) -> None:
        """Send pending messages, as far as windows allow."""
        parts = []
        for number, call in list(self._due.items()):
            count = min(call.owed, call.credit // SIZE, self.credit // SIZE)
            call.owed -= count
            call.credit -= count * SIZE
            self.credit -= count * SIZE
            parts.append(frame(DATA, 0, number, PREFIX + bytes(MESSAGE)) * count)
            if call.owed:
                continue
            del self._due[number]
            if call.ended:
                parts.append(frame(HEADERS, END_HEADERS | END_STREAM, number, TRAILERS))
                del self._streams[number]
        if parts:
            self.write(b"".join(parts))

    def allowed(self, stream: int, size: int) -> None:
        if (call := self._streams.get(stream)) is not None:
            call.credit += size


async def ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer any HTTP/1.1 request with 200: the benchmark waits for that."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


async def serve(port: int, ready_port: int, token: str) -> None:
    required = b"authorization", b"Bearer " + token.encode()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(required), "127.0.0.1", port)
    async with server, await asyncio.start_server(ready, "127.0.0.1", ready_port):
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-port", type=int, required=True)
    parser.add_argument("--token", required=True)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.ready_port, options.token))


if __name__ == "__main__":
    main()
