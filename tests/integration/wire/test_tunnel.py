"""A WebSocket on the wire once it is open: how it flows and how it ends. The frames are the peers' own."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.config.load import load
from tests.support.clock import settle
from tests.support.sidecar import Running, Start
from tests.support.tunnels import BLOCK, BOUND, OFFER, SWITCH, Ends, Flood, Route, carries, rest_of, tunnel
from tests.support.upstream import Exchange, Upstream, when
from tests.support.waiting import PATIENCE, awake

# Ends


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_b72_a_half_closed_tunnel_flows_the_other_way(
    relay: Running, upstream: Upstream, first: str
) -> None:
    """The end of one way travels behind its last byte; the other way goes on until it ends too."""
    async with tunnel(relay, upstream) as (client, far):
        ended, open_ = (client, far) if first == "client" else (far, client)
        ended.writer.write(BLOCK * 8)
        await ended.half_close()
        assert await rest_of(open_) == BLOCK * 8
        for _ in range(3):
            await carries(open_, ended, BLOCK)
        open_.writer.write(b"last")
        await open_.half_close()
        assert await rest_of(ended) == b"last"
    assert (await relay.get()).status == 200


@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("half", [False, True], ids=["open", "half closed"])
async def test_b72_a_loss_is_no_end(relay: Running, upstream: Upstream, first: str, *, half: bool) -> None:
    """A reset of one peer is a reset for the other, whatever has ended before."""
    async with tunnel(relay, upstream) as (client, far):
        lost, left = (client, far) if first == "client" else (far, client)
        await carries(lost, left)
        if half:
            await left.half_close()
            assert await rest_of(lost) == b""
        lost.reset()
        assert await left.ending() == "reset"


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing(
    relay: Running, upstream: Upstream
) -> None:
    """The upstream connection is closed."""
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.peer_left()
        left.set()

    upstream.script(script)
    async with await relay.connect() as client, asyncio.timeout(PATIENCE):
        await client.send(relay.request(b"GET", b"/", *OFFER))
        await upstream.reached(1)
        client.reset()
        await left.wait()


async def test_a_client_that_has_ended_its_way_before_the_switch_still_listens(
    relay: Running, upstream: Upstream
) -> None:
    """Its end travels behind its early bytes."""
    go, ends = asyncio.Event(), Ends()
    upstream.script(when(go, ends))
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/", *OFFER) + b"early")
        await client.half_close()
        await upstream.reached(1)
        await settle()
        go.set()
        far = await ends.taken()
        assert await rest_of(far) == b"early"
        assert (await client.head()).status == 101
        await carries(far, client)
        await far.close()
        assert await rest_of(client) == b""


@pytest.mark.parametrize("hard", [False, True], ids=["closed", "reset"])
async def test_an_upstream_that_switches_and_leaves(
    relay: Running, upstream: Upstream, *, hard: bool
) -> None:
    """The client gets the switch, what came behind it, and the end; a reset may overtake them."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(SWITCH + b"bye")
        if hard:
            exchange.reset()
        else:
            exchange.close()

    upstream.script(script)
    async with await relay.connect() as client, asyncio.timeout(PATIENCE):
        await client.send(relay.request(b"GET", b"/", *OFFER))
        if hard:
            with suppress(ConnectionError):
                await client.reader.read()
        else:
            assert (await client.head()).status == 101
            assert await rest_of(client) == b"bye"
    assert (await relay.get()).status == 200


# Too much at once


