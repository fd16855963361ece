"""One side of HTTP/2 for the benchmark's streams: frames as fast as Python splits them, and no rule checked.

Messages are those of gRPC. The receiver counts bytes, because a proxy may join or split DATA frames.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from tests.bench.cells import MESSAGE

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
DEFAULT_WINDOW, MOST = (1 << 16) - 1, (1 << 31) - 1
SIZE: Final = 5 + MESSAGE
"""Bytes of a message with gRPC's prefix."""
PREFIX: Final = b"\0" + MESSAGE.to_bytes(4, "big")
_ON_STREAMS = (DATA, HEADERS, RST_STREAM)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def setting(number: int, value: int) -> bytes:
    """One entry of a SETTINGS frame."""
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


class Side(asyncio.Protocol):
    """Allows the other side's connection as much as HTTP/2 can, and counts what the other side allows."""

    def __init__(self, limits: bytes = b"", *, window: int = MOST) -> None:
        """Send these entries of SETTINGS too. `window` is what each stream of the other side may send, in all."""
        self._settings = setting(INITIAL_WINDOW_SIZE, window) + limits
        self._read = b""
        self.preface = b""
        """Bytes that come before the first frame."""
        self.window = DEFAULT_WINDOW
        """What each new stream may send."""
        self.credit = DEFAULT_WINDOW
        """What all streams together may send."""
        self.write: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.write = self.transport.write
        update = (MOST - DEFAULT_WINDOW).to_bytes(4, "big")
        self.write(frame(SETTINGS, 0, 0, self._settings) + frame(WINDOW_UPDATE, 0, 0, update))

    def data_received(self, data: bytes) -> None:
        data, at = self._read + data, 0
        if self.preface and len(data) >= len(self.preface):
            at, self.preface = len(self.preface), b""
        while not self.preface and len(data) >= at + 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            if kind in _ON_STREAMS:
                self.arrived(kind, flags, stream, data[at + 9 : end])
            else:
                self._control(kind, flags, stream, data[at + 9 : end])
            at = end
        self._read = data[at:]
        self.read()

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            size = int.from_bytes(payload, "big")
            if stream:
                self.allowed(stream, size)
            else:
                self.credit += size
        elif kind == PING and not flags & ACK:
            self.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.left(payload)
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                if int.from_bytes(payload[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                    self.window = int.from_bytes(payload[at + 2 : at + 6], "big")
            self.write(frame(SETTINGS, ACK, 0))

    def arrived(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Take DATA, HEADERS or RST_STREAM."""

    def read(self) -> None:
        """Do what is due after all frames of a read."""

    def allowed(self, stream: int, size: int) -> None:
        """Count what a stream may send in addition."""

    def left(self, payload: bytes) -> None:
        """Take a GOAWAY."""
