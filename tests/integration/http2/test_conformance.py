"""The cases of h2spec in our own words: each malformed or unusual sequence of frames, and what has to follow."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from sidecar.http2.frames import ErrorCode
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    settings,
)
from tests.support.sidecar import Running
from tests.support.wire_client import Client, WireError

PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION, REFUSED = (
    ErrorCode.PROTOCOL_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR,
    ErrorCode.STREAM_CLOSED,
    ErrorCode.FRAME_SIZE_ERROR,
    ErrorCode.COMPRESSION_ERROR,
    ErrorCode.REFUSED_STREAM,
)
WITH_PRIORITY = 0x20
WHOLE = END_HEADERS | END_STREAM
GET = b"\x82\x86\x84\x01\x09localhost"
POST = b"\x83\x86\x84\x01\x09localhost"
"""Blocks that change no table."""
MAX_FRAME = 16_384


def literal(name: bytes, value: bytes) -> bytes:
    """A field without indexing."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


def head(block: bytes, *, stream: int = 1, end: bool = True) -> bytes:
    return frame(HEADERS, WHOLE if end else END_HEADERS, stream, block)


def data(content: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, 1, content)


def last(block: bytes, *, stream: int = 1) -> bytes:
    """The end of a block."""
    return frame(CONTINUATION, END_HEADERS, stream, block)


def credit(stream: int, by: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, by.to_bytes(4, "big"))


