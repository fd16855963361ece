"""Connections to one origin: bounded, used again, handed on in order. Over real sockets."""

import asyncio
from collections.abc import Callable

import pytest

from sidecar.core.errors import UpstreamTimeout, UpstreamUnreachable
from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import Pool
from sidecar.http1.upstream import UpstreamConnection
from tests.support.clock import FakeClock, settle
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

Make = Callable[..., Pool]


@pytest.fixture
def make(upstream: Upstream) -> Make:
    def pool(limit: int = 1, wait: float = 5.0) -> Pool:
        origin = Origin("http", "127.0.0.1", upstream.port, max_connections=limit, connect_timeout=wait)
        return Pool(origin, Deadlines(FakeClock()))

    return pool


async def used(pool: Pool) -> UpstreamConnection:
    """A connection that has carried an exchange."""
    async with asyncio.timeout(PATIENCE):
        connection = pool.take() or await pool.connect()
        await connection.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
    assert connection.whole_body() == b"ok"
    return connection


async def test_the_newest_is_used_again(make: Make, upstream: Upstream) -> None:
    """So that the others may grow old and be closed."""
    pool = make(2)
    first, second = await used(pool), await used(pool)
    pool.give_back(first)
    pool.give_back(second)
    assert await used(pool) is second
    assert upstream.connections == 2


async def test_who_waits_is_served_in_order(make: Make, upstream: Upstream) -> None:
    """One connection, three in line: first come, first served, on that one connection."""
    pool, order = make(), list[int]()

    async def one(number: int) -> None:
        connection = await used(pool)
        order.append(number)
        pool.give_back(connection)

    connection = await used(pool)
    waiting = asyncio.create_task(one(0))
    await settle()
    pool.give_back(connection)
    connection = await used(pool)  # in line too, behind the first
    assert order == [0]
    pool.give_back(connection)
    await waiting
    assert upstream.connections == 1


async def test_the_line_is_as_long_as_the_limit(make: Make) -> None:
    """A later request fails at once."""
    pool = make(2)
    busy = [await used(pool) for _ in range(2)]
    waiting = [asyncio.create_task(used(pool)) for _ in range(2)]
    await settle()
    with pytest.raises(UpstreamUnreachable, match="max_connections"):
        await pool.connect()
    for connection in busy:
        pool.give_back(connection)
    assert set(await asyncio.gather(*waiting)) == set(busy)


async def test_nobody_waits_longer_than_for_a_connection(make: Make) -> None:
    """And the line is as it was."""
    pool = make(1, 1.0)
    connection = await used(pool)
    with pytest.raises(UpstreamTimeout):
        await pool.connect()
    pool.give_back(connection)
    assert await used(pool) is connection


@pytest.mark.parametrize("after", [False, True], ids=["while waiting", "when called"])
@pytest.mark.parametrize("settled", [False, True], ids=["at once", "later"])
async def test_who_leaves_the_line_hands_its_turn_on(make: Make, *, after: bool, settled: bool) -> None:
    """A turn is never lost, whenever its owner goes."""
    pool = make(3)
    busy = [await used(pool) for _ in range(3)]
    leaving = asyncio.create_task(used(pool))
    await settle()
    staying = asyncio.create_task(used(pool))
    await settle()
    if after:
        pool.give_back(busy[0])
        leaving.cancel()
    else:
        leaving.cancel()
        if settled:
            await settle()
        pool.give_back(busy[0])
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await staying is busy[0]


@pytest.mark.parametrize("hard", [False, True], ids=["FIN", "RST"])
async def test_a_lost_connection_makes_room(make: Make, upstream: Upstream, *, hard: bool) -> None:
    """A waiting request gets a new one."""
    pool = make()
    await used(pool)
    waiting = asyncio.create_task(used(pool))
    await settle()
    lost = upstream.requests[0].connection
    upstream.drop(hard=hard)
    await waiting
    assert upstream.requests[-1].connection != lost


async def test_an_unanswered_connection_is_not_kept(make: Make, upstream: Upstream) -> None:
    """What is given back in the middle of an exchange is closed, and makes room."""
    upstream.script(lambda exchange: exchange.peer_left())
    pool = make()
    connection = await pool.connect()
    answer = connection.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
    await upstream.reached(1)
    answer.cancel()
    pool.give_back(connection)
    assert await used(pool) is not connection


async def test_a_closed_pool_keeps_nothing(make: Make, upstream: Upstream) -> None:
    """Idle ones are closed, busy ones when they are returned; later requests are still served."""
    pool = make(2)
    idle, busy = await used(pool), await used(pool)
    pool.give_back(idle)
    pool.close()
    pool.give_back(busy)
    assert pool.take() is None
    pool.give_back(await used(pool))
    async with asyncio.timeout(PATIENCE):
        while upstream.open_connections:
            await settle(1)


async def test_who_cannot_connect_makes_room_for_the_next(make: Make, upstream: Upstream) -> None:
    """A failure is one's own; it does not shrink the pool."""
    pool = make()
    await upstream.stop()
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable):
            await pool.connect()
    await upstream.start(upstream.port)
    await used(pool)


async def test_an_upstream_is_down_until_it_takes_a_connection_or_answers_on_an_old_one(
    upstream: Upstream,
) -> None:
    """One attempt that failed while others went on is not the last word."""
    pool = Pool(Origin("http", "127.0.0.1", upstream.port), Deadlines(FakeClock()))
    told = [pool.health.state]
    kept = await used(pool)
    told.append(pool.health.state)
    upstream.close()
    with pytest.raises(UpstreamUnreachable):
        await pool.connect()
    told.append(pool.health.state)
    assert "Connection refused" in pool.health.why
    pool.give_back(kept)
    told.append(pool.health.state)
    pool.answered()
    told.append(pool.health.state)
    assert told == ["unknown", "up", "down", "down", "up"]
    pool.close()


async def test_h6_a_connection_proves_nothing_while_requests_get_no_answer(make: Make) -> None:
    """An upstream that accepts and is silent is down until it answers."""
    pool = make(2)
    kept = await used(pool)
    pool.unanswered("it is silent")
    other = await used(pool)
    told = [pool.health.state]
    pool.answered()
    told.append(pool.health.state)
    assert told == ["down", "up"]
    for connection in (kept, other):
        pool.give_back(connection)
    pool.close()
