"""How streams and connections end: resets, losses, GOAWAY, time-outs and the drain."""

import asyncio

import pytest

from tests.integration.http2.conftest import connect, route
from tests.support.clock import FakeClock, settle
from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Exchange2, Http2Upstream, Script2, answering
from tests.support.sidecar import Start

CANCEL, REFUSED, INTERNAL = 8, 7, 2


async def silent(exchange: Exchange2) -> None:
    """Read the request and say nothing."""
    await exchange.read()


async def half(exchange: Exchange2) -> None:
    """Answer half."""
    exchange.head(200, [(b"content-length", b"10")])
    await exchange.send(b"12345")


def resetting(code: int, after: asyncio.Event | None = None) -> Script2:
    """Reset the stream: at once, or after half of the answer and an event."""

    async def script(exchange: Exchange2) -> None:
        if after is not None:
            await half(exchange)
            await after.wait()
        exchange.reset(code)

    return script


async def test_a_clients_reset_reaches_the_upstream_with_its_code(
    sidecar: Start, http2: Http2Upstream
) -> None:
    """And the request is logged as one whose client left."""
    http2.script(half, silent)
    async with sidecar(route(http2)) as running, await connect(running) as client:
        stream = await client.request()
        await client.head(stream)
        client.reset(stream, 5)
        await http2.peers[0].until(lambda: http2.requests[0].reset is not None)
    assert http2.requests[0].reset == 5
    assert [line["error"] for line in running.events("request")] == ["client_gone"]


@pytest.mark.parametrize("code", [INTERNAL, CANCEL, 11, 0x1234])
async def test_an_upstreams_reset_after_the_head_reaches_the_client(
    sidecar: Start, http2: Http2Upstream, code: int
) -> None:
    """With its code, after what came before it."""
    go = asyncio.Event()
    http2.script(resetting(code, go))
    async with sidecar(route(http2)) as running, await connect(running) as client:
        stream = await client.request()
        await client.head(stream)
        go.set()
        answer = await client.answer(stream)
        assert (answer.status, bytes(answer.body), answer.reset) == (200, b"12345", code)
        assert (await client.ask()).status == 200
    assert running.events("request")[0]["error"] == "upstream_unreachable"


@pytest.mark.parametrize("code", [0, REFUSED, 13])
async def test_m5_a_reset_that_would_mean_success_or_a_repetition_is_an_error(
    sidecar: Start, http2: Http2Upstream, code: int
) -> None:
    """After the head: NO_ERROR, REFUSED_STREAM and HTTP_1_1_REQUIRED do not say that an answer broke off."""
    go = asyncio.Event()
    http2.script(resetting(code, go))
    async with sidecar(route(http2)) as running, await connect(running) as client:
        stream = await client.request()
        await client.head(stream)
        go.set()
        assert (await client.answer(stream)).reset == INTERNAL


@pytest.mark.parametrize("code", [INTERNAL, CANCEL, 0, 13])
async def test_an_upstreams_reset_before_the_head_is_a_problem(
    sidecar: Start, http2: Http2Upstream, code: int
) -> None:
    """A status can still be sent."""
    http2.script(resetting(code))
    async with sidecar(route(http2)) as running, await connect(running) as client:
        answer = await client.ask()
        assert (answer.status, answer.reset) == (502, None)
        assert b'"upstream_unreachable"' in answer.body
        assert (await client.ask()).status == 200


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_a_refused_stream_is_sent_again_once(
    sidecar: Start, http2: Http2Upstream, method: bytes
) -> None:
    """Its upstream did not process it, whatever the method; the second refusal is final."""
    http2.script(resetting(REFUSED))
    async with sidecar(route(http2)) as running, await connect(running) as client:
        answer = await client.ask(method, b"/", [], b"content" if method == b"POST" else b"")
        assert answer.status == 200
        assert [bytes(received.body) for received in http2.requests][-1] == (
            b"content" if method == b"POST" else b""
        )
        http2.script(resetting(REFUSED), resetting(REFUSED))
        assert (await client.ask()).status == 502
    assert len(http2.requests) == 4
    assert {line["attempts"] for line in running.events("request")} == {1}


async def test_streams_above_a_goaway_are_sent_again(sidecar: Start, http2: Http2Upstream) -> None:
    """On another connection; those below it come to their ends on this one."""
    go = asyncio.Event()

    async def first(exchange: Exchange2) -> None:
        await exchange.read()
        await go.wait()
        await answering(200, [], b"first")(exchange)

    async def second(exchange: Exchange2) -> None:
        exchange.peer.goaway(1)
        go.set()

    http2.script(first, second)
    async with sidecar(route(http2)) as running, await connect(running) as client:
        one = await client.request()
        await http2.reached(1)
        two = await client.request(b"POST", b"/", [], b"content")
        assert bytes((await client.answer(one)).body) == b"first"
        assert (await client.answer(two)).status == 200
        assert (await client.ask()).status == 200
    assert [received.connection for received in http2.requests] == [1, 1, 2, 2]


