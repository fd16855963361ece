"""The rules of `http2.connection`, `http2.server` and `http2.limits` over raw frames, each cut at every byte."""

import asyncio
import socket
import tracemalloc
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.core.problem import Problem, render
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.server import ClientConnection as Http1Connection
from sidecar.http1.shared.exchange import Exchange
from sidecar.http1.shared.listener import Listener
from sidecar.http2 import frames
from sidecar.http2.fields import field
from sidecar.http2.frames import ErrorCode, frame
from sidecar.http2.limits import (
    CONNECTION_WINDOW,
    MAX_CONTINUATIONS,
    MAX_STREAMS,
    MOST_IDLE_FRAMES,
    MOST_RESETS,
    MOST_SETTINGS,
    STREAM_WINDOW,
    UNDER_WAY,
)
from sidecar.http2.outgoing import Outbox
from sidecar.http2.relay import Relay
from sidecar.http2.server import ClientConnection, Service
from tests.support.clock import FakeClock, settle
from tests.support.waiting import PATIENCE

SETTINGS = frames.settings([])
PING = frames.ping(b"alive...")
Fields = Sequence[tuple[bytes, bytes]]
USUAL: Fields = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"localhost"),
    (b":path", b"/"),
)


def block(fields: Fields = USUAL, *more: tuple[bytes, bytes]) -> bytes:
    return b"".join(field(name, value).wire for name, value in (*fields, *more))


def head(stream: int = 1, *more: tuple[bytes, bytes], end: bool = False, fields: Fields = USUAL) -> bytes:
    return frames.headers(stream, block(fields, *more), end_stream=end)


def data(stream: int, content: bytes = b"", flags: int = 0) -> bytes:
    return frame(frames.DATA, flags, stream, content)


def without(name: bytes) -> Fields:
    return tuple(pair for pair in USUAL if pair[0] != name)


async def forever(exchange: Exchange) -> bool:
    """A story whose answer never comes."""
    try:
        return await exchange.waiting(_never())
    finally:
        exchange.end()


async def _never() -> bool:
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    return await future


async def refusing(exchange: Exchange) -> bool:
    """A story that answers at once."""
    exchange.answer_ourselves(render(RequestRefused(404, "none"), "id"), close=False)
    exchange.end()
    return True


async def never_ready(exchange: Exchange) -> bool:
    """A story that has no upstream after a while, and gives none of the content to one."""
    await exchange.waiting(asyncio.sleep(0))
    return await refusing(exchange)


async def broken(exchange: Exchange) -> bool:
    """A story that raises what no story expects."""
    raise KeyError(exchange.request.method)


async def streaming(exchange: Exchange) -> bool:
    """A story that answers with more than the client's windows allow."""
    exchange.answer_ourselves(render(RequestRefused(404, "none" * 50_000), "id"), close=False)
    return await forever(exchange)


def refused(refusal: RequestRefused) -> Problem:
    return render(refusal, "id")


