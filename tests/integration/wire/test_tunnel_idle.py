"""A WebSocket's time: when nothing moves, when a reader is slow, and its limit altogether."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.pool import Pool
from sidecar.http1.relay import Relay
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.server import ClientConnection
from sidecar.http1.shared.listener import Listener
from tests.support.clock import FakeClock, settle
from tests.support.sidecar import Running, Start
from tests.support.tunnels import BLOCK, IDLE, OFFER, RELAYED_SWITCH, Ends, Route, carries, rest_of, tunnel
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, awake
from tests.support.wire_client import Client

PART = 7.0
"""Seconds: most of the idle limit."""


@pytest.mark.parametrize("moving", ["nothing", "up", "down"])
async def test_b72_a_tunnel_is_idle_when_nothing_moves_either_way(
    sidecar: Start, plain: Route, upstream: Upstream, moving: str
) -> None:
    """One direction is enough to keep it; a silence of both cuts off both."""
    async with sidecar({**plain, **IDLE}) as running, tunnel(running, upstream) as (client, far):
        for _ in range(4):
            if moving == "up":
                await carries(client, far)
            elif moving == "down":
                await carries(far, client)
            await settle()
            await running.clock.advance(PART if moving != "nothing" else 2)
        if moving == "nothing":
            await carries(far, client)  # 8 s of silence were not enough
        await running.clock.advance(11)
        assert await client.ending() == "reset"
        assert await far.ending() == "reset"
    [line] = running.events("request")
    assert (line["status"], line["error"]) == (101, "upstream_timeout")


@pytest.mark.parametrize("ended", ["client", "upstream"])
async def test_a_half_closed_tunnel_has_the_same_limit(
    sidecar: Start, plain: Route, upstream: Upstream, ended: str
) -> None:
    """Not that of a client that has closed its half and waits for an answer."""
    async with sidecar({**plain, **IDLE}) as running, tunnel(running, upstream) as (client, far):
        silent, heard = (client, far) if ended == "client" else (far, client)
        await silent.half_close()
        assert await rest_of(heard) == b""
        for _ in range(4):
            await carries(heard, silent)
            await settle()
            await running.clock.advance(PART)
        await running.clock.advance(4)
        assert await silent.ending() == "reset"


async def test_no_idle_limit_means_none(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """`0s` is unlimited."""
    route = {**plain, "timeouts": {"idle": "0s"}}
    async with sidecar(route) as running, tunnel(running, upstream) as (client, far):
        await running.clock.advance(100)
        await carries(client, far)
        await carries(far, client)


@asynccontextmanager
async def deliberate_reader(running: Running) -> AsyncIterator[socket.socket]:
    """A client in a tunnel that reads nothing by itself, not even into its own memory."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.setblocking(False)  # noqa: FBT003  the standard library's own flag
        plain.connect(running.address.removeprefix("unix:"))
        plain.send(running.request(b"GET", b"/", *OFFER))
        await take(plain, len(RELAYED_SWITCH))
        yield plain


async def take(plain: socket.socket, size: int) -> None:
    """Read that much."""
    async with asyncio.timeout(PATIENCE):
        while size:
            size -= len(await asyncio.get_running_loop().sock_recv(plain, size))


@pytest.mark.parametrize("reads", [True, False])
async def test_b72_a_slow_reader_is_not_an_idle_one(
    sidecar: Start, plain: Route, upstream: Upstream, tmp_path: Path, *, reads: bool
) -> None:
    """While it takes of what waits for it, the tunnel stays; a reader that takes nothing is cut off."""
    listen = f"unix:{tmp_path}/s"  # the kernel's buffers of such a socket are small and do not grow
    ends = Ends()
    upstream.script(ends)
    async with (
        sidecar({**plain, **IDLE}, listen=listen) as running,
        deliberate_reader(running) as client,
    ):
        far = await ends.taken()
        size = 400_000
        await far.send(b"a" * size)
        await awake(0.05)  # bytes on their way between two sockets cannot be counted
        for _ in range(2):
            await running.clock.advance(PART)
            if reads:
                await take(client, 180_000)
                await awake(0.02)
                size -= 180_000
        await running.clock.advance(PART)
        if reads:
            await take(client, size)
            await far.send(b"b")
            await take(client, 1)
        else:
            assert await far.ending() == "reset"


async def test_a_slow_reader_that_is_done_has_no_more_time_than_others(
    sidecar: Start, plain: Route, upstream: Upstream, tmp_path: Path
) -> None:
    """Once something has moved, what waited before says nothing about the silence that follows."""
    ends = Ends()
    upstream.script(ends)
    async with (
        sidecar({**plain, **IDLE}, listen=f"unix:{tmp_path}/s") as running,
        deliberate_reader(running) as client,
    ):
        far = await ends.taken()
        await far.send(b"a" * 400_000)
        await awake(0.05)
        await running.clock.advance(PART)
        await running.clock.advance(PART)
        await take(client, 400_000)
        await far.send(b"b")
        await take(client, 1)
        await running.clock.advance(11)
        assert await far.ending() == "reset"


@pytest.mark.parametrize("reads", [True, False])
async def test_the_last_bytes_wait_for_a_slow_upstream(upstream: Upstream, *, reads: bool) -> None:
    """Both ways have ended, and the upstream has not read all of it yet: it has the idle limit for that."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    pool = Pool(Origin("http", "127.0.0.1", upstream.port), deadlines)
    connection = await pool.connect()
    pool.give_back(connection)

    async def story(accepted: ClientConnection) -> None:
        request = await accepted.next_request()
        assert request is not None
        relay = Relay(accepted, request, ReplayBudget(), clock)
        assert relay.reach(pool, b"/")
        await relay.tunnel(await relay.send(None, 10))
        relay.end()
        accepted.finish()

    listener = Listener(story, deadlines, ServerLimits())
    server = await asyncio.get_running_loop().create_server(listener.connection, "127.0.0.1", 0)
    ends = Ends()
    upstream.script(ends)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, await Client.connect(address) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"\r\n".join(OFFER) + b"\r\n\r\n")
        await client.head()
        far = await ends.taken()
        size = 0
        while not connection.transport.get_write_buffer_size():
            await client.send(BLOCK[: 16 << 10])
            size += 16 << 10
            await settle()
        await client.half_close()
        await far.half_close()
        assert await rest_of(client) == b""
        await clock.advance(PART if reads else 2 * PART)
        deadlines.tick()
        if reads:
            assert len(await rest_of(far)) == size
        else:
            with pytest.raises(ConnectionError):
                await rest_of(far)
    pool.close()


async def test_b72_the_total_limit_is_for_the_tunnel_too(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """`timeouts.total` is for the whole exchange, whatever moves; both peers are cut off."""
    route = {**plain, "timeouts": {"total": "1s"}}
    async with sidecar(route) as running, tunnel(running, upstream) as (client, far):
        await carries(client, far)
        assert await client.ending() == "reset"
        assert await far.ending() == "reset"
    [line] = running.events("request")
    assert (line["status"], line["error"]) == (101, "upstream_timeout")
