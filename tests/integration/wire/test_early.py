"""Answers that come before the request's body is read, and a reset behind them: none is lost."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from sidecar.core.errors import SidecarError, UpstreamUnreachable
from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.http1.connection import LINGER, LINGER_IN_ALL
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.message import Response
from sidecar.http1.pool import Pool
from sidecar.http1.upstream import UpstreamConnection
from tests.early.client import status, upload
from tests.early.servers import ENDS, FRAMINGS, LibraryServer, RawServer, early_answer
from tests.support.authorization_server import AuthorizationServer
from tests.support.clock import FakeClock, settle
from tests.support.sidecar import Running, Start
from tests.support.upstream import INVALID_TOKEN, OK, Exchange, Upstream, refusal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import Client

BLOCK = b"x" * 65_536
SIZE = 3_000_000
HEAD = b"PUT / HTTP/1.1\r\nHost: u\r\nContent-Length: %d\r\n\r\n" % SIZE
GET = b"GET / HTTP/1.1\r\nHost: u\r\n\r\n"
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


class Far:
    """A listener whose connections a test holds in its hands: what it does happens at once, between two turns."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]

    async def accept(self) -> socket.socket:
        return await asyncio.to_thread(self._accept)

    def _accept(self) -> socket.socket:
        plain, _ = self._listener.accept()
        plain.settimeout(PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if self._context is None else self._context.wrap_socket(plain, server_side=True)

    def close(self) -> None:
        self._listener.close()


async def read_head(far: socket.socket) -> bytes:
    """The next head, and as much of its body as came along."""

    def read() -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += far.recv(256)
        return data

    return await asyncio.to_thread(read)


def answer_and_close(far: socket.socket, answer: bytes, end: str = "close") -> None:
    """Answer and close at once, with what was sent unread: a reset follows."""
    far.sendall(answer)
    ENDS[end](far)
    far.close()


@dataclass
class Taken:
    """A sink that takes everything, and says that it has had enough."""

    write_paused: bool = False
    content: bytearray = field(default_factory=bytearray)
    end: str = ""

    def write_body(self, pieces: list[bytes]) -> None:
        self.content += b"".join(pieces)

    def end_body(self, trailers: list[bytes]) -> None:
        self.end = "whole"

    def break_body(self, error: SidecarError) -> None:
        self.end = "broken"


@asynccontextmanager
async def dialled(
    tmp_path: Path, *, tls: bool
) -> AsyncIterator[tuple[Pool, UpstreamConnection, socket.socket]]:
    """A pool with one connection, and the upstream's end of it."""
    context, trust = None, Tls()
    if tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Tls(ca_file=str(tmp_path / "ca.pem"))
        authority.issue_cert("127.0.0.1").configure_cert(context)
    listener = Far(context)
    origin = Origin("https" if tls else "http", "127.0.0.1", listener.port, tls=trust)
    pool = Pool(origin, Deadlines(FakeClock()))
    try:
        far, connection = await asyncio.gather(listener.accept(), pool.connect())
        with far:
            yield pool, connection, far
            connection.abort()
            pool.close()
            await settle()
    finally:
        listener.close()


def begin(connection: UpstreamConnection, size: int = SIZE) -> asyncio.Future[Response]:
    """Send a head and the first piece of its body."""
    answer = connection.send(HEAD, b"PUT", size, lambda _: None)
    connection.write_body([BLOCK])
    connection.flush()
    connection.asked = not connection.transport.is_closing()
    return answer


def write_until_it_fails(connection: UpstreamConnection) -> None:
    """Send the body; the event loop does not run meanwhile, so it cannot read what has arrived."""
    for _ in range(4):
        connection.write_body([BLOCK])


@TLS
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("code", [401, 413])
async def test_h1_an_answer_that_arrived_before_a_write_failed_is_read(
    tmp_path: Path, end: str, framing: str, code: int, *, tls: bool
) -> None:
    """Head and body, however the upstream ends the connection behind them."""
    async with dialled(tmp_path, tls=tls) as (_, connection, far), asyncio.timeout(PATIENCE):
        answer = begin(connection)
        await read_head(far)
        answer_and_close(far, early_answer(code, FRAMINGS[framing]), end)
        write_until_it_fails(connection)
        assert (await answer).status == code
        assert connection.whole_body() == b"refused"


LARGE = b"refused " * 5_000
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE)
SIZED = b"Content-Length: %d\r\n" % len(LARGE)
ENDINGS: Mapping[str, tuple[bytes, bytes, str, bool, bool]] = {
    "sized": (SIZED, LARGE, "close", True, True),
    "sized, cut short": (SIZED, LARGE[:-1], "close", False, False),
    "sized, ended short": (SIZED, LARGE[:-1], "shutdown, close", False, False),
    "chunked": (CHUNKED, CHUNKS, "close", True, True),
    "chunked, cut short": (CHUNKED, CHUNKS[:-1], "SO_LINGER 0", False, False),
    "to the end": (b"", LARGE, "shutdown, close", True, False),
    "to the end, then a reset": (b"", LARGE, "shutdown, SO_LINGER 0", True, False),
    "to the end, cut": (b"", LARGE, "close", False, False),
}
"""Framing, body and end of an answer; whether it is then whole, and whether over TLS, where a FIN ends nothing."""


