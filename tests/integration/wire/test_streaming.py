"""Bodies in motion: nothing is held back, nothing accumulates, and a disconnected side is detected."""

import asyncio
import hashlib

import pytest

from tests.support.clock import settle
from tests.support.sidecar import Running
from tests.support.upstream import OK, Exchange, Upstream, early, when
from tests.support.waiting import PATIENCE, comes
from tests.support.wire_client import Client, TruncatedError

BLOCK = bytes(range(256)) * 256
MANY = 512
"""Blocks of 64 KiB: 32 MiB, far more than all buffers on the way may hold."""
BOUND = 16 << 20
"""Generous for the kernel's buffers of four sockets; what we hold ourselves is far less."""


class Flow:
    """A script that sends a large body and counts what it could hand over."""

    def __init__(self, framing: bytes) -> None:
        self.framing = framing
        self.sent = 0
        self.done = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % self.framing)
        chunked = self.framing.startswith(b"Transfer-Encoding")
        for _ in range(MANY):
            await exchange.send(b"10000\r\n%s\r\n" % BLOCK if chunked else BLOCK)
            self.sent += len(BLOCK)
        if chunked:
            await exchange.send(b"0\r\n\r\n")
        self.done.set()
        if self.framing == b"Connection: close":
            exchange.close()


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: %d" % (MANY * len(BLOCK)), b"Transfer-Encoding: chunked", b"Connection: close"],
    ids=["sized", "chunked", "to the close"],
)
async def test_a_slow_reader_pauses_the_upstream(relay: Running, upstream: Upstream, framing: bytes) -> None:
    """While the client does not read, the upstream cannot send without end; then everything arrives."""
    flow = Flow(framing)
    upstream.script(flow)
    async with await relay.connect(receive_buffer=65_536) as client:
        await client.send(relay.request(b"GET", b"/"))
        assert not await comes(flow.done.wait())
        assert flow.sent < BOUND
        answer = await client.answer()
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(BLOCK * MANY).digest()


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_a_slow_upstream_pauses_the_client(
    relay: Running, upstream: Upstream, *, chunked: bool
) -> None:
    """While the upstream does not read, the client cannot send without end; then everything arrives."""
    go, done, sent = asyncio.Event(), asyncio.Event(), 0

    async def slow(exchange: Exchange) -> None:
        await go.wait()
        await exchange.read()
        await exchange.send(OK)

    async def send_all(client: Client) -> None:
        nonlocal sent
        for _ in range(MANY):
            client.writer.write(b"10000\r\n%s\r\n" % BLOCK if chunked else BLOCK)
            await client.writer.drain()
            sent += len(BLOCK)
        client.writer.write(b"0\r\n\r\n" if chunked else b"")
        done.set()

    upstream.script(slow)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (MANY * len(BLOCK))
    async with await relay.connect() as client:
        await client.send(relay.request(b"PUT", b"/", framing))
        sending = asyncio.create_task(send_all(client))
        assert not await comes(done.wait())
        assert sent < BOUND
        go.set()
        await sending
        assert (await client.answer()).status == 200
    assert hashlib.sha256(upstream.requests[0].body).digest() == hashlib.sha256(BLOCK * MANY).digest()


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Connection: close"])
async def test_events_arrive_as_they_are_sent(relay: Running, upstream: Upstream, framing: bytes) -> None:
    """Each server-sent event reaches the client before the next one is sent."""
    next_event = asyncio.Semaphore(0)
    chunked = framing.startswith(b"Transfer")

    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n\r\n" % framing)
        for number in range(5):
            await next_event.acquire()
            event = b"data: %d\n\n" % number
            await exchange.send(b"%x\r\n%s\r\n" % (len(event), event) if chunked else event)
        await next_event.acquire()
        await exchange.send(b"0\r\n\r\n" if chunked else b"")
        exchange.close()

    upstream.script(script)
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/"))
        head = await client.head()
        for number in range(5):
            next_event.release()
            if head.framing() == "chunked":
                assert await client.chunk() == b"data: %d\n\n" % number
            else:
                async with asyncio.timeout(PATIENCE):
                    assert await client.reader.readexactly(9) == b"data: %d\n\n" % number
        next_event.release()
        if head.framing() == "chunked":
            assert await client.chunk() == b""


