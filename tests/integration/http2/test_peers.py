"""The HTTP/2 peers of the tests, with each other: what they report of the sidecar is then the sidecar's."""

import pytest

from tests.support.http2_client import Http2Client
from tests.support.http2_peer import DATA, END_STREAM, HEADERS, RST_STREAM, frame
from tests.support.http2_upstream import Http2Upstream, answering, echo
from tests.support.wire_client import WireError

MEGABYTE = bytes(range(256)) * 4096


async def test_a_request_and_its_answer() -> None:
    """Fields, interim answers, bodies and trailers of both."""
    async with Http2Upstream() as upstream:
        upstream.script(answering(200, [(b"a", b"v")], b"body", [(b"grpc-status", b"0")]))
        async with await Http2Client.connect(f"127.0.0.1:{upstream.port}") as client:
            fields = [(b"authorization", b"Bearer t")]
            answer = await client.ask(b"POST", b"/p", fields, b"asked", [(b"checksum", b"1")])
            assert (answer.status, bytes(answer.body), answer.whole) == (200, b"body", True)
            assert answer.trailers == ((b"grpc-status", b"0"),)
            (received,) = upstream.requests
            assert (received.token, bytes(received.body)) == ("t", b"asked")
            assert received.trailers == ((b"checksum", b"1"),)
            assert received.never_indexed == {b"authorization"}
            await client.ping()
    assert upstream.malformed == []


@pytest.mark.parametrize("window", [1, 1000, 65_535, 1 << 20])
async def test_bodies_both_ways_at_any_window(window: int) -> None:
    """Many streams of one connection at once."""
    body = MEGABYTE[: min(len(MEGABYTE), window * 100)]
    async with Http2Upstream(window=window) as upstream:
        upstream.script(*[echo] * 3)
        async with await Http2Client.connect(f"127.0.0.1:{upstream.port}", window=window) as client:
            streams = [client.begin_request(b"POST", end=False) for _ in range(3)]
            for stream in streams:
                await client.send(stream, body, end=True)
            for stream in streams:
                assert (await client.answer(stream)).body == body


@pytest.mark.parametrize(
    "wrong",
    [
        frame(DATA, 0, 1, b"before the head"),
        frame(HEADERS, 0, 1) + frame(RST_STREAM, 0, 1, b"\0\0\0\0"),
        frame(HEADERS, 5, 1, b"\x88") + frame(DATA, END_STREAM, 1, b"after the end"),
        frame(HEADERS, 4, 1, b"\x88\x88"),
        frame(HEADERS, 4, 1, b"\xff\xff"),
        frame(HEADERS, 4, 2, b"\x88"),
        frame(HEADERS, 4, 1, b"\x88") + frame(DATA, 0, 1, b"x" * 16_385),
        frame(99, 0, 0),
    ],
)
async def test_the_client_is_strict(wrong: bytes) -> None:
    """It raises for whatever the sidecar must not send."""
    async with Http2Upstream() as upstream:

        async def script(exchange: object) -> None:
            upstream.peers[0].write(wrong)

        upstream.script(script)
        async with await Http2Client.connect(f"127.0.0.1:{upstream.port}") as client:
            with pytest.raises(WireError):
                await client.ask()


async def test_a_connection_that_ends_too_early() -> None:
    """No answer comes; a GOAWAY does."""
    async with Http2Upstream() as upstream:

        async def script(exchange: object) -> None:
            upstream.peers[0].goaway(0, 11)
            upstream.peers[0].writer.close()

        upstream.script(script)
        async with await Http2Client.connect(f"127.0.0.1:{upstream.port}") as client:
            with pytest.raises(WireError):
                await client.ask()
            ended = await client.ending()
            assert ended is not None
            assert (ended.last, ended.code) == (0, 11)