@TLS
@pytest.mark.parametrize("case", ENDINGS)
async def test_h1_a_body_is_whole_only_if_its_end_arrived(tmp_path: Path, case: str, *, tls: bool) -> None:
    """What arrived is handed on, also to a slow reader; what is cut short is broken off, never ended."""
    framing, body, end, whole, whole_over_tls = ENDINGS[case]
    head = early_answer(413, framing, b"")
    async with dialled(tmp_path, tls=tls) as (_, connection, far), asyncio.timeout(PATIENCE):
        answer = begin(connection)
        await read_head(far)
        far.sendall(head)
        assert (await answer).status == 413
        sink = Taken(write_paused=True)
        connection.pipe(sink)
        answer_and_close(far, body, end)
        write_until_it_fails(connection)
        try:
            await connection.finished()
        except SidecarError:
            assert not (whole_over_tls if tls else whole)
            assert sink.end == "broken"
        else:
            assert whole_over_tls if tls else whole
            assert sink.end == "whole"
            assert sink.content == LARGE
        assert len(sink.content) >= len(LARGE) - 1


@pytest.mark.parametrize("body", [False, True], ids=["no body", "a body"])
async def test_h1_what_came_before_the_request_is_not_its_answer(tmp_path: Path, *, body: bool) -> None:
    """An upstream may give up an idle connection with a 408 of its own: it has not read the request."""
    async with dialled(tmp_path, tls=False) as (pool, connection, far), asyncio.timeout(PATIENCE):
        first = connection.send(GET, b"GET", 0, lambda _: None)
        await read_head(far)
        far.sendall(OK)
        assert (await first).status == 200
        assert connection.whole_body() == b"ok"
        pool.give_back(connection)
        assert pool.take() is connection
        answer_and_close(far, b"HTTP/1.1 408 Idle\r\nContent-Length: 0\r\n\r\n", "SO_LINGER 0")
        second = begin(connection) if body else connection.send(GET, b"GET", 0, lambda _: None)
        with pytest.raises(UpstreamUnreachable):
            await second


@TLS
async def test_h1_a_connection_whose_upload_was_not_read_is_not_used_again(
    tmp_path: Path, *, tls: bool
) -> None:
    """It said keep-alive, but what it has not read lies before the next request, or it is about to close."""
    async with dialled(tmp_path, tls=tls) as (pool, connection, far), asyncio.timeout(PATIENCE):
        size = 32 << 20
        answer = connection.send(HEAD, b"PUT", size, lambda _: None)
        connection.write_body([b"x" * size])
        connection.flush()
        connection.end_body([])
        await read_head(far)
        far.sendall(early_answer(413, FRAMINGS["keep-alive"]))
        assert (await answer).status == 413
        assert connection.whole_body() == b"refused"
        pool.give_back(connection)
        assert pool.take() is None


def by_hand(listener: Far) -> Mapping[str, object]:
    """A route with a token to an upstream that the test plays."""
    upstream = f"http://127.0.0.1:{listener.port}"
    return {"name": "api", "match": {"prefix": "/"}, "upstream": upstream, "token": "api"}


UNAUTHORIZED = refusal(INVALID_TOKEN)