class Rig:
    """A client's connection that a test feeds, and the other end of its socket."""

    def __init__(self, story: Callable[[Exchange], Coroutine[object, None, bool]]) -> None:
        async def http1(client: Http1Connection) -> None:
            raise AssertionError(client)

        self.clock = FakeClock()
        self.deadlines = Deadlines(self.clock)
        self.listener = Listener(http1, self.deadlines, ServerLimits())
        self.broken: list[Exception] = []
        parts = (ReplayBudget(), self.clock, Outbox())
        service = Service(story, refused, *parts, broken=self.broken.append, relays=Relay)
        self.connection = ClientConnection(self.listener, service)
        ours, self._theirs = socket.socketpair()
        self._ours = ours

    async def __aenter__(self) -> "Rig":
        protocol = cast(asyncio.BaseProtocol, self.connection)
        await asyncio.get_running_loop().create_connection(lambda: protocol, sock=self._ours)
        self._theirs.settimeout(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.connection.transport.abort()
        self._theirs.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def feed(self, sent: bytes, *, cut: bool) -> None:
        for piece in [sent[at : at + 1] for at in range(len(sent))] if cut else [sent]:
            self.connection.data_received(piece)

    async def written(self) -> list[tuple[int, int, int, bytes]]:
        """Everything that was sent so far, or until the end: kind, flags, stream, payload."""
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        arrived = b""
        end = frames.ping(b"the end!")
        if not self.connection.failed:
            self.connection.put(end)
            self.connection.flush()
        async with asyncio.timeout(PATIENCE):
            while not arrived.endswith(end) and (more := await loop.sock_recv(self._theirs, 1 << 20)):
                arrived += more
        found = []
        while arrived:
            length = int.from_bytes(arrived[:3], "big")
            found.append(
                (arrived[3], arrived[4], int.from_bytes(arrived[5:9], "big"), arrived[9 : 9 + length])
            )
            arrived = arrived[9 + length :]
        return found


def codes(written: list[tuple[int, int, int, bytes]]) -> tuple[list[str], list[tuple[int, str]], bool]:
    """The codes of GOAWAY and of resets, and whether a PING was answered."""
    goaways = [
        ErrorCode(int.from_bytes(payload[4:8], "big")).name for kind, _, _, payload in written if kind == 7
    ]
    resets = [
        (number, ErrorCode(int.from_bytes(payload, "big")).name)
        for kind, _, number, payload in written
        if kind == 3
    ]
    return goaways, resets, any((kind, flags) == (frames.PING, frames.ACK) for kind, flags, _, _ in written)


OF_THE_CONNECTION: dict[str, tuple[bytes, str]] = {
    "another first frame": (PING, "PROTOCOL_ERROR"),
    "an acknowledgement first": (frames.SETTINGS_ACK, "PROTOCOL_ERROR"),
    "DATA on the connection": (SETTINGS + data(0, b"x"), "PROTOCOL_ERROR"),
    "HEADERS on the connection": (SETTINGS + head(0), "PROTOCOL_ERROR"),
    "SETTINGS on a stream": (SETTINGS + frame(frames.SETTINGS, 0, 1, b""), "PROTOCOL_ERROR"),
    "PING on a stream": (SETTINGS + frame(frames.PING, 0, 1, bytes(8)), "PROTOCOL_ERROR"),
    "GOAWAY on a stream": (SETTINGS + frame(frames.GOAWAY, 0, 1, bytes(8)), "PROTOCOL_ERROR"),
    "a frame that is too long": (SETTINGS + frames.head(16_385, frames.DATA, 0, 1), "FRAME_SIZE_ERROR"),
    "an unknown frame that is too long": (SETTINGS + frames.head(16_385, 99, 0, 1), "FRAME_SIZE_ERROR"),
    "a PING of seven": (SETTINGS + frame(frames.PING, 0, 0, bytes(7)), "FRAME_SIZE_ERROR"),
    "SETTINGS of five": (SETTINGS + frame(frames.SETTINGS, 0, 0, bytes(5)), "FRAME_SIZE_ERROR"),
    "an ACK with a setting": (SETTINGS + frame(frames.SETTINGS, 1, 0, bytes(6)), "FRAME_SIZE_ERROR"),
    "a window of 2^31": (frames.settings([(frames.INITIAL_WINDOW_SIZE, 1 << 31)]), "FLOW_CONTROL_ERROR"),
    "a frame size of 16383": (frames.settings([(frames.MAX_FRAME_SIZE, 16_383)]), "PROTOCOL_ERROR"),
    "push of 2": (frames.settings([(frames.ENABLE_PUSH, 2)]), "PROTOCOL_ERROR"),
    "DATA on an idle stream": (SETTINGS + data(1, b"x"), "PROTOCOL_ERROR"),
    "RST_STREAM on an idle stream": (SETTINGS + frames.rst_stream(1, 0), "PROTOCOL_ERROR"),
    "WINDOW_UPDATE on an idle stream": (SETTINGS + frames.window_update(1, 1), "PROTOCOL_ERROR"),
    "a PRIORITY of four on an idle stream": (
        SETTINGS + frame(frames.PRIORITY, 0, 1, bytes(4)),
        "FRAME_SIZE_ERROR",
    ),
    "a PRIORITY of the idle stream itself": (
        SETTINGS + head(1) + frame(frames.PRIORITY, 0, 3, b"\0\0\0\3\0"),
        "PROTOCOL_ERROR",
    ),
    "a PRIORITY of six on a server's stream": (
        SETTINGS + head(3) + frame(frames.PRIORITY, 0, 2, bytes(6)),
        "FRAME_SIZE_ERROR",
    ),
    "an idle stream's window that grows by 0": (SETTINGS + frames.window_update(1, 0), "PROTOCOL_ERROR"),
    "DATA on a server's stream": (SETTINGS + head(3) + data(2, b"x"), "PROTOCOL_ERROR"),
    "a stream of an even number": (SETTINGS + head(2), "PROTOCOL_ERROR"),
    "a stream of a lower number": (SETTINGS + head(5) + head(3), "STREAM_CLOSED"),
    "a header block of garbage": (
        SETTINGS + frames.headers(1, b"\xff\xff\xff", end_stream=False),
        "COMPRESSION_ERROR",
    ),
    "a block that another frame interrupts": (
        SETTINGS + frame(frames.HEADERS, 0, 1, block()) + PING,
        "PROTOCOL_ERROR",
    ),
    "a block that another stream interrupts": (
        SETTINGS + frame(frames.HEADERS, 0, 1, block()) + frame(frames.CONTINUATION, 4, 3, b""),
        "PROTOCOL_ERROR",
    ),
    "CONTINUATION without a block": (SETTINGS + frame(frames.CONTINUATION, 4, 1, b""), "PROTOCOL_ERROR"),
    "CONTINUATION after its block": (
        SETTINGS + head() + frame(frames.CONTINUATION, 4, 1, b""),
        "PROTOCOL_ERROR",
    ),
    "PUSH_PROMISE": (SETTINGS + head() + frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), "PROTOCOL_ERROR"),
    "a window that grows by 0": (SETTINGS + frames.window_update(0, 0), "PROTOCOL_ERROR"),
    "a window over 2^31-1": (SETTINGS + frames.window_update(0, (1 << 31) - 1), "FLOW_CONTROL_ERROR"),
    "a setting that makes a window too large": (
        SETTINGS
        + head()
        + frames.window_update(1, (1 << 31) - 1 - 65_535)
        + frames.settings([(frames.INITIAL_WINDOW_SIZE, 65_536)]),
        "FLOW_CONTROL_ERROR",
    ),
    "a new stream that depends on itself": (
        SETTINGS + frame(frames.HEADERS, 0x24, 1, (1).to_bytes(4, "big") + b"\0" + block()),
        "PROTOCOL_ERROR",
    ),
    "padding that is longer than its frame": (SETTINGS + head() + data(1, b"\x05abcd", 8), "PROTOCOL_ERROR"),
    "too many CONTINUATION frames": (
        SETTINGS
        + frame(frames.HEADERS, 0, 1, block())
        + frame(frames.CONTINUATION, 0, 1, b"") * (MAX_CONTINUATIONS + 1),
        "ENHANCE_YOUR_CALM",
    ),
}


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("case", OF_THE_CONNECTION)
async def test_b98_a_fault_of_the_connection_ends_it(case: str, *, cut: bool) -> None:
    """With GOAWAY and its code; nothing that follows is read."""
    sent, code = OF_THE_CONNECTION[case]
    async with Rig(forever) as rig:
        rig.feed(sent + PING, cut=cut)
        goaways, _, alive = codes(await rig.written())
        assert (goaways, alive, rig.listener.busy) == ([code], False, 0)


