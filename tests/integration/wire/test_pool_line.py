"""The line before a pool whose connections are all busy."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.message import early_fault
from sidecar.http1.pool import Pool
from sidecar.http1.upstream import UpstreamConnection
from tests.support.clock import FakeClock, settle
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE


@pytest.fixture
async def pool(upstream: Upstream) -> AsyncIterator[Pool]:
    """One connection at most."""
    pool = Pool(Origin("http", "127.0.0.1", upstream.port, max_connections=1), Deadlines(FakeClock()))
    yield pool
    pool.close()


async def test_leaving_the_line_in_the_moment_of_ones_turn_is_only_leaving(pool: Pool) -> None:
    """A waiter cancelled before it could see its turn ends with its cancellation, not a fault of ours."""
    connection = await pool.connect()
    head = b"GET / HTTP/1.1\r\nHost: u\r\n\r\n"
    await connection.send(head, b"GET", 0, lambda _: None)
    assert connection.whole_body() == b"ok"
    waiting = asyncio.create_task(pool.connect())
    await settle()
    waiting.cancel()
    pool.give_back(connection)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    other = await asyncio.wait_for(pool.connect(), PATIENCE)
    pool.give_back(other)


def test_looking_at_an_unfinished_head_costs_what_is_new() -> None:
    """64 KiB in single bytes are looked at once each, not 64 Ki times as a whole: a second's work at most."""
    head = bytearray(
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n" * 1500
    )[:60_000]
    began = time.process_time()
    for _ in range(100):
        assert early_fault(head, len(head) - 1) is None
    assert (time.process_time() - began) / 100 * len(head) < 1.0


async def test_room_for_two_serves_two(upstream: Upstream) -> None:
    """A request that arrives during another's turn waits only as long as there is no room."""
    pool = Pool(Origin("http", "127.0.0.1", upstream.port, max_connections=2), Deadlines(FakeClock()))
    busy = [await exchanged(pool) for _ in range(2)]
    first = asyncio.create_task(pool.connect())
    await settle()
    second = asyncio.create_task(pool.connect())
    for connection in busy:
        pool.give_back(connection)
    async with asyncio.timeout(PATIENCE):
        taken = await asyncio.gather(first, second)
    for connection in taken:
        pool.give_back(connection)
    pool.close()


async def exchanged(pool: Pool) -> UpstreamConnection:
    """A connection that has carried an exchange."""
    connection = await pool.connect()
    await connection.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
    assert connection.whole_body() == b"ok"
    return connection
