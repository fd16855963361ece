"""Frames that an upstream sends before it knows of a reset: however many they are, they end nothing."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.integration.http2.conftest import connect
from tests.support.http2_peer import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame
from tests.support.http2_upstream import Exchange2, Http2Upstream, answering
from tests.support.sidecar import Running
from tests.support.waiting import until

CLIENTS, RESETS = 3, 400
"""Each client resets fewer streams than are allowed. Together they are more than a connection keeps one by one."""
CANCEL = 8


def head(stream: int, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, b"\x88")


LATE: Mapping[str, Callable[[int], bytes]] = {
    "a head": head,
    "a head that ends the stream": lambda stream: head(stream, END_HEADERS | END_STREAM),
    "an answer": lambda stream: head(stream) + frame(DATA, END_STREAM, stream, b"late"),
    "an answer with trailers": lambda stream: (
        head(stream)
        + frame(DATA, 0, stream, b"late")
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x00\x01a\x01v")
    ),
    "content": lambda stream: frame(DATA, 0, stream, b"late"),
    "a reset": lambda stream: frame(RST_STREAM, 0, stream, bytes(4)),
}


@pytest.mark.parametrize("name", LATE)
async def test_b98_late_frames_of_many_streams_end_nothing(
    http2: Http2Upstream, listener: Running, name: str
) -> None:
    """A call of another client on the same connection to the upstream gets its answer, and so does the next one."""
    go = asyncio.Event()

    async def script(exchange: Exchange2) -> None:
        await go.wait()
        if exchange.received.reset is None:
            await answering()(exchange)
        else:
            exchange.peer.write(LATE[name](exchange.stream))

    http2.welcome = script
    async with await connect(listener) as other:
        kept = await other.request()
        await until(lambda: len(http2.requests) == 1)  # before it is connected, what is reset is never sent
        for _ in range(CLIENTS):
            async with await connect(listener) as client:
                for _ in range(RESETS):
                    client.reset(await client.request(), CANCEL)
                await client.ping()
        await until(lambda: sum(each.reset is not None for each in http2.requests) == CLIENTS * RESETS)
        go.set()
        assert (await other.answer(kept)).status == 200
        assert (await other.ask()).status == 200
    assert http2.connections == 1