async def test_the_loss_of_an_upstream_is_a_problem_or_a_reset(sidecar: Start, http2: Http2Upstream) -> None:
    """Before the head a 502, after it a reset."""
    http2.script(half, silent)
    async with sidecar(route(http2)) as running, await connect(running) as client:
        one = await client.request()
        await client.head(one)
        two = await client.request(b"POST", b"/", [], b"content")
        await http2.reached(2)
        http2.drop(hard=True)
        assert (await client.answer(one)).reset == INTERNAL
        assert (await client.answer(two)).status == 502
        assert (await client.ask()).status == 200


async def test_a_client_that_leaves_ends_its_streams_upstream(sidecar: Start, http2: Http2Upstream) -> None:
    """All of them."""
    http2.script(half, silent)
    async with sidecar(route(http2)) as running:
        async with await connect(running) as client:
            await client.head(await client.request())
            await client.request()
            await http2.reached(2)
        await http2.peers[0].until(lambda: all(received.reset is not None for received in http2.requests))
        assert [received.reset for received in http2.requests] == [CANCEL, CANCEL]


async def test_an_answer_before_the_end_of_the_request(sidecar: Start, http2: Http2Upstream) -> None:
    """It is relayed whole; then the client is told to stop sending, and so is the upstream."""

    async def early(exchange: Exchange2) -> None:
        await exchange.read(3)
        exchange.head(413)
        await exchange.send(b"too much", end=True)

    http2.script(early)
    async with sidecar(route(http2)) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", end=False)
        await client.send(stream, b"abc")
        answer = await client.answer(stream)
        assert (answer.status, bytes(answer.body)) == (413, b"too much")
        await client.until(lambda: answer.reset is not None)
        assert answer.reset == 0
        assert (await client.ask()).status == 200


@pytest.mark.parametrize("begun", [False, True])
async def test_an_upstream_that_falls_silent(
    sidecar: Start, http2: Http2Upstream, clock: FakeClock, *, begun: bool
) -> None:
    """After the idle time-out: a 504, or a reset where the answer has begun."""
    http2.script(half if begun else silent)
    async with sidecar(route(http2, timeouts={"idle": "10s"})) as running, await connect(running) as client:
        stream = await client.request()
        await http2.reached(1)
        if begun:
            await client.head(stream)
        await settle()
        await clock.advance(11)
        answer = await client.answer(stream)
        assert (answer.status, answer.reset) == ((200, INTERNAL) if begun else (504, None))
        await http2.peers[0].until(lambda: http2.requests[0].reset is not None)
        assert http2.requests[0].reset == CANCEL


@pytest.mark.parametrize("alive", ["not", "pings", "answers others"])
async def test_h5_a_connection_whose_peer_vanished_gets_no_more_requests(
    sidecar: Start, http2: Http2Upstream, clock: FakeClock, alive: str
) -> None:
    """Nothing arrived on it since the request that timed out was sent; one that is only slow stays."""
    async with sidecar(route(http2, timeouts={"idle": "10s"})) as running, await connect(running) as client:
        assert (await client.ask()).status == 200
        http2.script(silent)
        stream = await client.request()
        await http2.reached(2)
        if alive == "pings":
            await http2.peers[0].ping()
        elif alive == "answers others":
            assert (await client.ask()).status == 200
        await settle()
        await clock.advance(11)
        assert (await client.answer(stream)).status == 504
        assert (await client.ask()).status == 200
        assert http2.requests[-1].connection == (2 if alive == "not" else 1)


async def test_a_client_that_stops_sending(sidecar: Start, http2: Http2Upstream, clock: FakeClock) -> None:
    """After the idle time-out it gets 408, and the upstream's stream is reset."""
    http2.script(silent)
    async with sidecar(route(http2, timeouts={"idle": "10s"})) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", end=False)
        await client.send(stream, b"abc")
        await http2.reached(1)
        await settle()
        await clock.advance(11)
        assert (await client.answer(stream)).status == 408


async def test_the_total_time_of_an_exchange(sidecar: Start, http2: Http2Upstream) -> None:
    """It is of the stream, whatever moves."""

    async def dripping(exchange: Exchange2) -> None:
        exchange.head(200)
        while exchange.received.reset is None:
            await exchange.send(b"x")
            await asyncio.sleep(0.01)

    http2.script(dripping)
    async with (
        sidecar(route(http2, timeouts={"total": "300ms"})) as running,
        await connect(running) as client,
    ):
        assert (await client.ask()).reset == INTERNAL
        assert (await client.ask()).status == 200