async def test_h1_a_401_found_after_a_failed_write_heals(sidecar: Start) -> None:
    """The body is sent again, whole, with another token."""
    body = b"a" * 20_000 + b"b" * 20_000
    listener = Far()
    async with sidecar(by_hand(listener)) as running, await running.connect() as client:
        await client.send(running.request(b"PUT", b"/", b"Content-Length: 40000") + body[:20_000])
        refusing = await listener.accept()
        first = await read_head(refusing)
        client.writer.write(body[20_000:])
        answer_and_close(refusing, UNAUTHORIZED)
        healing = await listener.accept()
        second = await read_head(healing)
        while len(second.partition(b"\r\n\r\n")[2]) < len(body):
            second += await asyncio.to_thread(healing.recv, 65_536)
        healing.sendall(OK)
        assert (await client.answer()).status == 200
        healing.close()
    listener.close()
    assert b"canary-token-1" in first
    assert b"canary-token-2" in second
    assert second.endswith(b"\r\n\r\n" + body)


@asynccontextmanager
async def used(sidecar: Start, listener: Far) -> AsyncIterator[tuple[Running, Client, socket.socket]]:
    """A sidecar whose connection to the upstream has carried an exchange, and a client."""
    async with sidecar(by_hand(listener)) as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        with await listener.accept() as far:
            await read_head(far)
            far.sendall(OK)
            assert (await client.answer()).status == 200
            yield running, client, far
    listener.close()


async def test_h1_a_401_to_a_large_upload_is_relayed_and_renews_the_token(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """Also on a connection that was used before. The next request brings another token."""
    listener = Far()
    async with used(sidecar, listener) as (running, client, refusing):
        await client.send(running.request(b"PUT", b"/", b"Content-Length: %d" % SIZE) + BLOCK + BLOCK)
        await read_head(refusing)
        client.writer.write(BLOCK)
        answer_and_close(refusing, UNAUTHORIZED)
        answer = await client.answer()
        assert (answer.status, answer.body) == (401, b"refused")
        await authorization_server.reached(2)
        await settle()
        async with await running.connect() as another:
            await another.send(running.request(b"GET", b"/"))
            with await listener.accept() as welcoming:
                assert b"canary-token-2" in await read_head(welcoming)
                welcoming.sendall(OK)
                assert (await another.answer()).status == 200


@pytest.mark.parametrize("end", [*ENDS, "http.server"])
@pytest.mark.parametrize("code", [401, 413])
async def test_h1_uploads_get_the_answer_of_an_upstream_that_reads_none_of_them(
    sidecar: Start, end: str, code: int
) -> None:
    """With a real server's timing: 3 MB each, on fresh connections."""
    server = LibraryServer() if end == "http.server" else RawServer(ENDS[end], FRAMINGS["Connection: close"])
    with server:
        route = {"name": "up", "match": {"prefix": "/"}, "upstream": f"http://127.0.0.1:{server.port}"}
        async with sidecar(route) as running:
            host, _, port = running.address.rpartition(":")
            for _ in range(10):
                answer = await asyncio.to_thread(upload, (host, int(port)), f"/{code}")
                assert status(answer) == code


async def refusing_early(exchange: Exchange) -> None:
    await exchange.send(early_answer(413, FRAMINGS["Connection: close"]))
    exchange.close()


async def test_h1_a_client_that_sends_before_it_reads_has_time_to(
    relay: Running, upstream: Upstream, clock: FakeClock
) -> None:
    """It may be slow, if it is never silent for long: no reset overtakes its answer."""
    upstream.script(refusing_early)
    async with await relay.connect() as client:
        await client.send(relay.request(b"PUT", b"/", b"Content-Length: %d" % SIZE) + b"x")
        await upstream.reached(1)
        await client.head()
        for _ in range(10):
            await clock.advance(LINGER - 0.5)
            await client.send(b"x")
            await settle()
        assert await client.reader.read(100) == b"refused"
        await client.send(b"x")
        assert await client.ending() == "closed"


@pytest.mark.parametrize("silent", [False, True], ids=["in all", "silent"])
async def test_h1_a_client_that_goes_on_sending_is_not_read_for_ever(
    relay: Running, upstream: Upstream, clock: FakeClock, *, silent: bool
) -> None:
    """Nor is one that is silent waited for."""
    upstream.script(refusing_early)
    async with await relay.connect() as client:
        await client.send(relay.request(b"PUT", b"/", b"Content-Length: %d" % SIZE) + b"x")
        assert (await client.answer()).status == 413
        for _ in range(1 if silent else int(LINGER_IN_ALL)):
            await clock.advance(LINGER + 1 if silent else 1.25)
            await settle()
            if relay.app._listener.connections and not silent:
                client.writer.write(b"x")
        assert not relay.app._listener.connections