OF_A_STREAM: dict[str, tuple[bytes, str]] = {
    "no :method": (head(fields=without(b":method")), "PROTOCOL_ERROR"),
    "no :path": (head(fields=without(b":path")), "PROTOCOL_ERROR"),
    "no :scheme": (head(fields=without(b":scheme")), "PROTOCOL_ERROR"),
    "no authority": (head(fields=without(b":authority")), "PROTOCOL_ERROR"),
    "a pseudo-field twice": (head(1, (b":path", b"/")), "PROTOCOL_ERROR"),
    "a pseudo-field after a field": (head(fields=((b"a", b"b"), *USUAL)), "PROTOCOL_ERROR"),
    "an unknown pseudo-field": (head(fields=((b":protocol", b"websocket"), *USUAL)), "PROTOCOL_ERROR"),
    "an upper-case name": (head(1, (b"X-A", b"b")), "PROTOCOL_ERROR"),
    "a connection field": (head(1, (b"connection", b"close")), "PROTOCOL_ERROR"),
    "te: gzip": (head(1, (b"te", b"gzip")), "PROTOCOL_ERROR"),
    "another host": (head(1, (b"host", b"elsewhere")), "PROTOCOL_ERROR"),
    "a line feed in a value": (head(1, (b"a", b"b\nc")), "PROTOCOL_ERROR"),
    "a length that is exceeded": (head(1, (b"content-length", b"1")) + data(1, b"ab"), "PROTOCOL_ERROR"),
    "a length that is not reached": (
        head(1, (b"content-length", b"3")) + data(1, b"ab", 1),
        "PROTOCOL_ERROR",
    ),
    "a length without content": (head(1, (b"content-length", b"3"), end=True), "PROTOCOL_ERROR"),
    "a length that trailers cut": (
        head(1, (b"content-length", b"3")) + frames.headers(1, field(b"a", b"b").wire, end_stream=True),
        "PROTOCOL_ERROR",
    ),
    "trailers that end nothing": (
        head() + frames.headers(1, field(b"a", b"b").wire, end_stream=False),
        "PROTOCOL_ERROR",
    ),
    "trailers with a pseudo-field": (head() + frames.headers(1, block(), end_stream=True), "PROTOCOL_ERROR"),
    "DATA after the end": (head(end=True) + data(1, b"x"), "STREAM_CLOSED"),
    "HEADERS after the end": (head(end=True) + head(end=True), "STREAM_CLOSED"),
    "a window that grows by 0": (head() + frames.window_update(1, 0), "PROTOCOL_ERROR"),
    "a window over 2^31-1": (head() + frames.window_update(1, (1 << 31) - 1), "FLOW_CONTROL_ERROR"),
    "two faults": (
        head() + frame(frames.PRIORITY, 0, 1, bytes(4)) + frame(frames.PRIORITY, 0, 1, bytes(6)),
        "FRAME_SIZE_ERROR",
    ),
    "a fault after another": (
        head() + frames.window_update(1, 0) + frame(frames.PRIORITY, 0, 1, bytes(4)),
        "PROTOCOL_ERROR",
    ),
    "a window that grows by 0 twice": (head() + frames.window_update(1, 0) * 2, "PROTOCOL_ERROR"),
    "a PRIORITY of four": (head() + frame(frames.PRIORITY, 0, 1, bytes(4)), "FRAME_SIZE_ERROR"),
    "more than the window": (
        head() + data(1, bytes(16_384)) * (STREAM_WINDOW // 16_384) + data(1, b"x"),
        "FLOW_CONTROL_ERROR",
    ),
}


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("case", OF_A_STREAM)
async def test_b98_a_fault_of_a_stream_ends_the_stream_only(case: str, *, cut: bool) -> None:
    """It is reset with its code, its story ends, and the connection serves on."""
    sent, code = OF_A_STREAM[case]
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + sent + PING + head(3), cut=cut and len(sent) < 10_000)
        goaways, resets, alive = codes(await rig.written())
        assert (goaways, resets, alive) == ([], [(1, code)], True)
        assert rig.listener.busy == 1


