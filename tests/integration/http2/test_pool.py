"""Connections to an upstream: how many, for whom, and who waits."""

import asyncio

import pytest

from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http2.outgoing import Outbox
from sidecar.http2.pool import Pool
from tests.integration.http2.conftest import connect, route
from tests.support.clock import FakeClock, settle
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import settings
from tests.support.http2_upstream import Exchange2, Http2Upstream, answering
from tests.support.sidecar import Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until


async def test_b93_a_second_connection_when_the_first_is_full(sidecar: Start) -> None:
    """The upstream allows so many streams of each; beyond all, streams wait in line."""
    go = asyncio.Event()

    async def held(exchange: Exchange2) -> None:
        await exchange.read()
        await go.wait()
        await answering()(exchange)

    async with Http2Upstream(streams=3) as far:
        far.welcome = held
        async with (
            sidecar(route(far, max_connections=2)) as running,
            await Http2Client.connect(running.address) as client,
        ):
            streams = [await client.request() for _ in range(10)]
            await far.reached(6)
            await settle()
            assert [received.connection for received in far.requests].count(1) == 3
            assert len(far.requests) == 6
            go.set()
            for stream in streams:
                assert (await client.answer(stream)).status == 200
        assert {received.connection for received in far.requests} == {1, 2}
        assert far.malformed == []


async def test_a_client_that_leaves_the_line_makes_room(sidecar: Start) -> None:
    """The place goes to the next one."""
    go = asyncio.Event()

    async def held(exchange: Exchange2) -> None:
        await exchange.read()
        await go.wait()
        await answering()(exchange)

    async with Http2Upstream(streams=1) as far:
        far.welcome = held
        async with (
            sidecar(route(far, max_connections=1)) as running,
            await Http2Client.connect(running.address) as client,
        ):
            first = await client.request()
            await far.reached(1)
            leaving = [await client.request() for _ in range(3)]
            last = await client.request(b"GET", b"/last")
            for stream in leaving:
                client.reset(stream, 8)
            await client.ping()
            go.set()
            assert (await client.answer(first)).status == 200
            assert (await client.answer(last)).status == 200
        assert [received.values(":path") for received in far.requests] == [[b"/"], [b"/last"]]


async def test_isolated_tenants_have_their_own_connections(sidecar: Start) -> None:
    """As the route demands."""
    async with Http2Upstream() as far:
        isolated = route(far, token="api", isolate="tenant")
        async with (
            sidecar(isolated, tenant={"header": "X-Tenant-Id"}) as running,
            await Http2Client.connect(running.address) as client,
        ):
            for tenant in (b"a", b"b", b"a", b"b"):
                assert (await client.ask(fields=[(b"x-tenant-id", tenant)])).status == 200
        assert [received.connection for received in far.requests] == [1, 2, 1, 2]


@pytest.mark.parametrize("ends", ["answered", "reset", "upstream resets"])
async def test_h1_a_tenant_in_line_takes_over_the_place_of_another(sidecar: Start, ends: str) -> None:
    """The connection that gets free is closed for it, within the callback that brings the end of its stream."""
    go, over = asyncio.Event(), asyncio.Event()

    async def held(exchange: Exchange2) -> None:
        await exchange.read()
        await (over if exchange.received.values("x-tenant-id") == [b"a"] else go).wait()
        if ends == "upstream resets" and not go.is_set():
            exchange.reset(2)
        else:
            await answering()(exchange)

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with Http2Upstream() as far:
        far.welcome = held
        isolated = route(far, token="api", isolate="tenant", max_connections=2)
        async with (
            sidecar(isolated, tenant={"header": "X-Tenant-Id"}) as running,
            await Http2Client.connect(running.address) as client,
        ):
            streams = {}
            for number, tenant in enumerate((b"a", b"b"), 1):
                streams[tenant] = await client.request(fields=[(b"x-tenant-id", tenant)])
                await far.reached(number)
            streams[b"c"] = await client.request(fields=[(b"x-tenant-id", b"c")])
            await until(lambda: len(running.events("token_fetched")) == 3)
            await settle()
            if ends == "reset":
                client.reset(streams[b"a"], 8)
            else:
                over.set()
            await far.reached(3)
            go.set()
            for tenant in (b"b", b"c"):
                assert (await client.answer(streams[tenant])).status == 200
        assert [received.connection for received in far.requests] == [1, 2, 3]
    assert complaints == []
    assert running.events("failed") == []


@pytest.mark.parametrize("count", [1, 5])
async def test_an_upstream_that_is_away_fails_all_that_wait(sidecar: Start, count: int) -> None:
    """At once, with a problem that names it."""
    async with Http2Upstream() as far:
        port = far.port
    gone = {"name": "far", "upstream": f"http://127.0.0.1:{port}", "protocol": "http2"}
    async with sidecar(gone) as running, await Http2Client.connect(running.address) as client:
        streams = [await client.request() for _ in range(count)]
        for stream in streams:
            answer = await client.answer(stream)
            assert (answer.status, b'"upstream_unreachable"' in answer.body) == (502, True)


async def test_an_upstream_of_http1_is_named(sidecar: Start, upstream: Upstream) -> None:
    """Its answer to the preface is no HTTP/2."""
    route1 = {"name": "far", "upstream": upstream.url, "protocol": "http2"}

    async with sidecar(route1) as running, await Http2Client.connect(running.address) as client:
        answer = await client.ask()
        upstream.malformed.clear()
    assert answer.status == 502
    assert b"does not use HTTP/2" in answer.body or b"closed the connection" in answer.body


@pytest.mark.parametrize("change", ["more streams", "given back"])
async def test_l3_requests_in_line_are_served_after_a_reload_has_ended_their_pool(
    clock: FakeClock, change: str
) -> None:
    """They came before it. The connection ends when none of them uses it any more."""
    async with Http2Upstream(streams=1) as far:
        origin = Origin(
            "http", "127.0.0.1", far.port, max_connections=1, connect_timeout=PATIENCE, http2=True
        )
        pool = Pool(origin, Deadlines(clock), Outbox())
        first = await pool.connect()
        waiting = asyncio.ensure_future(pool.connect())
        await until(lambda: pool.readings().waiting == 1)
        pool.close()
        if change == "given back":
            pool.give_back(first)
        else:
            far.peers[0].write(settings((3, 2)))
        assert await waiting is first
        assert not first.closing
        if change != "given back":
            pool.give_back(first)
        pool.give_back(first)
        assert first.closing


async def test_i21_an_upstream_that_allows_no_streams_gets_none(sidecar: Start) -> None:
    """MAX_CONCURRENT_STREAMS is 0: a 502 names it. Once the upstream allows one, requests are served."""
    async with (
        Http2Upstream(streams=0) as upstream,
        sidecar(route(upstream)) as running,
        await connect(running) as client,
    ):
        answer = await client.ask()
        assert answer.status == 502
        assert b"allows no HTTP/2 streams" in answer.body
        assert upstream.requests == []
        upstream.streams = 1
        assert (await client.ask()).status == 200
    assert upstream.malformed == []
