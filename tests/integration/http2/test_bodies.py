"""Bodies and streams over HTTP/2: every byte arrives, at any window, and no stream holds up another."""

import asyncio
from functools import partial

import pytest

from sidecar.http2.frames import ErrorCode
from tests.integration.http2.conftest import route
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import Message
from tests.support.http2_upstream import Exchange2, Http2Upstream, answering, echo
from tests.support.sidecar import Running, Start
from tests.support.waiting import at_rest, until

PATTERN = bytes(number * 7 % 251 for number in range(1 << 16))
MEGABYTE = (PATTERN * 16)[: 1 << 20]


@pytest.mark.parametrize("upstream_window", [1, 1000, 65_535, 1 << 20])
@pytest.mark.parametrize("client_window", [1, 1000, 65_535, 1 << 20])
async def test_b97_bodies_both_ways_at_any_window(
    sidecar: Start, client_window: int, upstream_window: int
) -> None:
    """Some hundred times the smaller window, and several streams at once."""
    size = min(2 << 20, 200 * min(client_window, upstream_window))
    bodies = [PATTERN[number:] * (size // len(PATTERN[number:]) + 1) for number in range(3)]
    bodies = [body[:size] for body in bodies]
    async with Http2Upstream(window=upstream_window) as upstream, sidecar(route(upstream)) as running:
        upstream.script(*[echo] * len(bodies))
        async with await Http2Client.connect(running.address, window=client_window) as client:
            streams = [client.begin_request(b"POST", end=False) for _ in bodies]
            await asyncio.gather(*map(client.send, streams, bodies))
            for stream in streams:
                await client.send(stream, b"", end=True)
            for stream, body in zip(streams, bodies, strict=True):
                assert (await client.answer(stream)).body == body
        assert sorted(received.body for received in upstream.requests) == sorted(bodies)
        assert upstream.malformed == []


@pytest.mark.parametrize("max_frame", [16_384, 100_000, (1 << 24) - 1])
async def test_large_bodies_in_large_frames(sidecar: Start, max_frame: int) -> None:
    """Ten megabytes both ways, with frames as large as the peers allow."""
    body = MEGABYTE * 10
    async with (
        Http2Upstream(window=1 << 24, max_frame=max_frame) as upstream,
        sidecar(route(upstream)) as running,
    ):
        upstream.script(echo)
        async with await Http2Client.connect(running.address, window=1 << 24, max_frame=max_frame) as client:
            answer = await client.ask(b"POST", body=body)
            assert answer.body == body


async def test_a_thousand_streams_of_one_connection(http2: Http2Upstream, listener: Running) -> None:
    """As many at once as are allowed."""
    http2.script(*[echo] * 1000)
    async with await Http2Client.connect(listener.address) as client:
        for begin in range(0, 1000, 200):
            bodies = [b"%d" % number for number in range(begin, begin + 200)]
            streams = [await client.request(b"POST", body=body) for body in bodies]
            answers = [await client.answer(stream) for stream in streams]
            assert [answer.body for answer in answers] == bodies


async def test_b97_a_slow_reader_holds_up_no_other(http2: Http2Upstream, listener: Running) -> None:
    """It gets its window and no more; then all of the rest."""
    http2.script(answering(body=MEGABYTE))
    async with await Http2Client.connect(listener.address, window=1000, credit=False) as client:
        slow = await client.request(path=b"/slow")
        message = await client.head(slow)
        await client.until(lambda: len(message.body) == 1000)
        for _ in range(20):
            assert (await client.ask()).body == b"ok"
        assert len(message.body) == 1000
        client.grant(0, len(MEGABYTE))
        client.grant(slow, len(MEGABYTE))
        await client.answer(slow)
        assert message.body == MEGABYTE


async def test_b97_an_upstream_that_takes_nothing_stops_its_client_only(sidecar: Start) -> None:
    """The upload waits with what the windows hold; other streams of both connections go on."""
    async with Http2Upstream(credit=False) as upstream, sidecar(route(upstream)) as running:
        upstream.script(echo)
        async with await Http2Client.connect(running.address) as client:
            slow = client.begin_request(b"POST", b"/slow", end=False)
            sending = asyncio.ensure_future(client.send(slow, MEGABYTE * 8, end=True))
            await upstream.reached(1)
            received = upstream.requests[0]
            await at_rest(lambda: len(received.body))
            assert len(received.body) == 65_535
            assert not sending.done()
            assert (await client.ask()).body == b"ok"
            sending.cancel()
            client.reset(slow, ErrorCode.CANCEL)
            await until(lambda: received.reset == ErrorCode.CANCEL)


async def test_trailers_both_ways(http2: Http2Upstream, listener: Running) -> None:
    """With a body and without."""
    fields = [(b"grpc-status", b"0"), (b"x-checksum", b"1")]
    http2.script(answering(body=b"body", trailers=fields), answering(body=b"", trailers=fields))
    async with await Http2Client.connect(listener.address) as client:
        for body in (b"body", b""):
            te = [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
            answer = await client.ask(b"POST", b"/p.S/M", te, body, trailers=[(b"x-sum", b"2")])
            assert (answer.status, bytes(answer.body), answer.trailers) == (200, body, tuple(fields))
    for received in http2.requests:
        assert received.trailers == ((b"x-sum", b"2"),)
        assert received.values("te") == [b"trailers"]


async def test_an_answer_of_trailers_only(http2: Http2Upstream, listener: Running) -> None:
    """A head that ends its stream, as gRPC sends errors."""
    fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"5"), (b"grpc-message", b"none")]
    http2.script(answering(200, fields, b""))
    async with await Http2Client.connect(listener.address) as client:
        answer = await client.ask(b"POST", b"/p.S/M", [(b"content-type", b"application/grpc")], b"x")
        assert answer.fields == ((b":status", b"200"), *fields)


async def test_interim_answers(http2: Http2Upstream, listener: Running) -> None:
    """Several, in order, before the final one; 100 while the upload waits for it."""

    async def script(exchange: Exchange2) -> None:
        exchange.interim(100)
        exchange.interim(103, [(b"link", b"</a>")])
        await exchange.read()
        await answering()(exchange)

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        stream = client.begin_request(b"POST", fields=[(b"expect", b"100-continue")], end=False)
        message = client.message(stream)
        await client.until(lambda: len(message.interim) == 2)
        assert [fields[0] for fields in message.interim] == [(b":status", b"100"), (b":status", b"103")]
        await client.send(stream, b"body", end=True)
        assert (await client.answer(stream)).status == 200
    assert http2.requests[0].body == b"body"


@pytest.mark.parametrize("uploading", [True, False])
async def test_a_client_cancels(http2: Http2Upstream, listener: Running, *, uploading: bool) -> None:
    """The upstream gets the reset with its code; both connections go on."""

    async def script(exchange: Exchange2) -> None:
        if not uploading:
            exchange.head()
            await exchange.send(b"part")
        await exchange.read()

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        stream = client.begin_request(b"POST", end=not uploading)
        await http2.reached(1)
        if not uploading:
            message = client.message(stream)
            await client.until(lambda: bool(message.body))
        client.reset(stream, ErrorCode.CANCEL)
        await until(lambda: http2.requests[0].reset == ErrorCode.CANCEL)
        assert (await client.ask()).status == 200
    assert http2.connections == 1


@pytest.mark.parametrize(
    "code", [ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR, ErrorCode.ENHANCE_YOUR_CALM, 99]
)
async def test_an_upstream_resets_in_the_middle(http2: Http2Upstream, listener: Running, code: int) -> None:
    """The client gets what came, then the reset with its code; both connections go on."""

    go = asyncio.Event()

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head()
        await exchange.send(b"part")
        await go.wait()
        exchange.reset(code)

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        stream = await client.request(b"POST", body=b"x")
        await client.until(partial(some_arrived, client.message(stream)))
        go.set()
        answer = await client.answer(stream)
        assert (answer.status, bytes(answer.body), answer.whole, answer.reset) == (200, b"part", False, code)
        assert (await client.ask()).status == 200
    assert http2.connections == 1


async def test_an_answer_before_the_upload_is_over(http2: Http2Upstream, listener: Running) -> None:
    """It is relayed whole; the rest of the upload is not required any more."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read(1)
        exchange.head(413)
        await exchange.send(b"too much", end=True)
        exchange.reset(ErrorCode.NO_ERROR)

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        stream = client.begin_request(b"POST", end=False)
        await client.send(stream, b"x" * 1000)
        answer = await client.answer(stream)
        assert (answer.status, bytes(answer.body), answer.whole) == (413, b"too much", True)
        assert (await client.ask()).status == 200


async def test_a_refused_stream_is_sent_again(http2: Http2Upstream, listener: Running) -> None:
    """Once, with the same bytes: the upstream has not processed it."""

    async def refuse(exchange: Exchange2) -> None:
        exchange.reset(ErrorCode.REFUSED_STREAM)

    http2.script(refuse)
    async with await Http2Client.connect(listener.address) as client:
        answer = await client.ask(b"POST", body=b"body")
        assert (answer.status, bytes(answer.body)) == (200, b"ok")
        await until(lambda: len(http2.requests) == 2)
        assert http2.requests[1].body == b"body"


async def test_an_upstream_leaves_with_goaway(http2: Http2Upstream, listener: Running) -> None:
    """The stream on its way ends there; the next one goes to a new connection."""

    async def script(exchange: Exchange2) -> None:
        exchange.peer.goaway(exchange.stream)
        await exchange.read()
        await answering()(exchange)

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        assert (await client.ask(b"POST", body=b"x")).status == 200
        assert (await client.ask()).status == 200
        assert (await client.ask()).status == 200
    assert [received.connection for received in http2.requests] == [1, 2, 2]


async def test_what_an_upstream_did_not_process_is_sent_again(
    http2: Http2Upstream, listener: Running
) -> None:
    """Its GOAWAY names a stream before it: the request goes to a new connection."""

    async def script(exchange: Exchange2) -> None:
        exchange.peer.goaway(0)
        exchange.peer.writer.close()

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        answer = await client.ask(b"POST", body=b"body")
        assert (answer.status, bytes(answer.body)) == (200, b"ok")
    assert http2.requests[-1].body == b"body"
    assert http2.requests[-1].connection == 2


async def test_a_client_leaves_with_goaway(http2: Http2Upstream, listener: Running) -> None:
    """Its streams end first, then the connection."""
    go = asyncio.Event()

    async def script(exchange: Exchange2) -> None:
        await go.wait()
        await answering()(exchange)

    http2.script(script)
    async with await Http2Client.connect(listener.address) as client:
        stream = await client.request()
        await http2.reached(1)
        client.goaway(0)
        await client.ping()
        go.set()
        assert (await client.answer(stream)).status == 200


async def test_heads_of_many_frames(http2: Http2Upstream, listener: Running) -> None:
    """Both ways, at just below the limit of a head."""
    fields = [(b"x-%d" % number, b"v" * 1000) for number in range(55)]
    http2.script(answering(200, fields))
    async with await Http2Client.connect(listener.address) as client:
        answer = await client.ask(fields=fields)
        assert answer.fields == ((b":status", b"200"), *fields)
    assert [pair for pair in http2.requests[0].fields if pair in fields] == fields


async def test_no_body_is_held_after_its_stream(http2: Http2Upstream, listener: Running) -> None:
    """A hundred answers that are cancelled in the middle leave the connection's window whole."""

    async def script(exchange: Exchange2) -> None:
        exchange.head()
        await exchange.send(MEGABYTE, end=True)

    http2.script(*[script] * 100)
    async with await Http2Client.connect(listener.address) as client:
        for _ in range(100):
            stream = await client.request()
            await client.until(partial(some_arrived, client.message(stream)))
            client.reset(stream, ErrorCode.CANCEL)
        http2.script(answering(body=MEGABYTE))
        assert (await client.ask()).body == MEGABYTE
    assert http2.connections == 1


def some_arrived(message: Message) -> bool:
    """Some of the body is there."""
    return bool(message.body)
