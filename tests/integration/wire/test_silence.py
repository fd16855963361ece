"""Whose silence is it? Time-outs, and what is left when a side disconnects in the middle."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping

import pytest

from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.message import early_fault
from sidecar.http1.pool import IDLE_TIMEOUT, Pool
from tests.support.clock import FakeClock, settle
from tests.support.sidecar import Running, Start
from tests.support.upstream import Exchange, Upstream
from tests.support.waiting import PATIENCE, at_rest, awake

Route = Mapping[str, object]


@pytest.mark.parametrize("ending", [b"Connection: close", b"X: keep"])
async def test_an_upstream_that_does_not_read_the_rest_of_an_upload_holds_nothing_up(
    upstream: Upstream, ending: bytes
) -> None:
    """Bytes that will not be read are given up: the connection makes room, and carries nothing else."""
    go = asyncio.Event()

    async def deaf(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n%s\r\n\r\nno" % ending)
        await go.wait()
        exchange.reset()

    upstream.script(deaf)
    clock = FakeClock()
    deadlines = Deadlines(clock)
    pool = Pool(Origin("http", "127.0.0.1", upstream.port, max_connections=1), deadlines)
    first = await pool.connect()
    size = 32 << 20
    head = b"POST / HTTP/1.1\r\nHost: u\r\nContent-Length: %d\r\n\r\n" % size
    answer = first.send(head, b"POST", size, lambda _: None)
    first.write_body([b"a" * size])
    first.end_body([])
    await answer
    assert first.whole_body() == b"no"
    pool.give_back(first)
    await clock.advance(IDLE_TIMEOUT + 1)
    deadlines.tick()
    async with asyncio.timeout(PATIENCE):
        second = pool.take() or await pool.connect()
        assert second is not first
        await second.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
    go.set()
    second.abort()
    pool.close()
    await settle()


@pytest.fixture
async def narrow() -> AsyncIterator[tuple[str, asyncio.Queue[socket.socket]]]:
    """An upstream whose connections take little at a time; it only accepts."""
    accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)  # noqa: FBT003  the standard library's own flag

        async def accept() -> None:
            while True:
                accepted.put_nowait((await asyncio.get_running_loop().sock_accept(listening))[0])

        accepting = asyncio.create_task(accept())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", accepted
        accepting.cancel()


async def test_an_upload_that_flows_keeps_an_answer_that_has_begun(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """Silence is that of the exchange: the upstream may say its first words, listen long, and then go on."""

    async def listens(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await exchange.read()
        await exchange.send(b"world")

    upstream.script(listens)
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running, await running.connect() as client:
        await client.send(running.request(b"POST", b"/", b"Content-Length: 6"))
        await client.head()
        for _ in range(6):
            assert not client.writer.is_closing()
            await client.send(b"a")
            await settle()
            await running.clock.advance(3)
        async with asyncio.timeout(PATIENCE):
            assert await client.reader.readexactly(10) == b"helloworld"


async def test_an_upstream_that_never_asks_for_the_expected_body_is_504(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """A client that waits for `100 Continue` does not count as silent."""
    upstream.script(Exchange.peer_left)
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running, await running.connect() as client:
        await client.send(running.request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        await upstream.reached(1)
        await settle()
        await running.clock.advance(7)
        assert (await client.answer()).status == 504


async def test_two_credentials_are_refused_where_they_would_be_relayed(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """Exactly one Authorization, or none, reaches an upstream."""
    async with sidecar(plain) as running:
        answer = await running.get(b"/", b"Authorization: Bearer a", b"Authorization: Bearer b")
    upstream.malformed.clear()
    assert answer.status == 400


async def test_a_client_that_leaves_during_a_tls_handshake_leaves_nothing_behind(
    sidecar: Start, plain: Route, narrow: tuple[str, asyncio.Queue[socket.socket]]
) -> None:
    """The connection that was being opened is closed."""
    url, accepted = narrow
    async with sidecar({**plain, "upstream": url.replace("http:", "https:")}) as running:
        async with await running.connect() as client:
            await client.send(running.request(b"GET", b"/"))
            peer = await accepted.get()
            client.reset()
        with peer:
            async with asyncio.timeout(PATIENCE):
                try:
                    while await asyncio.get_running_loop().sock_recv(peer, 4096):
                        pass
                except ConnectionError:
                    pass


def test_a_request_line_is_looked_at_once() -> None:
    """However many bytes follow it one by one."""

    def cost(fields: int) -> float:
        head = bytearray(b"GET /" + b"a" * 16_000 + b" HTTP/1.1\r\n" + b"A: b\r\n" * fields)
        began = time.thread_time()
        for _ in range(1000):
            assert early_fault(head, len(head) - 1) is None
        return time.thread_time() - began

    rounds = [(cost(7), cost(7000)) for _ in range(5)]
    assert min(long for _, long in rounds) < 5 * min(short for short, _ in rounds)


async def test_a_new_connection_for_the_first_in_line_does_not_send_the_second_to_its_end(
    upstream: Upstream,
) -> None:
    """A lost connection makes room for one: the others stay in order."""
    pool = Pool(Origin("http", "127.0.0.1", upstream.port, max_connections=3), Deadlines(FakeClock()))
    busy, order = [], list[int]()
    for _ in range(3):
        connection = await pool.connect()
        await connection.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
        assert connection.whole_body() == b"ok"
        busy.append(connection)

    async def wait(number: int) -> None:
        await pool.connect()
        order.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await settle()
    busy[0].abort()
    async with asyncio.timeout(PATIENCE):
        await waiting[0]
        await settle()
        pool.give_back(busy[1])
        await settle()
        pool.give_back(busy[2])
        await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    pool.close()


async def test_a_client_that_has_closed_its_half_is_waited_on_for_seconds_only(
    relay: Running, upstream: Upstream
) -> None:
    """It may be disconnected: that cannot be detected, and its request is cancelled then."""
    left = asyncio.Event()

    async def silent(exchange: Exchange) -> None:
        await exchange.peer_left()
        left.set()

    upstream.script(silent)
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/"))
        await upstream.reached(1)
        await client.half_close()
        await settle()
        await relay.clock.advance(4)
        assert not left.is_set()
        await relay.clock.advance(2)
        async with asyncio.timeout(PATIENCE):
            await left.wait()


async def test_a_slow_but_steady_reader_is_not_silent(
    sidecar: Start, plain: Mapping[str, object], upstream: Upstream
) -> None:
    """It reads less than the kernel holds for it, so that for a long time nothing leaves our own buffer."""
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await exchange.send(b"a" * 65536)
            sent += 65536

    upstream.script(endless)
    route = {**plain, "timeouts": {"idle": "10s"}}
    async with sidecar(route) as running, await running.connect(receive_buffer=16384) as client:
        await client.send(running.request(b"GET", b"/"))
        await client.head()
        await at_rest(lambda: sent)  # no peer reads any longer
        for _ in range(4):
            await running.clock.advance(9)
            await client.reader.readexactly(100_000)
            await awake(0.1)  # the window opens
        await running.clock.advance(9)
        assert await client.reader.read(1)
        await running.clock.advance(25)
        with pytest.raises(ConnectionError):
            await client.reader.readexactly(10_000_000)
