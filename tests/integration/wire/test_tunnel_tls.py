"""A WebSocket to an upstream that speaks TLS, where a connection cannot stay half open."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import trustme

from sidecar.http1.pool import Pool
from tests.support.sidecar import Start
from tests.support.tunnels import BLOCK, BOUND, IDLE, Flood, Route, carries, rest_of, tunnel
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import Client


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Upstream]:
    """An upstream that speaks TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Upstream(context) as server:
        yield server


def secure_route(secure: Upstream, tmp_path: Path) -> Route:
    return {"name": "secure", "upstream": secure.url, "tls": {"ca_file": str(tmp_path / "ca.pem")}, **IDLE}


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_b72_one_end_over_tls_is_the_end_of_both(
    sidecar: Start, secure: Upstream, tmp_path: Path, first: str
) -> None:
    """Behind the last byte, and cleanly."""
    async with sidecar(secure_route(secure, tmp_path)) as running:
        async with tunnel(running, secure) as (client, far):
            ended, left = (client, far) if first == "client" else (far, client)
            await carries(left, ended, BLOCK)
            ended.writer.write(BLOCK * 8)
            if first == "client":
                await client.half_close()
            else:
                far.writer.close()
            assert await rest_of(left) == BLOCK * 8
            if first == "client":
                far.writer.close()
                assert await rest_of(client) == b""
        await until(lambda: not running.app._listener.connections)
    [line] = running.events("request")
    assert (line["status"], line["error"]) == (101, "")


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_b72_a_cut_over_tls_is_a_loss(
    sidecar: Start, secure: Upstream, tmp_path: Path, first: str
) -> None:
    """No close_notify, no end: the other is cut off too (RFC 8446 section 6.1)."""
    async with sidecar(secure_route(secure, tmp_path)) as running, tunnel(running, secure) as (client, far):
        await carries(client, far)
        if first == "client":
            client.reset()
            with pytest.raises(ConnectionError):
                await rest_of(far)
        else:
            far.writer.transport.abort()
            assert await client.ending() == "reset"


@pytest.mark.parametrize("reader", ["client", "upstream"])
async def test_b72_a_slow_reader_slows_the_sender_over_tls(
    sidecar: Start, secure: Upstream, tmp_path: Path, reader: str
) -> None:
    """As without it."""
    async with sidecar(secure_route(secure, tmp_path)) as running, tunnel(running, secure) as (client, far):
        slow, fast = (client, far) if reader == "client" else (far, client)
        flood = Flood(fast)
        await flood.stuck()
        assert 0 < flood.sent < BOUND
        await carries(slow, fast, BLOCK)
        size = await flood.stop()
        async with asyncio.timeout(PATIENCE):
            got = await slow.reader.readexactly(size)
        assert got == BLOCK * (size // len(BLOCK))


PIECE = BLOCK[: 16 << 10]


async def fill(pool: Pool, client: Client, far: Client, limit: int) -> int:
    """Send, to an upstream that does not read, until TLS holds something back, or so much; how much it was."""
    [connection] = pool._open
    cast(asyncio.Transport, far.writer.transport).pause_reading()
    for end, option in ((connection.transport, socket.SO_SNDBUF), (far.writer, socket.SO_RCVBUF)):
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 64 << 10)
    size = 0
    while size < limit and not connection.transport.get_write_buffer_size():
        await client.send(PIECE)
        size += len(PIECE)
        while connection.body_bytes != size:
            await asyncio.sleep(0.001)
    return size


async def test_the_last_bytes_wait_for_a_slow_upstream_over_tls(
    sidecar: Start, secure: Upstream, tmp_path: Path
) -> None:
    """Those too that TLS has let go of while the socket takes no more: they have the idle limit."""
    async with sidecar(secure_route(secure, tmp_path)) as running:
        [pool] = running.app._pools.values()
        assert isinstance(pool, Pool)
        async with tunnel(running, secure) as (client, far):
            full = await fill(pool, client, far, BOUND)
            client.reset()
        await until(lambda: not pool._open)
        async with tunnel(running, secure) as (client, far):
            size = await fill(pool, client, far, full - 3 * len(PIECE))
            await client.half_close()
            assert await rest_of(client) == b""
            await running.clock.advance(7)
            cast(asyncio.Transport, far.writer.transport).resume_reading()
            assert len(await rest_of(far)) == size
