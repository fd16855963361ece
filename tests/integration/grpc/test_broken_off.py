"""Calls whose answer has begun, and cannot be relayed to its end: the sidecar's own errors are statuses there too."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.integration.grpc.calls import FIELDS, HEAD, MESSAGE, REPLY, call, connect
from tests.support.clock import FakeClock, settle
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import GOAWAY, Message, frame
from tests.support.http2_upstream import Exchange2, Http2Upstream
from tests.support.sidecar import Start
from tests.support.waiting import until

CANCEL, INTERNAL, REFUSED = 8, 2, 7
DEADLINE_EXCEEDED, GRPC_INTERNAL = 4, 13
Break = Callable[[Exchange2, Http2Upstream], None]


@pytest.fixture
async def far() -> AsyncIterator[Http2Upstream]:
    async with Http2Upstream() as server:
        yield server


def route(far: Http2Upstream, **changes: object) -> Mapping[str, object]:
    return {"name": "far", "upstream": far.url, "protocol": "http2", "token": "api", **changes}


def ended(answer: Message) -> tuple[int, int | None]:
    """Return the status in the trailers, and the code of a reset."""
    return int(dict(answer.trailers).get(b"grpc-status", b"-1")), answer.reset


def hang_up(exchange: Exchange2, far: Http2Upstream) -> None:
    far.peers[0].writer.close()


def go_away(exchange: Exchange2, far: Http2Upstream) -> None:
    last, code = 1, 11
    far.peers[0].write(frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big")))
    far.peers[0].writer.close()


BROKEN: Mapping[str, tuple[bytes, Break, int, int | None]] = {
    "the connection is lost": (REPLY, hang_up, GRPC_INTERNAL, None),
    "the connection is lost within a message": (REPLY[:3], hang_up, GRPC_INTERNAL, None),
    "the connection is lost after a GOAWAY with a code": (REPLY, go_away, GRPC_INTERNAL, None),
    "trailers are too large": (
        REPLY,
        lambda exchange, far: exchange.trailers([(b"x", b"v" * 70_000)]),
        GRPC_INTERNAL,
        None,
    ),
    "trailers have a status of HTTP": (
        REPLY,
        lambda exchange, far: exchange.trailers([(b":status", b"200")]),
        GRPC_INTERNAL,
        None,
    ),
    "a reset": (REPLY, lambda exchange, far: exchange.reset(CANCEL), -1, CANCEL),
    "a reset that denies a fault": (REPLY, lambda exchange, far: exchange.reset(REFUSED), -1, INTERNAL),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_b96_an_answer_that_breaks_off(sidecar: Start, far: Http2Upstream, name: str) -> None:
    """The call ends with a status after the content; the upstream's reset is relayed with its code."""
    content, break_off, status, reset = BROKEN[name]
    relayed = asyncio.Event()

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head(200, HEAD)
        await exchange.send(content)
        await relayed.wait()
        break_off(exchange, far)

    far.script(script)
    async with sidecar(route(far)) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", b"/test.Calls/Echo", FIELDS, end=False)
        await client.send(stream, MESSAGE, end=True)
        assert (await client.head(stream)).status == 200
        await until(lambda: client.message(stream).body == content)
        relayed.set()
        answer = await client.answer(stream)
        assert ended(answer) == (status, reset)
        assert answer.body == content
    [line] = running.events("request")
    assert line.get("grpc_status", -1) == status
    assert line["error"] == ("upstream_unreachable" if reset else "upstream_malformed")


@pytest.mark.parametrize(("length", "expected"), [(b"", (DEADLINE_EXCEEDED, None)), (b"100", (-1, INTERNAL))])
async def test_b96_an_upstream_that_falls_silent(
    sidecar: Start, far: Http2Upstream, clock: FakeClock, length: bytes, expected: tuple[int, int | None]
) -> None:
    """The idle time-out is DEADLINE_EXCEEDED; an answer that announced more content is reset."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head(200, [*HEAD, (b"content-length", length)] if length else HEAD)
        await exchange.send(REPLY)
        await exchange.read(1000)

    far.script(script)
    async with sidecar(route(far, timeouts={"idle": "10s"})) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", b"/test.Calls/Echo", FIELDS, end=False)
        await client.send(stream, MESSAGE, end=True)
        await client.head(stream)
        await settle()
        await clock.advance(11)
        assert ended(await client.answer(stream)) == expected
        await far.peers[0].until(lambda: far.requests[0].reset is not None)
        assert far.requests[0].reset == CANCEL


async def test_b96_the_total_time_of_a_call(sidecar: Start, far: Http2Upstream) -> None:
    """DEADLINE_EXCEEDED in the middle of a stream of messages."""

    async def dripping(exchange: Exchange2) -> None:
        exchange.head(200, HEAD)
        while exchange.received.reset is None:
            await exchange.send(REPLY)
            await asyncio.sleep(0.01)

    far.script(dripping)
    async with sidecar(route(far, timeouts={"total": "300ms"})) as running, await connect(running) as client:
        answer = await call(client)
    assert ended(answer) == (DEADLINE_EXCEEDED, None)
    assert answer.body


async def test_b96_the_status_follows_content_that_waits(sidecar: Start, far: Http2Upstream) -> None:
    """A client with a small window gets all of the content first."""
    content = REPLY * 1000

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head(200, HEAD)
        await exchange.send(content)
        far.peers[0].writer.close()

    far.script(script)
    async with (
        sidecar(route(far)) as running,
        await Http2Client.connect(running.address, window=100) as client,
    ):
        answer = await call(client)
    assert ended(answer) == (GRPC_INTERNAL, None)
    assert answer.body == content
