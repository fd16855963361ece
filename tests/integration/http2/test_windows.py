"""Flow control through a sidecar: small windows, large content, slow readers."""

import pytest

from sidecar.http2.limits import CONNECTION_WINDOW, STREAM_WINDOW
from tests.integration.http2.conftest import route
from tests.support.clock import settle
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import DEFAULT_WINDOW, WINDOW_UPDATE
from tests.support.http2_upstream import Exchange2, Http2Upstream, answering, echo
from tests.support.sidecar import Start

CONTENT = bytes(range(251)) * 4200
"""A megabyte whose period divides no window."""


@pytest.mark.parametrize(
    ("window", "size"), [(1, 2_000), (7, 9_000), (1_000, 200_000), (16_385, 1_000_000), (1 << 20, 1_000_000)]
)
@pytest.mark.parametrize("small", ["client", "upstream", "both"])
async def test_b97_content_passes_windows_of_any_size(
    sidecar: Start, window: int, size: int, small: str
) -> None:
    """Both ways, with trailers after it. DATA that is larger than a window is split, not queued whole."""
    content = CONTENT[:size]
    ours = window if small != "upstream" else DEFAULT_WINDOW
    its = window if small != "client" else DEFAULT_WINDOW
    async with Http2Upstream(window=its) as far:
        far.script(echo)
        async with (
            sidecar(route(far)) as running,
            await Http2Client.connect(running.address, window=ours) as client,
        ):
            answer = await client.ask(b"POST", b"/", [], content, [(b"x-t", b"1")])
        assert bytes(answer.body) == content
        assert answer.trailers == ((b"x-t", b"1"),)
        assert far.malformed == []


async def test_b97_a_slow_reader_holds_up_no_other_stream(sidecar: Start) -> None:
    """What its stream holds is the window; the others of its connection, and of the upstream's, go on."""

    async def endless(exchange: Exchange2) -> None:
        exchange.head(200)
        while exchange.received.reset is None:
            await exchange.send(CONTENT[: 1 << 16])

    async with Http2Upstream() as far:
        far.script(endless)
        async with sidecar(route(far)) as running:
            client = await Http2Client.connect(running.address, credit=False)
            client.grant(0, 1 << 24)
            slow = await client.request()
            await client.head(slow)
            async with client, await Http2Client.connect(running.address) as other:
                for _ in range(20):
                    far.welcome = answering(200, [], b"x" * 1_000)
                    assert len((await client.ask()).body) == 1_000
                    assert len((await other.ask(b"POST", b"/", [], CONTENT[:100_000])).body) == 1_000
                assert len(client.message(slow).body) <= 65_535


async def test_b97_an_upload_waits_for_a_slow_upstream(sidecar: Start) -> None:
    """No more is in the sidecar than the client's window, whatever the client has to send."""

    async def slow(exchange: Exchange2) -> None:
        await settle()
        exchange.peer.grant(0, 1 << 24)
        exchange.peer.grant(exchange.stream, 1 << 24)
        await exchange.read()
        exchange.head(200, end=True)

    async with Http2Upstream(window=1_000, credit=False) as far:
        far.script(slow)
        async with sidecar(route(far)) as running, await Http2Client.connect(running.address) as client:
            answer = await client.ask(b"POST", b"/", [], CONTENT)
        assert answer.status == 200
        assert bytes(far.requests[0].body) == CONTENT


async def test_h4_slow_uploads_hold_up_no_others(sidecar: Start) -> None:
    """Each holds its own window and no more, however many of a connection there are."""

    async def silent(exchange: Exchange2) -> None:
        await exchange.read()

    async with Http2Upstream(window=0) as far, Http2Upstream() as quick:
        far.welcome, quick.welcome = silent, echo
        routes = [{**route(far), "match": {"prefix": "/far"}}, {**route(quick), "name": "quick"}]
        async with sidecar(*routes) as running, await Http2Client.connect(running.address) as client:
            count = 2 * CONNECTION_WINDOW // STREAM_WINDOW
            streams = [client.begin_request(b"POST", b"/far", end=False) for _ in range(count)]
            await far.reached(count)
            for stream in streams:
                await client.send(stream, bytes(STREAM_WINDOW))
            assert (await client.ask(b"POST", b"/", [], CONTENT)).body == CONTENT
            assert not any(
                (one.kind, one.stream) == (WINDOW_UPDATE, stream)
                for one in client.frames
                for stream in streams
            )


@pytest.mark.parametrize("size", [100_000, 300_000])
async def test_h4_slow_downloads_hold_up_no_others(sidecar: Start, size: int) -> None:
    """The clients share a connection to the upstream, and its window."""
    slow_ones = 2 * CONNECTION_WINDOW // min(size, STREAM_WINDOW)
    async with Http2Upstream() as far:
        far.welcome = answering(200, [], CONTENT[:size])
        async with (
            sidecar(route(far)) as running,
            await Http2Client.connect(running.address, window=1, credit=False) as slow,
            await Http2Client.connect(running.address) as other,
        ):
            for _ in range(slow_ones):
                await slow.head(await slow.request())
            assert (await other.ask()).body == CONTENT[:size]
        assert {received.connection for received in far.requests} == {1}


@pytest.mark.parametrize("size", [65_535, 65_536, 200_000])
async def test_a_client_that_has_filled_the_default_window_gets_credit(sidecar: Start, size: int) -> None:
    """Some wait for a WINDOW_UPDATE of the stream then, and do not notice that SETTINGS allow more."""
    async with Http2Upstream() as far:
        far.script(echo)
        async with sidecar(route(far)) as running, await Http2Client.connect(running.address) as client:
            stream = client.begin_request(b"POST", end=False)
            await client.send(stream, CONTENT[:65_535])
            await client.until(
                lambda: any((one.kind, one.stream) == (WINDOW_UPDATE, stream) for one in client.frames)
            )
            await client.send(stream, CONTENT[65_535:size], end=True)
            assert bytes((await client.answer(stream)).body) == CONTENT[:size]
