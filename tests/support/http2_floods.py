"""Floods of valid frames, or of faults that end a stream only: a client of the sidecar sends each over and over."""

from collections.abc import Callable

from tests.support.http2_peer import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    settings,
)

GET = b"\x82\x86\x84\x01\x09localhost"
POST = b"\x83\x86\x84\x01\x09localhost"
ENOUGH = 20_000
"""Frames, or pairs of frames, within which the sidecar must end the connection."""


def opened(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, POST)


def odd(number: int) -> int:
    return 2 * number + 1


FLOODS: dict[str, Callable[[int], bytes]] = {
    "rapid reset": lambda number: (
        frame(HEADERS, END_HEADERS | END_STREAM, odd(number), GET)
        + frame(RST_STREAM, 0, odd(number), b"\0\0\0\x08")
    ),
    "rapid reset of uploads": lambda number: (
        opened(odd(number)) + frame(RST_STREAM, 0, odd(number), b"\0\0\0\x08")
    ),
    "made you reset by WINDOW_UPDATE of 0": lambda number: (
        opened(odd(number)) + frame(WINDOW_UPDATE, 0, odd(number), bytes(4))
    ),
    "made you reset by a window too large": lambda number: (
        opened(odd(number)) + frame(WINDOW_UPDATE, 0, odd(number), b"\x7f\xff\xff\xff")
    ),
    "made you reset by PRIORITY": lambda number: (
        opened(odd(number)) + frame(PRIORITY, 0, odd(number), odd(number).to_bytes(4, "big") + b"\0")
    ),
    "made you reset by PRIORITY of 4 bytes": lambda number: (
        opened(odd(number)) + frame(PRIORITY, 0, odd(number), bytes(4))
    ),
    "made you reset by DATA after the end": lambda number: (
        frame(HEADERS, END_HEADERS | END_STREAM, odd(number), GET) + frame(DATA, 0, odd(number), b"x")
    ),
    "made you reset by a malformed head": lambda number: frame(
        HEADERS, END_HEADERS | END_STREAM, odd(number), b"\x82" + GET
    ),
    "made you reset by trailers that do not end": lambda number: (
        opened(odd(number)) + frame(HEADERS, END_HEADERS, odd(number), b"\x00\x01a\x01v")
    ),
    "PING": lambda _: frame(PING, 0, 0, b"12345678"),
    "SETTINGS": lambda _: frame(SETTINGS, 0, 0),
    "SETTINGS that change windows": lambda number: settings((4, 1000 + number % 2)),
    "empty DATA": lambda number: opened(1) if not number else frame(DATA, 0, 1),
    "DATA of padding only": lambda number: opened(1) if not number else frame(DATA, 0x8, 1, b"\0"),
    "PRIORITY": lambda _: frame(PRIORITY, 0, 7, bytes(5)),
    "unknown frames": lambda _: frame(0x55, 0, 0),
    "empty CONTINUATION": lambda number: (
        frame(HEADERS, END_STREAM, 1, GET) if not number else frame(CONTINUATION, 0, 1)
    ),
    "CONTINUATION": lambda number: (
        frame(HEADERS, END_STREAM, 1, GET)
        if not number
        else frame(CONTINUATION, 0, 1, b"\x00\x01a\x01v" * 100)
    ),
    "CONTINUATION that is one field": lambda number: (
        frame(HEADERS, END_STREAM, 1, GET + b"\x00\x01a\x7f\xff\xff\xff\x03")
        if not number
        else frame(CONTINUATION, 0, 1, bytes(16_384))
    ),
}