FLOODS: dict[str, bytes] = {
    "PING": PING * (MOST_IDLE_FRAMES + 1),
    "SETTINGS": SETTINGS * MOST_SETTINGS,
    "PRIORITY": frame(frames.PRIORITY, 0, 1, bytes(5)) * (MOST_IDLE_FRAMES + 1),
    "unknown frames": frame(99, 0, 0, b"") * (MOST_IDLE_FRAMES + 1),
    "empty DATA": head() + data(1) * (MOST_IDLE_FRAMES + 1),
    "padding without content": head() + data(1, b"\x01\0", 8) * (MOST_IDLE_FRAMES + 1),
    "credit of the connection": frames.window_update(0, 1) * (MOST_IDLE_FRAMES + 2),
    "credit of a stream": head() + frames.window_update(1, 1) * (MOST_IDLE_FRAMES + 2),
    "credit of a stream that has ended": head()
    + frames.rst_stream(1, 8)
    + frames.window_update(1, 1) * (MOST_IDLE_FRAMES + 2),
    "credit of both in turn": head()
    + (frames.window_update(0, 1) + frames.window_update(1, 1)) * (MOST_IDLE_FRAMES // 2 + 2),
    "rapid reset": b"".join(head(n) + frames.rst_stream(n, 8) for n in range(1, 2 * MOST_RESETS + 3, 2)),
    "made you reset": b"".join(
        head(n) + frames.window_update(n, 0) for n in range(1, 2 * MOST_RESETS + 3, 2)
    ),
    "DATA on a stream that has ended": head(1, end=True)
    + data(1, b"x") * 2
    + b"".join(head(n, end=True) + data(n, b"x") for n in range(3, 2 * MOST_RESETS + 3, 2)),
    "GOAWAY": frames.goaway(0, 0) * (MOST_IDLE_FRAMES + 1),
    "acknowledgements of a PING": frames.ping_ack(bytes(8)) * (MOST_IDLE_FRAMES + 1),
    "acknowledgements of SETTINGS": frames.SETTINGS_ACK * MOST_SETTINGS,
    "empty DATA on a stream that was reset": head()
    + frames.window_update(1, 0)
    + data(1) * (MOST_IDLE_FRAMES + UNDER_WAY + 1),
    "padding on a stream that was reset": head()
    + frames.window_update(1, 0)
    + data(1, b"\x01\0", 8) * (MOST_IDLE_FRAMES + UNDER_WAY + 1),
    "trailers on a stream that was reset": head()
    + frames.window_update(1, 0)
    + frames.headers(1, b"\x00\x01a\x01v", end_stream=True) * (MOST_IDLE_FRAMES + UNDER_WAY + 2),
    "heads on a stream that was reset": head()
    + frames.window_update(1, 0)
    + head(1) * (MOST_IDLE_FRAMES + UNDER_WAY + 2),
    "too many streams": b"".join(head(n) for n in range(1, 2 * (MAX_STREAMS + MOST_RESETS) + 3, 2)),
}


@pytest.mark.parametrize("case", FLOODS)
async def test_b98_a_flood_ends_its_connection(case: str) -> None:
    """Valid frames that cause work and bring nothing: ENHANCE_YOUR_CALM."""
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + FLOODS[case], cut=False)
        goaways, _, _ = codes(await rig.written())
        assert (goaways, rig.listener.busy) == (["ENHANCE_YOUR_CALM"], 0)


