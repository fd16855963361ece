"""Upstreams that answer before the request has ended."""

import asyncio

from sidecar.http2.frames import ErrorCode
from sidecar.http2.limits import MOST_RESETS
from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Exchange2, Http2Upstream
from tests.support.sidecar import Running


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
