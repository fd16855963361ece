"""Floods end their connection with ENHANCE_YOUR_CALM, and no other one."""

import asyncio

import pytest

from sidecar.http2.frames import ErrorCode
from sidecar.http2.limits import MOST_IDLE_FRAMES
from tests.support.http2_client import Http2Client
from tests.support.http2_floods import ENOUGH, FLOODS, GET, odd
from tests.support.http2_peer import END_HEADERS, END_STREAM, HEADERS, PING, frame
from tests.support.http2_upstream import Exchange2, Http2Upstream, answering
from tests.support.sidecar import Running

AT_ONCE = 50


@pytest.mark.parametrize("name", FLOODS)
async def test_b98_floods_end_their_connection(http2: Http2Upstream, listener: Running, name: str) -> None:
    """Each of valid frames, or of faults that end a stream only. A client beside it is served all the time."""
    flood = FLOODS[name]
    async with await Http2Client.connect(listener.address) as other:
        async with await Http2Client.connect(listener.address) as client:
            for begin in range(0, ENOUGH, AT_ONCE):
                for number in range(begin, begin + AT_ONCE):
                    if odd(number) < 2 * ENOUGH and name.startswith(("rapid", "made")):
                        client.opened(odd(number))
                    client.write(flood(number))
                await client.drained()
                if begin % 500 == 0:
                    assert (await other.ask()).status == 200
                if client.goaways or client.closed:
                    break
            ended = await client.ending()
            assert ended is not None
            assert ended.code == ErrorCode.ENHANCE_YOUR_CALM
        assert (await other.ask()).status == 200


@pytest.mark.parametrize(
    "name", [name for name in FLOODS if name.startswith(("rapid", "PING", "PRIORITY", "unknown"))]
)
async def test_what_a_busy_client_sends_is_no_flood(listener: Running, name: str) -> None:
    """A few hundred of them end nothing."""
    async with await Http2Client.connect(listener.address) as client:
        for number in range(300):
            if name.startswith("rapid"):
                client.opened(odd(number))
            client.write(FLOODS[name](number))
        client._next = odd(300)
        assert (await client.ask()).status == 200


async def test_a_list_of_fields_too_large_gets_431(listener: Running) -> None:
    """Also where its block is small; the connection goes on, and its tables are in step."""
    entry = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"v" * 4000
    async with await Http2Client.connect(listener.address) as client:
        client.opened(1)
        client.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + entry + b"\xbe" * 100))
        assert (await client.answer(1)).status == 431
        client.opened(3)
        client.write(frame(HEADERS, END_HEADERS | END_STREAM, 3, GET + b"\xbe"))
        assert (await client.answer(3)).status == 200


async def pinging(exchange: Exchange2) -> None:
    """Answer, with a PING as gRPC's servers send it to measure the connection."""
    exchange.peer.write(frame(PING, 0, 0, b"12345678"))
    await answering()(exchange)


async def test_b98_an_upstream_may_send_a_ping_with_each_answer(
    http2: Http2Upstream, listener: Running
) -> None:
    """Its connection, which all clients share, is no flood."""
    http2.welcome = pinging
    async with await Http2Client.connect(listener.address) as client:
        for _ in range(MOST_IDLE_FRAMES // 100 + 5):
            streams = [await client.request(b"POST", body=b"x") for _ in range(100)]
            answers = await asyncio.gather(*map(client.answer, streams))
            assert {answer.status for answer in answers} == {200}
    assert http2.connections == 1
