"""Upstreams that break HTTP/2, before the head of an answer and after it, each written whole and byte by byte."""

import asyncio
import json
from collections.abc import Callable
from weakref import WeakSet

import pytest

from sidecar.http2.frames import ErrorCode
from tests.integration.http2.conftest import route
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Message,
    Peer,
    frame,
    settings,
)
from tests.support.http2_upstream import Exchange2, Greeting, Http2Upstream, Script2, answering
from tests.support.sidecar import Running, Start
from tests.support.waiting import until

WHOLE = END_HEADERS | END_STREAM
OK = b"\x88"
FIELD = b"\x00\x01a\x01v"
PROTOCOL, FLOW, SIZE, COMPRESSION = (
    ErrorCode.PROTOCOL_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR,
    ErrorCode.FRAME_SIZE_ERROR,
    ErrorCode.COMPRESSION_ERROR,
)
Written = Callable[[int], bytes]
"""What the upstream writes, by the number of the request's stream."""


def head(block: bytes, flags: int = END_HEADERS) -> Written:
    return lambda stream: frame(HEADERS, flags, stream, block)


def on_stream(kind: int, payload: bytes, flags: int = 0) -> Written:
    return lambda stream: frame(kind, flags, stream, payload)


def anywhere(data: bytes) -> Written:
    return lambda _: data


def then(*parts: Written) -> Written:
    return lambda stream: b"".join([part(stream) for part in parts])


def length(value: bytes) -> bytes:
    return OK + b"\x0f\x0d" + bytes((len(value),)) + value