@pytest.mark.parametrize("reader", ["client", "upstream"])
async def test_b72_a_slow_reader_slows_the_sender(relay: Running, upstream: Upstream, reader: str) -> None:
    """A reader that does not read slows the other, not our memory; the other way still flows; nothing is lost."""
    async with tunnel(relay, upstream) as (client, far):
        slow, fast = (client, far) if reader == "client" else (far, client)
        flood = Flood(fast)
        await flood.stuck()
        assert 0 < flood.sent < BOUND
        await carries(slow, fast, BLOCK)
        size = await flood.stop()
        await fast.half_close()
        got = await rest_of(slow)
        assert (len(got), got) == (size, BLOCK * (size // len(BLOCK)))
        await carries(slow, fast)


async def test_b72_both_ways_may_be_full_at_once(relay: Running, upstream: Upstream) -> None:
    """Two peers that only send are both held up; as they read, everything flows."""
    async with tunnel(relay, upstream) as (client, far):
        floods = Flood(client), Flood(far)
        for flood in floods:
            await flood.stuck()
            assert 0 < flood.sent < BOUND
        to_upstream, to_client = [await flood.stop() for flood in floods]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(client.reader.readexactly(to_client), far.reader.readexactly(to_upstream))


@pytest.mark.parametrize("lost", ["client", "upstream"])
async def test_a_loss_is_seen_while_the_other_does_not_read(
    relay: Running, upstream: Upstream, lost: str
) -> None:
    """A peer that is gone does not wait for the slow one to read."""
    async with tunnel(relay, upstream) as (client, far):
        gone, left = (client, far) if lost == "client" else (far, client)
        flood = Flood(left)
        await flood.stuck()
        await flood.stop()
        gone.reset()
        assert await left.ending() == "reset"


async def test_an_upstream_that_has_ended_its_way_is_seen_to_be_lost(
    relay: Running, upstream: Upstream
) -> None:
    """Also when the client is held up because it did not read; a reset then, or the end."""
    async with tunnel(relay, upstream) as (client, far):
        await far.half_close()
        assert await rest_of(client) == b""
        flood = Flood(client)
        await flood.stuck()
        far.reset()
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                await flood._task


# The log


async def test_b72_a_tunnel_is_one_line_of_the_log(sidecar: Start, upstream: Upstream) -> None:
    """Its bytes are those that went through it, without the handshake."""
    async with sidecar() as running:
        async with tunnel(running, upstream, b"/chat?q=canary") as (client, far):
            await carries(client, far, BLOCK)
            await carries(far, client, b"12345")
            await running.clock.advance(2)
            await client.half_close()
            assert await rest_of(far) == b""
            await far.close()
            assert await client.ending() == "closed"
        assert (await running.get()).status == 200
    line, _ = running.events("request")
    assert {
        "method": "GET", "route": "api", "path": "/chat", "status": 101, "attempts": 1, "error": "",
        "bytes_in": len(BLOCK), "bytes_out": 5, "token": "fetch",
    }.items() <= line.items()  # fmt: skip
    assert float(str(line["duration_ms"])) >= 2000
    assert float(str(line["upstream_ms"])) < 2000


@pytest.mark.parametrize(("lost", "word"), [("client", "client_gone"), ("upstream", "upstream_malformed")])
async def test_b72_the_log_tells_who_was_lost(
    sidecar: Start, plain: Route, upstream: Upstream, lost: str, word: str
) -> None:
    """The switch was answered, the tunnel broke."""
    async with sidecar(plain) as running, tunnel(running, upstream) as (client, far):
        await carries(client, far, b"12345")
        gone, left = (client, far) if lost == "client" else (far, client)
        gone.reset()
        await left.ending()
    [line] = running.events("request")
    assert (line["status"], line["bytes_in"], line["bytes_out"], line["error"]) == (101, 5, 0, word)


# The sidecar's own life


async def test_b72_a_reload_leaves_tunnels_alone(
    sidecar: Start, plain: Route, upstream: Upstream, other: Upstream, tmp_path: Path
) -> None:
    """The open one stays with the upstream it has, the next goes where the new configuration says."""
    async with sidecar(plain) as running, tunnel(running, upstream) as (client, far):
        config = load(str(tmp_path / "config.yaml"), {})
        new = replace(config.routes[0], origin=replace(config.routes[0].origin, port=other.port))
        await running.app.reload(replace(config, routes=(new,)))
        await carries(client, far)
        await carries(far, client)
        async with tunnel(running, other) as (client2, far2):
            await carries(client2, far2)
        await far.half_close()
        assert await rest_of(client) == b""
        await client.half_close()
        assert await rest_of(far) == b""


async def test_b72_a_drain_waits_for_tunnels(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """They flow on, and the sidecar ends with the last of them."""
    async with sidecar(plain, drain_timeout="1m") as running, tunnel(running, upstream) as (client, far):
        stopping = asyncio.create_task(running.app.stop())
        await settle()
        await carries(client, far)
        await carries(far, client)
        await awake(0.1)  # longer than the quiet that ends a drain
        assert not stopping.done()
        await client.close()
        assert await rest_of(far) == b""
        await far.close()
        async with asyncio.timeout(PATIENCE):
            await stopping


async def test_b72_a_drain_has_an_end(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """A tunnel that does not end by itself is cut off on both sides."""
    async with sidecar(plain, drain_timeout="50ms") as running, tunnel(running, upstream) as (client, far):
        async with asyncio.timeout(PATIENCE):
            await running.app.stop()
        assert await client.ending() == "reset"
        assert await far.ending() == "reset"