async def test_b98_the_allowance_grows_again() -> None:
    """With time: so a client that sends some now and then goes on."""
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + PING * MOST_IDLE_FRAMES, cut=False)
        await rig.clock.advance(2)
        rig.deadlines.tick()
        rig.feed(PING * 100, cut=False)
        goaways, _, alive = codes(await rig.written())
        assert (goaways, alive) == ([], True)


PROGRESS: dict[str, tuple[Callable[[Exchange], Coroutine[object, None, bool]], Callable[[int], bytes]]] = {
    "DATA": (forever, lambda n: data(1, b"x")),
    "requests": (refusing, lambda n: head(n, end=True)),
    "content that the client takes": (streaming, lambda n: frames.window_update(1, 10)),
}


@pytest.mark.parametrize("case", PROGRESS)
async def test_b98_a_ping_with_each_frame_of_progress_is_no_flood(case: str) -> None:
    """Clients of gRPC measure the connection with them; without progress the same PINGs are a flood."""
    story, progress = PROGRESS[case]
    async with Rig(story) as rig:
        rig.feed(SETTINGS + frames.window_update(0, 1 << 30) + head(1), cut=False)
        for number in range(3, 4 * MOST_IDLE_FRAMES, 2):
            rig.feed(progress(number) + PING, cut=False)
            if number % 99 == 0:
                assert codes(await rig.written())[::2] == ([], True)
        rig.feed(PING * (MOST_IDLE_FRAMES + 2), cut=False)
        assert codes(await rig.written())[0] == ["ENHANCE_YOUR_CALM"]


async def test_b98_credit_for_what_was_sent_is_no_flood() -> None:
    """However small the pieces in which the client takes it."""
    async with Rig(streaming) as rig:
        rig.feed(SETTINGS + head(1) + frames.window_update(1, 1 << 20), cut=False)
        for _ in range(6):
            rig.feed(frames.window_update(0, 10) * 1000 + frames.window_update(1, 10) * 1000, cut=False)
        assert codes(await rig.written()) == ([], [], False)


async def test_b98_credit_is_used_once_for_a_read() -> None:
    """A read of many WINDOW_UPDATEs sends what waits in frames that are no smaller than all of their credit."""
    async with Rig(streaming) as rig:
        rig.feed(SETTINGS + head(1) + frames.window_update(1, 1 << 20), cut=False)
        rig.feed(frames.window_update(0, 1) * 900, cut=False)
        sizes = [len(payload) for kind, _, _, payload in await rig.written() if kind == frames.DATA]
        assert (sum(sizes), sizes[-1]) == (frames.DEFAULT_WINDOW + 900, 900)


async def test_b98_the_last_value_of_a_setting_counts() -> None:
    """A frame changes the credit of all streams once, not with each of its values."""
    size = frames.INITIAL_WINDOW_SIZE
    values = [
        (size, frames.MAX_WINDOW),
        (size, 0),
        (size, frames.MAX_WINDOW),
        (size, frames.DEFAULT_WINDOW + 7),
    ]
    async with Rig(streaming) as rig:
        rig.feed(SETTINGS + head(1) + frames.window_update(1, 100_000) + frames.settings(values), cut=False)
        rig.feed(frames.window_update(0, 1000), cut=False)
        written = await rig.written()
        sizes = [len(payload) for kind, _, _, payload in written if kind == frames.DATA]
        assert (codes(written)[0], sum(sizes)) == ([], frames.DEFAULT_WINDOW + 1000)


async def test_b98_more_streams_than_allowed_are_refused_one_by_one() -> None:
    """With the code that lets a client send them again; those that there are go on."""
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + b"".join(head(n) for n in range(1, 2 * MAX_STREAMS + 3, 2)), cut=False)
        goaways, resets, _ = codes(await rig.written())
        assert (goaways, resets) == ([], [(2 * MAX_STREAMS + 1, "REFUSED_STREAM")])
        assert rig.listener.busy == MAX_STREAMS


async def test_frames_of_a_stream_that_the_sidecar_reset_are_ignored() -> None:
    """The client sent them before it knew; the decoder's table goes on all the same."""
    indexed = b"\x40\x01a\x01b"  # into the table
    sent = head(1, (b"content-length", b"1")) + data(1, b"ab") + data(1, b"cd")
    sent += frames.headers(1, indexed, end_stream=True) + frames.window_update(1, 5) + frames.rst_stream(1, 8)
    async with Rig(refusing) as rig:
        rig.feed(SETTINGS + sent + frames.headers(3, block() + b"\xbe", end_stream=True) + PING, cut=True)
        goaways, resets, alive = codes(await rig.written())
        assert (goaways, [code for number, code in resets if number == 3], alive) == ([], [], True)