async def test_a_body_is_relayed_as_it_comes(relay: Running, upstream: Upstream) -> None:
    """The upstream has the first part of an upload before the client sends the second, in both framings."""
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(exchange: Exchange) -> None:
        for size in (5, 10):
            await exchange.read(size)
            arrived.put_nowait(bytes(exchange.received.body))
        await exchange.read()
        await exchange.send(OK)

    upstream.script(script, script)
    async with await relay.connect() as client, asyncio.timeout(PATIENCE):
        await client.send(relay.request(b"POST", b"/", b"Content-Length: 10") + b"hello")
        assert await arrived.get() == b"hello"
        assert (await client.ask(b"world")).status == 200
        assert await arrived.get() == b"helloworld"
        await client.send(relay.request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n")
        assert await arrived.get() == b"hello"
        assert (await client.ask(b"5\r\nworld\r\n0\r\n\r\n")).status == 200
        assert await arrived.get() == b"helloworld"


async def test_both_directions_may_flow_at_once(relay: Running, upstream: Upstream) -> None:
    """An answer that begins before the request's end is relayed while the rest of the request goes up."""

    async def echo(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for size in range(1, 6):
            await exchange.read(size)
            await exchange.send(b"1\r\n%s\r\n" % bytes(exchange.received.body[size - 1 : size]))
        await exchange.send(b"0\r\n\r\n")

    upstream.script(echo)
    async with await relay.connect() as client:
        await client.send(relay.request(b"POST", b"/", b"Content-Length: 5"))
        assert (await client.head()).status == 200
        for letter in (b"h", b"e", b"l", b"l", b"o"):
            await client.send(letter)
            assert await client.chunk() == letter
        assert await client.chunk() == b""


@pytest.mark.parametrize("code", [200, 401, 413])
async def test_an_early_answer_is_relayed(relay: Running, upstream: Upstream, code: int) -> None:
    """An answer in the middle of an upload reaches the client, whether the upstream reads on or hangs up."""
    answer = b"HTTP/1.1 %d Early\r\nContent-Length: 5\r\n%s\r\n\r\nearly"

    async def and_hang_up(exchange: Exchange) -> None:
        await exchange.read(1000)
        await exchange.send(answer % (code, b"Connection: close"))
        exchange.close()

    for script in (early(answer % (code, b"X: 1"), after=1000), and_hang_up):
        upstream.script(script)
        async with await relay.connect() as client:
            await client.send(relay.request(b"POST", b"/", b"Content-Length: 2000") + b"a" * 1000)
            early_answer = await client.answer()
            assert (early_answer.status, early_answer.body) == (code, b"early")
    assert (await relay.get()).status == 200


@pytest.mark.parametrize(
    ("stage", "hard"), [("upload", False), ("upload", True), ("waiting", True), ("download", True)]
)
async def test_a_client_that_leaves_ends_the_upstreams_request(
    relay: Running, upstream: Upstream, stage: str, *, hard: bool
) -> None:
    """The upstream's connection is closed when its answer is not needed (a FIN shows that only inside a body)."""
    left, started = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if stage == "download":
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"a" * 10)
        started.set()
        await exchange.peer_left()
        exchange.close()
        left.set()

    upstream.script(script)
    body = b"part" if stage == "upload" else b"all the body"
    async with await relay.connect() as client, asyncio.timeout(PATIENCE):
        await client.send(relay.request(b"POST", b"/", b"Content-Length: 12") + body)
        await started.wait()
        if stage == "download":
            await client.head()
        if hard:
            client.reset()
        else:
            await client.close()
        await left.wait()
    assert (await relay.get()).status == 200


async def test_a_client_that_leaves_stops_an_endless_answer(relay: Running, upstream: Upstream) -> None:
    """A FIN while the answer flows: the next write fails, and the upstream is disconnected."""
    flow = Flow(b"Content-Length: %d" % (1 << 40))
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        try:
            while True:
                await flow(exchange)
        finally:
            left.set()

    upstream.script(script)
    client = await relay.connect()
    await client.send(relay.request(b"GET", b"/"))
    await client.head()
    await client.close()
    async with asyncio.timeout(PATIENCE):
        await left.wait()


async def test_a_half_closed_client_gets_its_answer(relay: Running, upstream: Upstream) -> None:
    """A client that has nothing more to send may still be reading."""
    go = asyncio.Event()
    upstream.script(when(go, OK))
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/"))
        await client.half_close()
        await upstream.reached(1)
        await settle()
        go.set()
        assert (await client.answer()).body == b"ok"
        assert await client.ending() == "closed"


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_a_body_cut_short_is_not_a_request(relay: Running, upstream: Upstream, framing: bytes) -> None:
    """A client that half-closes inside its body is refused; the upstream never sees a whole request."""
    async with await relay.connect() as client:
        await client.send(relay.request(b"POST", b"/", framing) + b"5\r\nhe")
        await client.half_close()
        try:
            answer = await client.answer()
        except TruncatedError:
            pass
        else:
            assert answer.status == 400
    await settle()
    assert not any(received.whole for received in upstream.requests)
    assert (await relay.get()).status == 200