def reset(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


@dataclass(frozen=True)
class Case:
    """Frames to send; what follows is a fault of the connection or of stream 1 with one of these codes."""

    name: str
    sent: bytes
    codes: frozenset[int]
    stream: bool = False
    """Whether a fault of the stream will do: RFC 9113 section 5.4.1 allows the connection's always."""


def connection(name: str, sent: bytes, *codes: int) -> Case:
    return Case(name, sent, frozenset(codes))


def stream(name: str, sent: bytes, *codes: int) -> Case:
    return Case(name, sent, frozenset(codes), stream=True)


OPEN = head(POST, end=False)
FIELD = literal(b"a", b"v")
BEGINNING = frame(HEADERS, END_STREAM, 1, GET[:4])
"""Of a block."""
ANSWERED = head(GET)
"""Half-closed by the client; the answer closes it at any time."""
CASES = [
    stream("4.2 DATA too long", OPEN + frame(DATA, END_STREAM, 1, b"x" * (MAX_FRAME + 1)), SIZE),
    connection("4.2 HEADERS too long", head(GET + b"\x00" * MAX_FRAME), SIZE),
    connection("4.3 a block that cannot be decoded", head(b"\x40"), COMPRESSION),
    connection(
        "4.3 PRIORITY in a block",
        frame(HEADERS, END_STREAM, 1, GET) + frame(PRIORITY, 0, 1, bytes(5)),
        PROTOCOL,
    ),
    connection("4.3 HEADERS in a block", frame(HEADERS, END_STREAM, 1, GET) + head(GET, stream=3), PROTOCOL),
    connection("5.1 idle: DATA", data(b"x", end=True), PROTOCOL, CLOSED),
    connection("5.1 idle: RST_STREAM", reset(1), PROTOCOL),
    connection("5.1 idle: WINDOW_UPDATE", credit(1, 100), PROTOCOL),
    connection("5.1 idle: CONTINUATION", last(GET), PROTOCOL),
    stream("5.1 half-closed: DATA", ANSWERED + data(b"x", end=True), CLOSED),
    stream("5.1 half-closed: HEADERS", ANSWERED + ANSWERED, CLOSED),
    stream("5.1 half-closed: CONTINUATION", ANSWERED + last(GET), CLOSED, PROTOCOL),
    stream("5.1 closed: DATA after RST_STREAM", OPEN + reset(1) + data(b"x", end=True), CLOSED),
    stream("5.1 closed: HEADERS after RST_STREAM", OPEN + reset(1) + head(GET), CLOSED),
    stream("5.1 closed: CONTINUATION after RST_STREAM", OPEN + reset(1) + last(GET), CLOSED, PROTOCOL),
    connection("5.1.1 an even stream", head(GET, stream=2), PROTOCOL),
    connection(
        "5.1.1 a stream below the one before", head(GET, stream=5) + head(GET, stream=3), PROTOCOL, CLOSED
    ),
    stream(
        "5.3.1 HEADERS that depend on themselves",
        frame(HEADERS, WHOLE | WITH_PRIORITY, 1, b"\0\0\0\1\xff" + GET),
        PROTOCOL,
    ),
    stream("5.3.1 PRIORITY that depends on itself", OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\1\xff"), PROTOCOL),
    connection(
        "5.5 an unknown frame in a block",
        frame(HEADERS, END_STREAM, 1, GET) + frame(0x16, 0, 0, bytes(8)),
        PROTOCOL,
    ),
    connection("6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), PROTOCOL),
    connection("6.1 DATA with too much padding", OPEN + frame(DATA, PADDED, 1, b"\x05test"), PROTOCOL),
    connection("6.1 DATA whose padding has no length", OPEN + frame(DATA, PADDED, 1), SIZE, PROTOCOL),
    connection("6.2 HEADERS on stream 0", head(GET, stream=0), PROTOCOL),
    connection(
        "6.2 HEADERS with too much padding", frame(HEADERS, WHOLE | PADDED, 1, b"\xff" + GET), PROTOCOL
    ),
    connection(
        "6.2 HEADERS too short for their priority",
        frame(HEADERS, WHOLE | WITH_PRIORITY, 1, b"\0\0\0\0"),
        SIZE,
    ),
    connection("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    stream("6.3 PRIORITY of 4 bytes", OPEN + frame(PRIORITY, 0, 1, bytes(4)), SIZE),
    connection("6.4 RST_STREAM on stream 0", reset(0), PROTOCOL),
    connection("6.4 RST_STREAM of 3 bytes", OPEN + frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    connection("6.5 an acknowledgement with settings", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    connection("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, b"\0\3\0\0\0\x64"), PROTOCOL),
    connection("6.5 SETTINGS of 3 bytes", frame(SETTINGS, 0, 0, bytes(3)), SIZE),
    connection("6.5.2 ENABLE_PUSH 2", settings((2, 2)), PROTOCOL),
    connection("6.5.2 INITIAL_WINDOW_SIZE 2^31", settings((4, 1 << 31)), FLOW),
    connection("6.5.2 MAX_FRAME_SIZE too small", settings((5, MAX_FRAME - 1)), PROTOCOL),
    connection("6.5.2 MAX_FRAME_SIZE too large", settings((5, 1 << 24)), PROTOCOL),
    connection("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), PROTOCOL),
    connection("6.7 PING of 6 bytes", frame(PING, 0, 0, bytes(6)), SIZE),
    connection("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    connection("6.8 GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    connection("6.9 WINDOW_UPDATE of 0 on the connection", credit(0, 0), PROTOCOL),
    stream("6.9 WINDOW_UPDATE of 0 on a stream", OPEN + credit(1, 0), PROTOCOL),
    connection("6.9 WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    connection("6.9.1 a window above 2^31-1 on the connection", credit(0, (1 << 31) - 1) * 2, FLOW),
    stream("6.9.1 a window above 2^31-1 on a stream", OPEN + credit(1, (1 << 31) - 1) * 2, FLOW),
    connection(
        "6.9.2 settings that lift a window above 2^31-1",
        OPEN + credit(1, (1 << 31) - 1 - 65_535) + settings((4, 65_536)),
        FLOW,
    ),
    connection("6.10 HEADERS in a block", BEGINNING + head(GET[4:]), PROTOCOL),
    connection("6.10 DATA in a block", frame(HEADERS, 0, 1, POST) + data(b"x", end=True), PROTOCOL),
    connection("6.10 CONTINUATION on stream 0", BEGINNING + last(GET[4:], stream=0), PROTOCOL),
    connection("6.10 CONTINUATION of another stream", BEGINNING + last(GET[4:], stream=3), PROTOCOL),
    connection("6.10 CONTINUATION after a whole block", OPEN + last(FIELD), PROTOCOL),
    connection("6.10 CONTINUATION after DATA", OPEN + data(b"x") + last(FIELD), PROTOCOL),
    stream("8.1 trailers that do not end their stream", OPEN + data(b"x") + head(FIELD, end=False), PROTOCOL),
    stream("8.2.1 a name in upper case", head(GET + literal(b"X-Test", b"v")), PROTOCOL),
    stream("8.2.2 connection", head(GET + literal(b"connection", b"keep-alive")), PROTOCOL),
    stream("8.2.2 te", head(GET + literal(b"te", b"trailers, deflate")), PROTOCOL),
    stream("8.3 an unknown pseudo-field", head(GET + literal(b":test", b"v")), PROTOCOL),
    stream("8.3 a pseudo-field of a response", head(GET + literal(b":status", b"200")), PROTOCOL),
    stream("8.3 a pseudo-field in trailers", OPEN + head(literal(b":path", b"/")), PROTOCOL),
    stream("8.3 a pseudo-field after another field", head(FIELD + GET), PROTOCOL),
    stream("8.3.1 an empty path", head(b"\x82\x86\x01\x09localhost" + literal(b":path", b"")), PROTOCOL),
    stream("8.3.1 no method", head(GET[1:]), PROTOCOL),
    stream("8.3.1 no scheme", head(b"\x82\x84\x01\x09localhost"), PROTOCOL),
    stream("8.3.1 no path", head(b"\x82\x86\x01\x09localhost"), PROTOCOL),
    stream("8.3.1 two methods", head(b"\x82" + GET), PROTOCOL),
    stream("8.3.1 two schemes", head(b"\x86" + GET), PROTOCOL),
    stream("8.3.1 two paths", head(b"\x84" + GET), PROTOCOL),
    stream(
        "8.1.1 DATA longer than content-length",
        head(POST + literal(b"content-length", b"1"), end=False) + data(b"test", end=True),
        PROTOCOL,
    ),
    stream(
        "8.1.1 DATA shorter than content-length",
        head(POST + literal(b"content-length", b"9"), end=False) + data(b"test", end=True),
        PROTOCOL,
    ),
    stream(
        "8.1.1 several DATA longer than content-length",
        head(POST + literal(b"content-length", b"5"), end=False) + data(b"test") + data(b"test", end=True),
        PROTOCOL,
    ),
    stream(
        "8.1.1 no DATA where content-length announces some",
        head(POST + literal(b"content-length", b"1")),
        PROTOCOL,
    ),
    connection("8.4 PUSH_PROMISE", OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + GET), PROTOCOL),
    connection("RFC 7541 2.3.3: an index without an entry", head(b"\xc6"), COMPRESSION),
    connection("RFC 7541 2.3.3: a name without an entry", head(b"\x7f\x80\x01\x01v"), COMPRESSION),
    connection("RFC 7541 4.2: a table size update at the end", head(GET + b"\x20"), COMPRESSION),
    connection(
        "RFC 7541 5.2: padding of more than 7 bits",
        head(GET + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        COMPRESSION,
    ),
    connection(
        "RFC 7541 5.2: padding of zeros",
        head(GET + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        COMPRESSION,
    ),
    connection(
        "RFC 7541 5.2: the end of a string",
        head(GET + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x3f\xff\xff\xff\xff\xff\xff"),
        COMPRESSION,
    ),
    connection("RFC 7541 6.1: index 0", head(b"\x80"), COMPRESSION),
    connection("RFC 7541 6.3: a table larger than allowed", head(b"\x3f\xe2\x1f" + GET), COMPRESSION),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_faults_end_their_stream_or_connection(listener: Running, case: Case) -> None:
    """With the code of the RFC; the sidecar serves the next client."""
    async with await Http2Client.connect(listener.address) as client:
        message = client.opened(1)
        client.opened(3)
        client.opened(5)
        client.write(case.sent)
        await client.until(lambda: bool(client.goaways) or (case.stream and message.reset is not None))
        if client.goaways:
            assert client.goaways[-1].code in case.codes
            await client.ending()
        else:
            assert message.reset in case.codes
            await client.ping()
    async with await Http2Client.connect(listener.address) as client:
        assert (await client.ask()).status == 200


BLOCK_IN_PIECES = (
    frame(HEADERS, END_STREAM, 1, GET[:1])
    + b"".join(frame(CONTINUATION, 0, 1, GET[at : at + 1]) for at in range(1, len(GET) - 1))
    + last(GET[-1:])
)
UNUSUAL: Sequence[tuple[str, bytes]] = [
    ("a whole request", ANSWERED),
    ("4.1 an unknown frame", frame(0x16, 0xFF, 0, bytes(8)) + frame(0x17, 0, 1, b"") + ANSWERED),
    ("4.1 undefined flags", frame(HEADERS, WHOLE | 0xC2, 1, GET)),
    ("4.1 the reserved bit", frame(HEADERS, WHOLE, 1 | 1 << 31, GET)),
    ("4.2 DATA of 2^14 bytes", OPEN + frame(DATA, END_STREAM, 1, b"x" * MAX_FRAME)),
    ("5.3 HEADERS with priority", frame(HEADERS, WHOLE | WITH_PRIORITY, 1, b"\x80\0\0\7\xff" + GET)),
    ("5.3 PRIORITY of an idle stream", frame(PRIORITY, 0, 7, bytes(5)) + ANSWERED),
    ("5.3 PRIORITY of a stream before it opens", frame(PRIORITY, 0, 1, bytes(5)) + ANSWERED),
    ("6.1 padded DATA", OPEN + frame(DATA, PADDED | END_STREAM, 1, b"\x02test\0\0")),
    ("6.1 padded DATA without content", OPEN + frame(DATA, PADDED | END_STREAM, 1, b"\x02\0\0")),
    ("6.1 empty DATA", OPEN + frame(DATA, 0, 1) + frame(DATA, END_STREAM, 1)),
    ("6.2 padded HEADERS", frame(HEADERS, WHOLE | PADDED, 1, b"\x02" + GET + bytes(2))),
    (
        "6.2 padded HEADERS with priority",
        frame(HEADERS, WHOLE | PADDED | WITH_PRIORITY, 1, b"\x01\0\0\0\0\xff" + GET + b"\0"),
    ),
    ("6.5 an acknowledgement nothing asked for", frame(SETTINGS, ACK, 0) + ANSWERED),
    ("6.5 unknown settings", settings((0xFF, 1), (8, 0), (8, 1)) + ANSWERED),
    ("6.5.3 a window set twice", settings((4, 1), (4, 100)) + ANSWERED),
    ("6.5.3 a table size set to 0 and back", settings((1, 0), (1, 4096)) + ANSWERED),
    ("6.7 an answer to no PING", frame(PING, ACK, 0, b"answered") + ANSWERED),
    ("6.9 WINDOW_UPDATE with the reserved bit", frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\1") + ANSWERED),
    ("6.10 a block in many CONTINUATION frames", BLOCK_IN_PIECES),
    ("6.10 empty CONTINUATION frames", frame(HEADERS, END_STREAM, 1) + frame(CONTINUATION, 0, 1) + last(GET)),
    (
        "6.10 END_STREAM on HEADERS before CONTINUATION",
        frame(HEADERS, END_STREAM, 1, GET[:3]) + last(GET[3:]),
    ),
    (
        "7 RST_STREAM with an unknown code",
        head(GET, stream=3)
        + reset(3, 0xFF)
        + frame(PING, 0, 0, bytes(8))
        + head(GET, stream=5)
        + frame(PRIORITY, 0, 5, bytes(5)),
    ),
    ("8.1 trailers", OPEN + data(b"x") + head(FIELD)),
    ("8.1 trailers without DATA", OPEN + head(FIELD)),
    ("8.1.1 content-length of 0 without DATA", head(POST + literal(b"content-length", b"0"))),
    (
        "8.1.1 DATA of content-length",
        head(POST + literal(b"content-length", b"4"), end=False)
        + data(b"te")
        + data(b"st")
        + frame(DATA, END_STREAM, 1),
    ),
    ("RFC 7541 4.2: a table size update at the beginning", head(b"\x20\x3f\xe1\x1f" + GET)),
    (
        "RFC 7541 6: Huffman, indexing, never indexed",
        head(GET + b"\x40\x85\xf2\xb2\x4a\x84\xff\x01v" + b"\x10\x01b\x01w"),
    ),
]


@pytest.mark.parametrize(("name", "sent"), UNUSUAL, ids=[name for name, _ in UNUSUAL])
async def test_unusual_frames_are_answered(listener: Running, name: str, sent: bytes) -> None:
    """As any other request."""
    async with await Http2Client.connect(listener.address) as client:
        for number in (1, 3, 5):
            client.opened(number)
        client.write(sent)
        answered = 5 if sent.count(GET) == 2 else 1
        assert (await client.answer(answered)).status == 200
        await client.ping()


async def test_5_1_2_more_streams_than_allowed(listener: Running) -> None:
    """Those in excess are refused; the others and the connection go on."""
    async with await Http2Client.connect(listener.address) as client:
        most = client.settings[3]
        streams = [client.begin_request(b"POST", end=False) for _ in range(most + 3)]
        excess = [client.message(number) for number in streams[most:]]
        await client.until(lambda: all(message.reset is not None for message in excess))
        assert {message.reset for message in excess} <= {REFUSED, PROTOCOL}
        await client.send(streams[0], b"x", end=True)
        assert (await client.answer(streams[0])).status == 200


@pytest.mark.parametrize("window", [0, 1, 3])
async def test_6_9_2_a_window_that_changes_while_an_answer_is_sent(listener: Running, window: int) -> None:
    """It may become negative; the answer goes on when there is credit again."""
    async with await Http2Client.connect(listener.address, window=window, credit=False) as client:
        number = await client.request()
        message = await client.head(number)
        await client.until(lambda: len(message.body) == min(window, 2))
        client.grant(number, 2)
        await client.answer(number)
        assert message.body == b"ok"


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(PING, 0, 0, bytes(8)),
        PREFACE[:-1] + b"x",
    ],
)
async def test_3_4_a_preface_that_is_none(listener: Running, sent: bytes) -> None:
    """The connection ends, whatever was answered; the sidecar serves the next client."""
    async with await Client.connect(listener.address) as client:
        await client.send(sent)
        while await client.reader.read(1 << 16):
            pass
    async with await Http2Client.connect(listener.address) as other:
        assert (await other.ask()).status == 200


async def test_5_4_1_a_connection_that_ended_takes_no_more(listener: Running) -> None:
    """After its GOAWAY it closes, whatever the client sends."""
    async with await Http2Client.connect(listener.address) as client:
        client.write(frame(DATA, 0, 0, b"x") + head(GET) * 10)
        with pytest.raises(WireError):
            await client.until(lambda: False)
        assert client.goaways[-1].code == PROTOCOL