async def test_small_frames_that_wait_take_little_more_memory_than_their_bytes() -> None:
    """Content of a request without a connection to send it on, and content that the client has no credit for."""
    size = STREAM_WINDOW // 4
    small = data(1, b"ab") * (size // 2)
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + frames.settings([(frames.INITIAL_WINDOW_SIZE, 0)]) + head(1), cut=False)
        stream = rig.connection.streams[1]
        tracemalloc.start()
        try:
            rig.feed(small, cut=False)
            kept = tracemalloc.get_traced_memory()[0]
            for number in range(size // 2):
                stream.send_body(number.to_bytes(2, "big"), end=False)
            waiting = tracemalloc.get_traced_memory()[0] - kept
        finally:
            tracemalloc.stop()
        assert (kept < 2 * size, waiting < 2 * size) == (True, True)
        rig.feed(frames.window_update(1, size), cut=False)
        sent = b"".join(payload for kind, _, _, payload in await rig.written() if kind == frames.DATA)
        assert sent == b"".join(number.to_bytes(2, "big") for number in range(size // 2))


async def test_padding_gives_its_credit_back_at_once() -> None:
    """It counts for both windows, and nothing of it is kept."""
    padded = data(1, b"\xfe" + bytes(255), 8)
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + head() + padded * 600, cut=False)
        written = await rig.written()
        granted = [
            payload for kind, _, number, payload in written if (kind, number) == (frames.WINDOW_UPDATE, 1)
        ]
        assert sum(int.from_bytes(payload, "big") for payload in granted) >= 600 * 256 - STREAM_WINDOW // 2
        assert codes(written)[0] == []


async def test_content_of_streams_that_are_gone_gives_the_connection_its_credit_back() -> None:
    """However many streams a client resets in the middle, the connection's window stays whole."""
    async with Rig(forever) as rig:
        sent = SETTINGS
        for number in range(1, 401, 2):
            sent += head(number) + data(number, bytes(16_384)) * 2 + frames.rst_stream(number, 8)
        rig.feed(sent, cut=False)
        granted = [
            int.from_bytes(payload, "big")
            for kind, _, number, payload in await rig.written()
            if (kind, number) == (frames.WINDOW_UPDATE, 0)
        ]
        assert sum(granted[1:]) >= 200 * 32_768 - CONNECTION_WINDOW // 2


REFUSED: dict[str, tuple[bytes, bytes]] = {
    "CONNECT": (head(fields=((b":method", b"CONNECT"), (b":authority", b"localhost:1")), end=True), b"400"),
    "TRACE": (head(fields=((b":method", b"TRACE"), *USUAL[1:]), end=True), b"400"),
    "a long path": (head(fields=(*without(b":path"), (b":path", b"/" + b"a" * 16_384)), end=True), b"414"),
    "many fields": (head(1, *[(b"a", b"b")] * 201, end=True), b"431"),
    "large fields": (head(1, *[(b"a", b"b" * 4096)] * 17, end=True), b"431"),
    "large fields and content": (head(1, *[(b"a", b"b" * 4096)] * 17) + data(1, b"x", 1), b"431"),
    "an expectation": (head(1, (b"expect", b"200-ok"), end=True), b"417"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_b93_a_well_formed_request_that_is_refused_gets_its_status(case: str) -> None:
    """As over HTTP/1.1, and the connection serves on."""
    sent, status = REFUSED[case]
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + sent + PING, cut=False)
        written = await rig.written()
        [answer] = [payload for kind, _, _, payload in written if kind == frames.HEADERS]
        assert field(b":status", status).wire in answer
        assert (codes(written)[0], codes(written)[2], rig.listener.busy) == ([], True, 0)


class Counted:
    """Stories, counted when they begin and when they end."""

    def __init__(self, story: Callable[[Exchange], Coroutine[object, None, bool]]) -> None:
        self._story = story
        self.running = 0

    async def __call__(self, exchange: Exchange) -> bool:
        self.running += 1
        try:
            return await self._story(exchange)
        finally:
            self.running -= 1


Frames = Callable[[list[int]], bytes]
"""Writes frames for a connection, by the streams that were opened so far; may open one."""


def opening(end: bool, more: bytes, pieces: int) -> Frames:
    def write(opened: list[int]) -> bytes:
        number = 2 * len(opened) + 1
        opened.append(number)
        return frames.headers(number, block() + more, end_stream=end, max_frame=max(1, 60 // pieces))

    return write


def both(first: Frames, second: Frames) -> Frames:
    return lambda opened: first(opened) + second(opened)


def content(which: int, size: int, padding: int, end: int) -> Frames:
    payload = bytes(size) if padding < 0 else bytes((padding,)) + bytes(size) + bytes(padding)
    return on(which, frames.DATA, (0x8 if padding >= 0 else 0) | end, payload)


def on(which: int, kind: int, flags: int, payload: bytes) -> Frames:
    """A frame on one of the last streams, if any was opened; on the connection for -1."""

    def write(opened: list[int]) -> bytes:
        if which < 0:
            return frame(kind, flags, 0, payload)
        last = opened[-3:]
        return frame(kind, flags, last[which % len(last)], payload) if last else b""

    return write


WHICH = st.integers(0, 2)
BY = st.sampled_from([1, 100, 65_535, 1 << 30]).map(lambda by: by.to_bytes(4, "big"))
BLOCK = st.sampled_from([b"", b"\x00\x01a\x01b", b"\x40\x01a\x01b", b"\x00\x01A\x01b", b"\x0f\x0d\x015"])
OPENING = st.builds(opening, st.booleans(), BLOCK, st.integers(1, 8)) | st.just(opening(False, b"", 1))  # noqa: FBT003
CONTENT = st.builds(
    content,
    WHICH,
    st.sampled_from([0, 1, 100, 5000, 16_000]),
    st.sampled_from([-1, -1, 0, 1, 255]),
    st.sampled_from([0, 0, frames.END_STREAM]),
)
ENDING = st.one_of(
    st.builds(on, WHICH, st.just(frames.RST_STREAM), st.just(0), BY),
    st.builds(on, WHICH, st.just(frames.WINDOW_UPDATE), st.just(0), st.just(bytes(4))),
    st.builds(on, WHICH, st.just(frames.HEADERS), st.sampled_from([4, 5]), BLOCK),
)
STEPS = st.one_of(
    OPENING,
    st.builds(both, CONTENT, ENDING),
    CONTENT,
    CONTENT,
    st.builds(content, WHICH, st.just(16_384), st.just(-1), st.just(0)),
    st.builds(on, WHICH, st.just(frames.WINDOW_UPDATE), st.just(0), BY),
    ENDING,
    st.builds(on, WHICH, st.just(frames.PRIORITY), st.just(0), st.binary(min_size=4, max_size=5)),
    st.builds(on, st.just(-1), st.just(frames.PING), st.sampled_from([0, 1]), st.just(bytes(8))),
    st.builds(on, st.just(-1), st.just(frames.SETTINGS), st.just(0), BY.map(lambda by: b"\0\4" + by)),
    st.builds(on, st.just(-1), st.just(frames.GOAWAY), st.just(0), st.binary(min_size=8, max_size=10)),
)
"""Valid frames, and faults that end a stream only."""
LAST = st.one_of(
    st.builds(on, st.integers(-1, 2), st.integers(0, 12), st.integers(0, 255), st.binary(max_size=20)),
    st.binary(max_size=20).map(lambda garbage: lambda _: garbage),
)
"""Nearly always the end of the connection."""
ANY = st.tuples(st.lists(STEPS, min_size=1, max_size=30), st.lists(LAST, max_size=2)).map(
    lambda parts: [opening(False, b"", 1), *parts[0], *parts[1]]  # noqa: FBT003
)


def check_windows(connection: ClientConnection) -> None:
    """Every byte of a window is the client's to send, or not returned; a stream's may be not taken either."""
    window = connection.window
    assert window.left + window._unreturned == CONNECTION_WINDOW
    for stream in connection.streams.values():
        if not stream.remote_ended:
            assert stream.window.left + stream.window._unreturned + stream.untaken == STREAM_WINDOW
        assert not stream.closed


async def feed_any(steps: Sequence[Frames], piece: int, story: Counted) -> None:
    """Feed a connection, in pieces of so many bytes, and check it after each step."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    opened: list[int] = []
    async with Rig(story) as rig:
        rig.feed(SETTINGS, cut=False)
        connection = rig.connection
        for step in steps:
            sent = step(opened)
            for at in range(0, len(sent), piece):
                connection.data_received(sent[at : at + piece])
            if connection.failed:
                assert not connection.streams
            else:
                check_windows(connection)
            await asyncio.sleep(0)
            with suppress(BlockingIOError):
                rig._theirs.recv(1 << 20)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (connection.streams, rig.listener.busy, story.running, complaints) == ({}, 0, 0, [])


@pytest.mark.parametrize("story", [forever, refusing])
@given(steps=ANY, piece=st.sampled_from([1, 7, 100, 1 << 20]))
def test_b98_any_frames_leave_a_connection_whole_or_end_it(
    story: Callable[[Exchange], Coroutine[object, None, bool]], steps: list[Frames], piece: int
) -> None:
    """Its windows stay consistent, no error but a fault arises, and no stream or story is left at its end."""
    asyncio.run(feed_any(steps, piece, Counted(story)))


async def test_h1_a_story_that_breaks_ends_its_own_stream_only() -> None:
    """It is reported, its client gets a reset, and the connection goes on."""
    async with Rig(broken) as rig:
        rig.feed(SETTINGS + head(1, end=True) + head(3) + data(3, b"abc"), cut=False)
        written = await rig.written()
        assert [type(error) for error in rig.broken] == [KeyError, KeyError]
        assert not rig.connection.failed
        assert rig.connection.streams == {}
    resets = [(stream, payload) for kind, _, stream, payload in written if kind == frames.RST_STREAM]
    assert resets == [(stream, ErrorCode.INTERNAL_ERROR.to_bytes(4, "big")) for stream in (1, 3)]


@pytest.mark.parametrize("window", [0, 1, 20, 65_535])
async def test_m4_an_upload_whose_refusal_waits_for_credit_gives_back_its_own(window: int) -> None:
    """Its content went nowhere; the connection gets its credit back when the answer leaves, at the latest."""
    async with Rig(never_ready) as rig:
        rig.feed(frames.settings([(frames.INITIAL_WINDOW_SIZE, window)]), cut=False)
        for stream in range(1, 120, 2):
            rig.feed(
                head(stream) + data(stream, bytes(16_000)) * 5 + data(stream, b"x", frames.END_STREAM),
                cut=False,
            )
            await settle()
            if stream in rig.connection.streams:
                rig.feed(frames.window_update(stream, 100_000), cut=False)
        assert not rig.connection.failed
        assert rig.connection.streams == {}
        granted = CONNECTION_WINDOW - rig.connection.window.left
        assert granted < CONNECTION_WINDOW // 2


@pytest.mark.parametrize("window", [0, 1, 999, 1_000, 65_535])
async def test_l2_the_bare_end_leaves_at_any_credit(window: int) -> None:
    """Also below zero, after the client made its window smaller."""
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + head(end=True), cut=False)
        stream = rig.connection.streams[1]
        stream.send_head(block((), (b":status", b"200")), end=False)
        stream.send_body(bytes(1_000), end=False)
        rig.feed(frames.settings([(frames.INITIAL_WINDOW_SIZE, window)]), cut=False)
        stream.send_body(b"", end=True)
        written = await rig.written()
    assert [(flags, len(payload)) for kind, flags, _, payload in written if kind == frames.DATA] == [
        (0, 1_000),
        (frames.END_STREAM, 0),
    ]


LATE: dict[str, bytes] = {
    "a head": head(3, end=True),
    "a head and content": head(3) + data(3, b"x") + data(3, b"y", 1),
    "a head, content and trailers": head(3)
    + data(3, b"x")
    + frames.headers(3, b"\x00\x01a\x01v", end_stream=True),
    "a head that is cancelled": head(3) + frames.rst_stream(3, 8),
    "a head and credit": head(3) + frames.window_update(3, 100),
    "a malformed head": head(3, (b"X-A", b"b")) + data(3, b"x", 1),
    "two": head(3) + head(5) + data(3, b"x") + data(5, b"x", 1),
}


@pytest.mark.parametrize("case", LATE)
@pytest.mark.parametrize("cut", [False, True])
async def test_i21_a_stream_that_comes_too_late_for_a_drain_ends_no_other(case: str, *, cut: bool) -> None:
    """The client opened it before it knew the last GOAWAY: it is refused, and what follows on it is ignored."""
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + head(1), cut=False)
        rig.connection.drain()
        rig.feed(frames.ping_ack(b"drained?") + LATE[case] + PING, cut=cut)
        goaways, resets, alive = codes(await rig.written())
        refused = [(number, "REFUSED_STREAM") for number in ((3, 5) if case == "two" else (3,))]
        assert (goaways, resets, alive) == (["NO_ERROR", "NO_ERROR"], refused, True)
        assert rig.listener.busy == 1


async def test_i21_streams_that_come_too_late_are_a_flood() -> None:
    """A client that goes on after GOAWAY ends its connection; the last stream of a GOAWAY does not grow."""
    async with Rig(forever) as rig:
        rig.feed(SETTINGS + head(1), cut=False)
        rig.connection.drain()
        late = b"".join(head(n) for n in range(3, 2 * MOST_RESETS + 7, 2))
        rig.feed(frames.ping_ack(b"drained?") + late, cut=False)
        written = await rig.written()
        last = [
            int.from_bytes(payload[:4], "big") for kind, _, _, payload in written if kind == frames.GOAWAY
        ]
        assert codes(written)[0] == ["NO_ERROR", "NO_ERROR", "ENHANCE_YOUR_CALM"]
        assert last == [frames.MAX_STREAM, 1, 1]