OF_A_STREAM: dict[str, tuple[Written, int | None]] = {
    "a head without :status": (head(FIELD), PROTOCOL),
    "an empty head": (head(b""), PROTOCOL),
    "two statuses": (head(OK + OK), PROTOCOL),
    "a status after a field": (head(FIELD + OK), PROTOCOL),
    "a status of two digits": (head(b"\x08\x0220"), PROTOCOL),
    "101": (head(b"\x08\x03101"), PROTOCOL),
    "a pseudo-field of a request": (head(OK + b"\x84"), PROTOCOL),
    "an upper-case name": (head(OK + b"\x00\x01A\x01v"), PROTOCOL),
    "a line feed in a value": (head(OK + b"\x00\x01a\x03a\nb"), PROTOCOL),
    "a field of connections": (head(OK + b"\x00\x0aconnection\x05close"), PROTOCOL),
    "a length that is no number": (head(length(b"x")), PROTOCOL),
    "two lengths": (head(length(b"1") + b"\x0f\x0d\x011"), PROTOCOL),
    "a length and no content": (head(length(b"5"), WHOLE), PROTOCOL),
    "more than 200 fields": (head(OK + FIELD * 201), PROTOCOL),
    "a 1xx that ends the stream": (head(b"\x08\x03103", WHOLE), PROTOCOL),
    "a 1xx that announces a body": (head(b"\x08\x03103\x0f\x0d\x015"), PROTOCOL),
    "a hundred 1xx": (then(*[head(b"\x08\x03103")] * 100), PROTOCOL),
    "DATA before the head": (on_stream(DATA, b"x"), PROTOCOL),
    "DATA that ends the stream before the head": (on_stream(DATA, b"x", END_STREAM), None),
    "a window that grows by 0": (on_stream(WINDOW_UPDATE, bytes(4)), PROTOCOL),
    "a window that is too large": (on_stream(WINDOW_UPDATE, b"\x7f\xff\xff\xff"), FLOW),
    "PRIORITY of 4 bytes": (on_stream(PRIORITY, bytes(4)), SIZE),
    "PRIORITY of the stream itself": (
        lambda stream: frame(PRIORITY, 0, stream, stream.to_bytes(4, "big") + b"\0"),
        PROTOCOL,
    ),
    "a list of fields that is too large": (
        head(OK + b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 100),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
}
OF_THE_CONNECTION: dict[str, tuple[Written, int]] = {
    "a block that cannot be decoded": (head(b"\xff\xff\xff\xff\xff\xff\xff"), COMPRESSION),
    "an index without an entry": (head(OK + b"\xbe"), COMPRESSION),
    "PUSH_PROMISE": (on_stream(PUSH_PROMISE, b"\0\0\0\2" + b"\x82\x86\x84", END_HEADERS), PROTOCOL),
    "HEADERS on a stream of its own": (anywhere(frame(HEADERS, END_HEADERS, 2, OK)), PROTOCOL),
    "HEADERS on a stream to come": (anywhere(frame(HEADERS, END_HEADERS, 99, OK)), PROTOCOL),
    "DATA on a stream to come": (anywhere(frame(DATA, 0, 99, b"x")), PROTOCOL),
    "RST_STREAM on a stream to come": (anywhere(frame(RST_STREAM, 0, 99, bytes(4))), PROTOCOL),
    "WINDOW_UPDATE on a stream to come": (anywhere(frame(WINDOW_UPDATE, 0, 99, b"\0\0\0\1")), PROTOCOL),
    "HEADERS on the connection": (anywhere(frame(HEADERS, END_HEADERS, 0, OK)), PROTOCOL),
    "DATA on the connection": (anywhere(frame(DATA, 0, 0, b"x")), PROTOCOL),
    "CONTINUATION alone": (on_stream(CONTINUATION, OK, END_HEADERS), PROTOCOL),
    "a frame within a block": (
        lambda stream: frame(HEADERS, 0, stream, OK) + frame(PING, 0, 0, bytes(8)),
        PROTOCOL,
    ),
    "a block without an end": (
        lambda stream: frame(HEADERS, 0, stream, OK) + frame(CONTINUATION, 0, stream) * 100,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "RST_STREAM of 3 bytes": (on_stream(RST_STREAM, bytes(3)), SIZE),
    "PING of 7 bytes": (anywhere(frame(PING, 0, 0, bytes(7))), SIZE),
    "GOAWAY of 7 bytes": (anywhere(frame(GOAWAY, 0, 0, bytes(7))), SIZE),
    "SETTINGS of 5 bytes": (anywhere(frame(SETTINGS, 0, 0, bytes(5))), SIZE),
    "SETTINGS that enable push": (anywhere(settings((2, 1))), PROTOCOL),
    "SETTINGS with a window of 2^31": (anywhere(settings((4, 1 << 31))), FLOW),
    "SETTINGS with frames of 1 byte": (anywhere(settings((5, 1))), PROTOCOL),
    "a window that is too large": (anywhere(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")), FLOW),
    "a window that grows by 0": (anywhere(frame(WINDOW_UPDATE, 0, 0, bytes(4))), PROTOCOL),
    "DATA with too much padding": (on_stream(DATA, b"\x05abcd", 0x8), PROTOCOL),
    "a frame that is too long": (anywhere(b"\x00\x40\x01" + bytes(6)), SIZE),
    "HTTP/1.1": (anywhere(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), SIZE),
    "a hundred thousand PINGs": (anywhere(frame(PING, 0, 0, bytes(8)) * 3000), ErrorCode.ENHANCE_YOUR_CALM),
    "thousands of GOAWAY": (
        anywhere(frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)) * 3000),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a thousand SETTINGS": (anywhere(settings() * 1000), ErrorCode.ENHANCE_YOUR_CALM),
}
AFTER_THE_HEAD: dict[str, tuple[Written, int]] = {
    "another head": (head(OK), PROTOCOL),
    "trailers that do not end": (head(FIELD), PROTOCOL),
    "trailers with a pseudo-field": (head(OK, WHOLE), PROTOCOL),
    "trailers that are malformed": (head(b"\x00\x01A\x01v", WHOLE), PROTOCOL),
    "an end before the length is reached": (on_stream(DATA, b"x", END_STREAM), PROTOCOL),
    "trailers before the length is reached": (head(FIELD, WHOLE), PROTOCOL),
    "more than the length": (on_stream(DATA, b"x" * 100), PROTOCOL),
}


def writing(
    written: Written, *, cut: bool, first: Written | None = None, go: asyncio.Event | None = None
) -> Script2:
    """Read the request; write `first`, and after `go` the rest, whole or byte by byte."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        if first is not None:
            exchange.peer.write(first(exchange.stream))
        if go is not None:
            await go.wait()
        data = written(exchange.stream)
        for piece in [data[at : at + 1] for at in range(len(data))] if cut else [data]:
            exchange.peer.write(piece)
            await asyncio.sleep(0)
        WRITERS.add(exchange.peer)

    return script


WRITERS: WeakSet[Peer] = WeakSet()
"""The connections on which a script has written all."""


def all_written(upstream: Http2Upstream) -> Callable[[], bool]:
    """Return whether the upstream's first connection may be used by other scripts."""
    return lambda: upstream.peers[0] in WRITERS


def reset_of(upstream: Http2Upstream, stream: int) -> int | None:
    """The code with which the sidecar reset a stream of the upstream's first connection."""
    resets = [
        arrived
        for arrived in upstream.peers[0].frames
        if (arrived.kind, arrived.stream) == (RST_STREAM, stream)
    ]
    return int.from_bytes(resets[0].payload, "big") if resets else None


def is_malformed(answer: Message) -> None:
    """It is the sidecar's own answer for what it could not read."""
    problem = json.loads(bytes(answer.body))
    assert (answer.status, answer.whole, problem["status"]) == (502, True, 502)
    assert "malformed" in json.dumps(problem)


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("name", OF_A_STREAM)
async def test_b98_a_malformed_answer_ends_its_stream(
    http2: Http2Upstream, listener: Running, name: str, *, cut: bool
) -> None:
    """The client gets 502, the upstream a reset with the code unless the stream has ended; other streams go on."""
    written, code = OF_A_STREAM[name]
    http2.script(writing(written, cut=cut and len(written(1)) < 2000))
    async with await Http2Client.connect(listener.address) as client:
        is_malformed(await client.ask(b"POST", body=b"x"))
        await until(lambda: reset_of(http2, 1) == code)
        await until(all_written(http2))
        assert (await client.ask()).status == 200
    assert http2.connections == 1


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("name", OF_THE_CONNECTION)
async def test_b98_an_upstream_that_breaks_the_connection(
    http2: Http2Upstream, listener: Running, name: str, *, cut: bool
) -> None:
    """The client gets 502, the upstream GOAWAY with the code; the next request gets a new connection."""
    written, code = OF_THE_CONNECTION[name]
    http2.script(writing(written, cut=cut and len(written(1)) < 2000))
    async with await Http2Client.connect(listener.address) as client:
        is_malformed(await client.ask(b"POST", body=b"x"))
        ended = await http2.peers[0].ending()
        assert ended is not None
        assert ended.code == code
        assert (await client.ask()).status == 200
    assert http2.connections == 2


async def test_i21_resets_of_a_stream_that_has_ended_are_a_flood(
    http2: Http2Upstream, listener: Running
) -> None:
    """One for each stream of the sidecar's is none; thousands end the connection."""

    async def script(exchange: Exchange2) -> None:
        exchange.peer.write(frame(RST_STREAM, 0, exchange.stream - 2, b"\0\0\0\2") * 3000)

    http2.script(answering(), script)
    async with await Http2Client.connect(listener.address) as client:
        assert (await client.ask()).status == 200
        is_malformed(await client.ask(b"POST", body=b"x"))
        ended = await http2.peers[0].ending()
        assert ended is not None
        assert ended.code == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("name", [*AFTER_THE_HEAD, *OF_THE_CONNECTION])
async def test_b98_faults_after_the_head_reset_the_client(
    http2: Http2Upstream, listener: Running, name: str, *, cut: bool
) -> None:
    """What arrived before was relayed; the end of an answer is never made up. The next request is served."""
    written, code = (AFTER_THE_HEAD | OF_THE_CONNECTION)[name]
    go = asyncio.Event()
    first = then(head(length(b"50")), on_stream(DATA, b"part"))
    http2.script(writing(written, cut=cut and len(written(1)) < 2000, first=first, go=go))
    async with await Http2Client.connect(listener.address) as client:
        stream = await client.request(b"POST", body=b"x")
        message = client.message(stream)
        await client.until(lambda: bool(message.body))
        go.set()
        await client.answer(stream)
        assert (message.status, message.whole) == (200, False)
        assert message.reset in (ErrorCode.PROTOCOL_ERROR, ErrorCode.INTERNAL_ERROR)
        if name in AFTER_THE_HEAD:
            await until(lambda: reset_of(http2, 1) == code)
            await until(all_written(http2))
        else:
            ended = await http2.peers[0].ending()
            assert ended is not None
            assert ended.code == code
        assert (await client.ask()).status == 200


@pytest.mark.parametrize(
    "code", [ErrorCode.NO_ERROR, ErrorCode.INTERNAL_ERROR, ErrorCode.ENHANCE_YOUR_CALM, 99]
)
async def test_goaway_with_any_code_lets_streams_end(
    http2: Http2Upstream, listener: Running, code: int
) -> None:
    """Those that it has processed; the next request gets a new connection."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.peer.goaway(exchange.stream, code)
        exchange.head()
        await exchange.send(b"ok", end=True)

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        assert (await client.ask(b"POST", body=b"x")).body == b"ok"
        assert (await client.ask()).status == 200
    assert http2.connections == 2


@pytest.mark.parametrize("close", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize(
    ("greeting", "detail"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "plain HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"\x15\x03\x01\x00\x02\x02\x46", ""),
        (frame(PING, 0, 0, bytes(8)), ""),
        (frame(SETTINGS, 1, 0), ""),
        (frame(SETTINGS, 0, 1), ""),
        (settings((2, 1)), ""),
        (frame(SETTINGS, 0, 0, bytes(5)), ""),
        (frame(GOAWAY, 0, 0, bytes(8)), ""),
    ],
)
async def test_servers_that_greet_with_something_else(
    sidecar: Start, greeting: bytes, detail: str, *, close: bool
) -> None:
    """502; the detail names what it looks like."""
    async with (
        Greeting(greeting, close=close) as server,
        sidecar(route(server)) as running,
        await Http2Client.connect(running.address) as client,
    ):
        answer = await client.ask()
        is_malformed(answer)
        assert detail.encode() in answer.body


@pytest.mark.parametrize(
    ("greeting", "close", "status"),
    [(b"", True, 502), (settings(), True, 502), (b"", False, 504), (b"\0\0", False, 504)],
)
async def test_servers_that_do_not_greet(sidecar: Start, greeting: bytes, close: bool, status: int) -> None:
    """502 where they close, 504 where they are silent."""
    async with (
        Greeting(greeting, close=close) as server,
        sidecar(route(server, timeouts={"connect": "300ms"})) as running,
        await Http2Client.connect(running.address) as client,
    ):
        assert (await client.ask()).status == status
