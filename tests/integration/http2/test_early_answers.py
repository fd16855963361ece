"""Upstreams that answer before the request has ended."""

import asyncio
from collections.abc import Callable

import pytest

from sidecar.http2.frames import ErrorCode
from sidecar.http2.limits import MOST_RESETS
from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Exchange2, Http2Upstream, answering
from tests.support.sidecar import Running
from tests.support.waiting import until


async def early(exchange: Exchange2) -> None:
    """Answer, and reset what may still come, as nginx does."""
    exchange.head()
    await exchange.send(b"ok", end=True)
    exchange.reset(ErrorCode.NO_ERROR)


async def test_an_upstream_may_reset_each_stream_after_its_answer(
    http2: Http2Upstream, listener: Running
) -> None:
    """More often than a client may: its connection is no flood, and serves all requests."""
    http2.welcome = early
    async with await Http2Client.connect(listener.address) as client:
        for _ in range(MOST_RESETS // 100 + 3):
            streams = [await client.request(b"POST", body=b"x") for _ in range(100)]
            answers = await asyncio.gather(*map(client.answer, streams))
            assert {answer.status for answer in answers} == {200}
    assert http2.connections == 1


ANSWER = bytes(range(256)) * 400
ENDS: dict[str, Callable[[Exchange2], None]] = {
    "reset with NO_ERROR": lambda exchange: exchange.reset(ErrorCode.NO_ERROR),
    "reset with CANCEL": lambda exchange: exchange.reset(ErrorCode.CANCEL),
    "GOAWAY": lambda exchange: exchange.peer.goaway(exchange.stream),
    "GOAWAY with a code, then the end": lambda exchange: _leave(exchange, ErrorCode.INTERNAL_ERROR),
    "the end of the connection": lambda exchange: exchange.peer.writer.write_eof(),
}


def _leave(exchange: Exchange2, code: int) -> None:
    exchange.peer.goaway(exchange.stream, code)
    exchange.peer.writer.write_eof()


@pytest.mark.parametrize("trailers", [False, True], ids=["body", "trailers"])
@pytest.mark.parametrize("end", ENDS)
async def test_i21_a_slow_client_gets_the_whole_early_answer(
    http2: Http2Upstream, listener: Running, end: str, *, trailers: bool
) -> None:
    """All of it had arrived when the upstream ended the stream, and the client takes it later."""
    known = asyncio.Event()

    async def script(exchange: Exchange2) -> None:
        exchange.head()
        await exchange.send(ANSWER, end=not trailers)
        if trailers:
            exchange.trailers([(b"checksum", b"1")])
        ENDS[end](exchange)
        if "the end" not in end:
            await exchange.peer.ping()
            known.set()

    http2.script(answering(), script)
    async with await Http2Client.connect(listener.address, window=1000, credit=False) as client:
        await client.ask()  # so that the story of the next request is no task
        stream = client.begin_request(b"POST", end=False)
        await client.send(stream, b"the beginning")
        await until(lambda: known.is_set() or (bool(http2.peers) and http2.peers[0].closed))
        client.grant(0, 1 << 20)
        client.grant(stream, 1 << 20)
        answer = await client.answer(stream)
        assert bytes(answer.body) == ANSWER
        assert answer.whole
        assert answer.trailers == (((b"checksum", b"1"),) if trailers else ())