async def test_an_idle_client_is_closed_with_goaway(
    sidecar: Start, http2: Http2Upstream, clock: FakeClock
) -> None:
    """After the keep-alive time-out."""
    async with sidecar(route(http2)) as running, await connect(running) as client:
        assert (await client.ask()).status == 200
        await clock.advance(76)
        goaway = await client.ending()
        assert goaway is not None
        assert (goaway.last, goaway.code) == (1, 0)


async def test_an_idle_upstream_connection_is_closed_with_goaway(
    sidecar: Start, http2: Http2Upstream, clock: FakeClock
) -> None:
    """And a new one is opened by the next request."""
    async with sidecar(route(http2)) as running, await connect(running) as client:
        assert (await client.ask()).status == 200
        await clock.advance(61)
        await http2.peers[0].until(lambda: bool(http2.peers[0].goaways))
        assert (await client.ask()).status == 200
    assert [received.connection for received in http2.requests] == [1, 2]


async def test_the_drain_lets_streams_finish(sidecar: Start, http2: Http2Upstream) -> None:
    """GOAWAY in two steps: nothing that the client sent before it knew is refused."""
    go = asyncio.Event()

    async def late(exchange: Exchange2) -> None:
        await exchange.read()
        await go.wait()
        await answering(200, [], b"late")(exchange)

    http2.script(late, late)
    async with sidecar(route(http2), drain_timeout="30s") as running, await connect(running) as client:
        one = await client.request()
        await http2.reached(1)
        stopping = asyncio.ensure_future(running.app.stop())
        two = await client.request()
        await client.until(lambda: bool(client.goaways))
        assert client.goaways[0].last == (1 << 31) - 1
        await client.until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (3, 0, b"")
        go.set()
        assert bytes((await client.answer(one)).body) == b"late"
        assert bytes((await client.answer(two)).body) == b"late"
        await client.ending()
        await stopping


async def test_interim_answers_are_relayed(sidecar: Start, http2: Http2Upstream) -> None:
    """In their order, before the answer."""

    async def hinting(exchange: Exchange2) -> None:
        exchange.interim(103, [(b"link", b"</a>")])
        exchange.interim(103, [(b"link", b"</b>")])
        await answering()(exchange)

    http2.script(hinting)
    async with sidecar(route(http2)) as running, await connect(running) as client:
        answer = await client.ask()
    assert [fields[1] for fields in answer.interim] == [(b"link", b"</a>"), (b"link", b"</b>")]
    assert answer.status == 200


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_does_not_take_the_rest_of_an_answer(
    sidecar: Start, http2: Http2Upstream, clock: FakeClock, *, reads: bool
) -> None:
    """The upstream has sent all of it: the client has the idle time-out for each part that it takes."""
    http2.script(answering(200, [], b"x" * 100_000))
    async with (
        sidecar(route(http2, timeouts={"idle": "10s"})) as running,
        await Http2Client.connect(running.address, credit=False) as client,
    ):
        stream = await client.request()
        answer = await client.head(stream)
        await client.until(lambda: len(answer.body) == 65_535)
        client.grant(0, 1 << 20)
        for part in range(3):
            await client.ping()
            await clock.advance(6)
            if reads:
                client.grant(stream, 100)
                await client.until(lambda part=part: len(answer.body) == 65_635 + 100 * part)  # type: ignore[misc]
        if reads:
            client.grant(stream, 1 << 20)
            await client.answer(stream)
            assert (len(answer.body), answer.reset) == (100_000, None)
        else:
            assert (await client.answer(stream)).reset == CANCEL
    assert running.events("request")[0]["error"] == ("" if reads else "client_gone")


@pytest.mark.parametrize("reads", [True, False])
async def test_an_upstream_that_takes_a_request_slowly(
    sidecar: Start, clock: FakeClock, *, reads: bool
) -> None:
    """The client has sent all of it: the upstream has the idle time-out for each part that it takes."""
    async with Http2Upstream(window=1_000, credit=False) as http2:
        http2.script(silent)
        async with (
            sidecar(route(http2, timeouts={"idle": "10s"})) as running,
            await connect(running) as client,
        ):
            stream = await client.request(b"POST", b"/", [], b"x" * 10_000)
            await http2.reached(1)
            [received], [peer] = http2.requests, http2.peers
            for part in range(3):
                await peer.until(lambda part=part: len(received.body) == 1_000 + 100 * part)  # type: ignore[misc]
                await clock.advance(6)
                if reads:
                    peer.grant(received.stream, 100)
                elif part == 1:
                    break
                else:
                    received.body += b"x" * 100
            answer = client.message(stream)
            if reads:
                await client.ping()
                assert not answer.over
            else:
                assert (await client.answer(stream)).status == 504
