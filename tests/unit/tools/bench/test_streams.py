"""The benchmark's streams: both ends count messages however a proxy cuts them, and send no more than windows allow."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hpack import Encoder

from tests.bench.stream_client import Call
from tests.bench.stream_client import Connection as Client
from tests.bench.stream_frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    PREFIX,
    SETTINGS,
    SIZE,
    WINDOW_UPDATE,
    Side,
    frame,
    setting,
)
from tests.bench.stream_upstream import REFUSED, TRAILERS
from tests.bench.stream_upstream import Connection as Upstream

WINDOW_OF_TWO = frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 2 * SIZE + 30))


class Wire(asyncio.Transport):
    """What a side writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.written.clear()

    def taken(self) -> bytes:
        data = b"".join(self.written)
        self.written.clear()
        return data


def head(token: str = "t") -> bytes:
    return frame(HEADERS, END_HEADERS, 1, Encoder().encode([("authorization", f"Bearer {token}")]))


def message(replies: int) -> bytes:
    return (PREFIX + replies.to_bytes(2, "big")).ljust(SIZE, b"\0")


def upstream(required: tuple[bytes, bytes] = (b"authorization", b"Bearer t")) -> tuple[Wire, Upstream]:
    """Return a connection that has sent its settings."""
    wire, side = Wire(), Upstream(required)
    side.connection_made(wire)
    wire.taken()
    return wire, side


def frames(data: bytes) -> list[tuple[int, int, int]]:
    """Return kind, flags and length of each."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], size))
        data = data[9 + size :]
    return found


def test_the_upstream_sends_what_windows_allow() -> None:
    """Whole messages, the rest after more credit; trailers come last."""
    wire, side = upstream()
    side.data_received(PREFACE + WINDOW_OF_TWO + head() + frame(DATA, END_STREAM, 1, message(5)))
    sent = frames(wire.taken())
    assert sent[0] == (SETTINGS, ACK, 0)
    assert sent[1][0] == HEADERS
    assert sent[2:] == [(DATA, 0, SIZE)] * 2
    side.data_received(frame(WINDOW_UPDATE, 0, 1, (2 * SIZE).to_bytes(4, "big")))
    assert frames(wire.taken()) == [(DATA, 0, SIZE)] * 2
    side.data_received(frame(WINDOW_UPDATE, 0, 1, SIZE.to_bytes(4, "big")))
    assert frames(wire.taken()) == [
        (DATA, 0, SIZE),
        (HEADERS, END_HEADERS | END_STREAM, len(TRAILERS)),
    ]


@pytest.mark.parametrize(
    "parts",
    [[330], [110, 110, 110], [1, 109, 220], [4, 2, 1, 323], [0, 330, 0]],
    ids=["joined", "as sent", "cut in the prefix", "cut in the number", "empty frames"],
)
def test_the_upstream_counts_messages_however_they_are_cut(parts: Sequence[int]) -> None:
    """Three that request 1, 2 and 3."""
    wire, side = upstream()
    side.data_received(PREFACE + head())
    wire.taken()
    data = message(1) + message(2) + message(3)
    for size in parts:
        part, data = data[:size], data[size:]
        side.data_received(frame(DATA, 0, 1, part))
    assert frames(wire.taken()) == [(DATA, 0, SIZE)] * 6


def test_the_upstream_reads_frames_byte_by_byte() -> None:
    """Also the preface."""
    wire, side = upstream()
    for byte in PREFACE + head() + frame(DATA, END_STREAM, 1, message(1)):
        side.data_received(bytes((byte,)))
    assert [kind for kind, _, _ in frames(wire.taken())] == [HEADERS, DATA, HEADERS]


def test_the_upstream_refuses_another_token() -> None:
    """With UNAUTHENTICATED, before any message."""
    wire, side = upstream()
    side.data_received(PREFACE + head("another"))
    assert wire.taken() == frame(HEADERS, END_HEADERS | END_STREAM, 1, REFUSED)


def exchange(client: Side, client_wire: Wire, far: Side, far_wire: Wire, times: int) -> None:
    """Pass on what each has written, that often."""
    for _ in range(times):
        far.data_received(client_wire.taken())
        client.data_received(far_wire.taken())


@pytest.mark.parametrize(
    ("call", "turns", "received"),
    [
        (Call(sent=1, replies=100), 3, 900),
        (Call(sent=3, replies=2), 9, 54),
        (Call(sent=2, replies=1, stays=True), 9, 6),
    ],
    ids=["server streaming", "both ways", "stays open"],
)
async def test_client_and_upstream_exchange_messages(call: Call, turns: int, received: int) -> None:
    """Without a proxy: as many calls as there were turns for, on three streams."""
    wire, far = upstream(required=(b"te", b"trailers"))
    own, client = Wire(), Client(call, 3, "far")
    client.connection_made(own)
    exchange(client, own, far, wire, turns)
    assert client.received == received * SIZE
    assert client.calls == (0 if call.stays else received // (call.sent * call.replies))
    assert not client.failed.done()


@pytest.mark.parametrize("end", [lambda: frame(3, 0, 1, bytes(4)), lambda: frame(7, 0, 0, bytes(8))])
async def test_a_client_fails_when_its_stream_or_its_connection_ends(end: Callable[[], bytes]) -> None:
    """RST_STREAM and GOAWAY."""
    own, client = Wire(), Client(Call(sent=1, replies=1), 1, "far")
    client.connection_made(own)
    client.data_received(end())
    assert client.failed.exception() is not None


async def test_a_client_calls_on_beside_a_stream_that_it_does_not_read() -> None:
    """The upstream sends what that stream's window allows, and no more."""
    wire, far = upstream(required=(b"te", b"trailers"))
    own, client = Wire(), Client(Call(sent=1, replies=1), 2, "far", 3 * SIZE + 50)
    client.connection_made(own)
    client.begin_unread()
    exchange(client, own, far, wire, 10)
    assert client.unread == 3 * SIZE
    assert client.calls == len(client.took) == 20
    assert not client.failed.done()
