"""Peers that leave, read slowly or not at all, and what is kept for them meanwhile."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.clock import settle
from tests.support.sidecar import Running, Start
from tests.support.upstream import OK, Exchange, Upstream, refusal, when
from tests.support.waiting import PATIENCE, at_rest, comes
from tests.support.wire_client import Client

Route = Mapping[str, object]
KEPT = 64 << 10
"""What is kept of one body for a second send."""
SHARE = 16 << 20
"""What is kept of all bodies together."""


def two_routes(upstream: Upstream, **more: object) -> tuple[Route, Route]:
    """One with a token, one without, to the same origin."""
    injected = {"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api"}
    plain = {"name": "plain", "match": {"prefix": "/plain"}, "upstream": upstream.url}
    return {**injected, **more}, {**plain, **more}


async def refuse_at_once(exchange: Exchange) -> None:
    """Refuse when the first bytes are here, and leave the rest unread."""
    await exchange.read(1)
    await exchange.send(refusal())
    await exchange.peer_left()


async def test_a_body_that_could_not_be_kept_during_the_renewal_is_not_sent_without_it(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """If the process's share is spent while the body is not read, no mutilated request is sent."""
    go = asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        await exchange.read()
        await go.wait()
        await exchange.send(OK)

    async with sidecar(*two_routes(upstream)) as running, await running.connect() as client:
        await running.get()
        authorization_server.hold = asyncio.Event()
        upstream.script(refuse_at_once)
        await client.send(
            running.request(b"POST", b"/victim", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n"
        )
        await upstream.reached(2)
        await authorization_server.reached(2)
        upstream.scripts.extend([hold] * 256)
        sizes = [KEPT] * 255 + [KEPT - 5]
        posts = [
            running.request(b"POST", b"/plain", b"Content-Length: %d" % size) + b"a" * size for size in sizes
        ]
        fillers = [asyncio.create_task(running.ask(post)) for post in posts]
        async with asyncio.timeout(PATIENCE):
            while sum(len(received.body) for received in upstream.requests) < SHARE:
                await asyncio.sleep(0)
        await client.send(b"5\r\nworld\r\n0\r\n\r\n")
        await settle()
        authorization_server.hold.set()
        answer = await client.answer()
        victims = [bytes(r.body) for r in upstream.requests if r.whole and r.head.target == b"/victim"]
        go.set()
        await asyncio.gather(*fillers)
    assert all(body == b"helloworld" for body in victims)
    assert answer.status == (200 if victims else 401)


async def test_a_body_that_breaks_off_while_the_second_send_waits_in_line_is_refused(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Not waited for: it will never be complete."""
    go = asyncio.Event()
    async with (
        sidecar(*two_routes(upstream, max_connections=2)) as running,
        await running.connect() as client,
    ):
        await running.get()
        authorization_server.hold = asyncio.Event()
        upstream.script(refuse_at_once, when(go, OK), when(go, OK))
        await client.send(running.request(b"POST", b"/", b"Content-Length: 10") + b"hello")
        await authorization_server.reached(2)
        others = [asyncio.create_task(running.get(b"/plain")) for _ in range(2)]
        await upstream.reached(3)
        await settle()
        authorization_server.hold.set()
        await upstream.reached(4)
        await settle()
        await client.half_close()
        await settle()
        go.set()
        await asyncio.gather(*others)
        assert (await client.answer()).status == 400


async def test_a_client_that_never_reads_its_pipelined_answers_is_let_go(
    relay: Running, upstream: Upstream
) -> None:
    """The route's idle time-out bounds a client that does not read, however small each answer is."""
    body = b"a" * 30_000
    upstream.scripts.extend([b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + body] * 1000)
    async with await relay.connect(receive_buffer=4096) as client:
        await client.send(relay.request(b"GET", b"/") * 1000)
        assert await at_rest(lambda: len(upstream.requests)) < 1000  # the answers are stuck
        for _ in range(4):
            await relay.clock.advance(61)
        metrics = await Client.connect(relay.app.admin_address)
        async with metrics:
            answer = await metrics.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        line = next(line for line in answer.body.splitlines() if line.startswith(b"sidecar_connections_open"))
        assert line.split()[-1] in (b"0", b"0.0")


async def test_whoever_waits_for_a_connection_goes_before_whoever_comes_later(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """A client that pipelines cannot keep the only connection to itself."""
    go = asyncio.Event()
    upstream.script(when(go, OK))
    async with (
        sidecar({**plain, "max_connections": 1}) as running,
        await running.connect() as greedy,
        await running.connect() as patient,
    ):
        await greedy.send(b"".join(running.request(b"GET", b"/greedy/%d" % n) for n in range(20)))
        await upstream.reached(1)
        await patient.send(running.request(b"GET", b"/patient"))
        async with asyncio.timeout(PATIENCE):
            while await in_flight(running) != b"2":
                await settle()
        await settle()
        go.set()
        await patient.answer()
        for _ in range(20):
            await greedy.answer()
    targets = [received.head.target for received in upstream.requests]
    assert targets.index(b"/patient") <= 2


async def test_the_silence_of_the_upstream_begins_with_the_end_of_the_request(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """The end of a chunked body may come long after its last content."""
    upstream.script(Exchange.peer_left)
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running, await running.connect() as client:
        await client.send(running.request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"1\r\na\r\n")
        await upstream.reached(1)
        await settle()
        await running.clock.advance(4)
        await client.send(b"0\r\n\r\n")
        await settle()
        await running.clock.advance(3)
        assert not await comes(client.reader.read(1))


async def test_an_idle_time_out_is_never_early(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """Coarse may be late, not early: an upstream has all the time the route gives it."""
    upstream.script(Exchange.peer_left)
    async with (
        sidecar({**plain, "timeouts": {"idle": "200ms"}}) as running,
        await running.connect() as client,
    ):
        await running.clock.advance(1)
        await running.clock.advance(0.24)
        await client.send(running.request(b"GET", b"/"))
        await upstream.reached(1)
        await settle()
        await running.clock.advance(0.02)
        assert not await comes(client.reader.read(1))


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_an_empty_line_before_a_request_may_be_split(relay: Running, cut: int) -> None:
    """Where the reads fall makes no difference."""
    data = b"\r\n" + relay.request(b"GET", b"/")
    async with await relay.connect() as client:
        await client.send(data[:cut])
        await settle()
        assert (await client.ask(data[cut:])).status == 200


async def test_empty_lines_do_not_buy_time(relay: Running) -> None:
    """A client that sends nothing but empty lines is closed like a silent one."""
    async with await relay.connect() as client:
        await settle()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _dribble(client, relay)


async def test_bytes_of_an_earlier_answer_are_not_counted_again(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """`bytes_out` of a request that was never answered is 0."""
    upstream.script(OK, Exchange.peer_left)
    async with sidecar(plain) as running, await running.connect() as client:
        await client.ask(running.request(b"GET", b"/"))
        await client.send(running.request(b"GET", b"/"))
        await upstream.reached(2)
        client.reset()
        async with asyncio.timeout(PATIENCE):
            while upstream.open_connections:
                await asyncio.sleep(0)
    assert [line["bytes_out"] for line in running.events("request")] == [2, 0]


async def test_a_client_that_leaves_is_noticed_after_a_kept_body_filled_up(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A client paused while its token was renewed is read on afterwards, if only to see it go."""
    left = asyncio.Event()

    async def never(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.peer_left()
        left.set()
        exchange.close()

    async with sidecar() as running, await running.connect() as client:
        await running.get()
        authorization_server.hold = asyncio.Event()
        upstream.script(refuse_at_once, never)
        size = 70_000
        await client.send(running.request(b"POST", b"/", b"Content-Length: %d" % size) + b"a" * 50_000)
        await authorization_server.reached(2)
        await settle()
        await client.send(b"a" * 20_000)
        await settle()
        authorization_server.hold.set()
        async with asyncio.timeout(PATIENCE):
            while len(upstream.requests) < 3 or not upstream.requests[2].whole:
                await asyncio.sleep(0)
        client.reset()
        async with asyncio.timeout(PATIENCE):
            await left.wait()


async def test_an_answer_without_a_body_that_announces_one_ends_the_connection(
    relay: Running, upstream: Upstream
) -> None:
    """A 204 with a length: its server may send the body, and it must not become the next answer."""
    upstream.script(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n")
    await relay.get()
    await relay.get()
    assert [received.connection for received in upstream.requests] == [1, 2]


async def test_a_slow_reader_gets_an_early_answer_whole(relay: Running, upstream: Upstream) -> None:
    """What is still on its way to the client is not cut off because the client had more to send."""
    body = b"a" * 4_000_000

    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        await exchange.send(body)

    upstream.script(script)
    async with await relay.connect(receive_buffer=4096) as client:
        await client.send(relay.request(b"POST", b"/", b"Content-Length: 10"))
        head = await client.head()
        got = 0
        async with asyncio.timeout(PATIENCE):
            while got < 3_900_000:
                got += len(await client.reader.read(65536))
        await settle()
        await relay.clock.advance(3)
        async with asyncio.timeout(PATIENCE):
            while got < len(body):
                data = await client.reader.read(65536)
                assert data, got
                got += len(data)
    assert head.status == 200


async def test_a_client_that_leaves_is_noticed_after_an_upload_paused_it(
    relay: Running, upstream: Upstream
) -> None:
    """Where the last bytes of a body fill the upstream's buffer, the client is read on, if only to see it go."""
    count, go = 12, asyncio.Event()
    left, read = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def slow(exchange: Exchange) -> None:
        await go.wait()
        await exchange.read()
        read.release()
        await exchange.peer_left()
        exchange.close()
        left.release()

    async def upload(client: Client, size: int) -> None:
        client.writer.write(relay.request(b"PUT", b"/", b"Content-Length: %d" % size) + b"a" * size)
        await client.writer.drain()

    upstream.scripts.extend([slow] * count)
    clients = [await relay.connect() for _ in range(count)]
    uploads = [
        asyncio.create_task(upload(client, 6_000_000 + 300_007 * number))
        for number, client in enumerate(clients)
    ]
    await upstream.reached(count)
    go.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*uploads)
        for _ in clients:
            await read.acquire()
    for client in clients:
        client.reset()
    async with asyncio.timeout(PATIENCE):
        for _ in clients:
            await left.acquire()


async def test_a_linger_does_not_end_an_old_clients_answer_as_if_it_were_whole(
    relay: Running, upstream: Upstream
) -> None:
    """HTTP/1.0, delimited by the end, the client still had a body to send: cut off only with a reset."""
    size = 8_000_000

    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(size // 1000):
            await exchange.send(b"3e8\r\n" + b"a" * 1000 + b"\r\n")
        await exchange.send(b"0\r\n\r\n")

    upstream.script(script)
    async with await relay.connect(receive_buffer=4096) as client:
        await client.send(b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
        await client.head()
        got = 0
        async with asyncio.timeout(PATIENCE):
            while upstream.open_connections:
                got += len(await client.reader.read(1 << 16))
        await settle()
        await relay.clock.advance(3)
        try:
            async with asyncio.timeout(PATIENCE):
                while data := await client.reader.read(1 << 16):
                    got += len(data)
        except ConnectionError:
            return
        assert got == size


async def test_a_client_that_never_reads_its_last_answer_is_let_go(
    relay: Running, upstream: Upstream
) -> None:
    """A connection that is to be closed once everything has left is bounded by the idle time-out, too."""
    body = b"a" * 4_000_000
    upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    async with await relay.connect(receive_buffer=4096) as client:
        await client.send(relay.request(b"GET", b"/", b"Connection: close"))
        await client.head()
        got = 0
        async with asyncio.timeout(PATIENCE):
            while upstream.open_connections and not upstream.requests[0].whole:
                got += len(await client.reader.read(1 << 14))
            while (await in_flight(relay)) != b"0":
                got += len(await client.reader.read(1 << 14))
        assert got < len(body)
        for _ in range(4):
            await relay.clock.advance(61)
        assert await connections_open(relay) == b"0"


async def reading(relay: Running, name: bytes) -> bytes:
    async with await Client.connect(relay.app.admin_address) as admin:
        answer = await admin.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    line = next(line for line in answer.body.splitlines() if line.startswith(name))
    return line.split()[-1].removesuffix(b".0")


async def in_flight(relay: Running) -> bytes:
    return await reading(relay, b"http_server_active_requests")


async def connections_open(relay: Running) -> bytes:
    return await reading(relay, b"sidecar_connections_open")


async def _dribble(client: Client, relay: Running) -> None:
    for _ in range(12):
        await client.send(b"\r\n")
        await settle()
        await relay.clock.advance(9)
    async with asyncio.timeout(PATIENCE):
        await client.reader.readexactly(1)
