"""A WebSocket on the wire: what makes one, what travels, how it ends. Bytes only; the frames are the peers' own."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from sidecar.config import load
from sidecar.core.routes import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import Pool
from sidecar.http1.relay import Relay
from sidecar.http1.server import ClientConnection, Listener, ServerLimits
from sidecar.http1.upload import ReplayBudget
from tests.authorization import AuthorizationServer
from tests.conftest import Running, Start
from tests.fakes import FakeClock, settle
from tests.processes import until
from tests.servers import OK, Exchange, Upstream, closing, refusal
from tests.wire import PATIENCE, Client

Route = Mapping[str, object]
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
OFFER = (b"Upgrade: websocket", b"Connection: Upgrade", KEY, b"Sec-WebSocket-Version: 13")
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s\r\n\r\n" % ACCEPT
)
RELAYED_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\n%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" % (ACCEPT)
)
BLOCK = bytes(range(256)) * 256
IDLE: Route = {"timeouts": {"idle": "10s"}}


class Ends:
    """A script that takes the offer and leaves the connection to the test."""

    def __init__(self, answer: bytes = SWITCH) -> None:
        self._answer = answer
        self._taken: asyncio.Queue[Exchange] = asyncio.Queue()

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.send(self._answer)
        self._taken.put_nowait(exchange)
        await asyncio.Event().wait()  # until the server stops

    async def taken(self) -> Client:
        """The upstream's end of the next tunnel."""
        async with asyncio.timeout(PATIENCE):
            exchange = await self._taken.get()
        return Client(exchange.reader, exchange.writer)


@asynccontextmanager
async def tunnel(
    running: Running, upstream: Upstream, target: bytes = b"/", *, receive_buffer: int = 0
) -> AsyncIterator[tuple[Client, Client]]:
    """Both ends of an open tunnel: the client's and the upstream's."""
    ends = Ends()
    upstream.script(ends)
    async with await running.connect(receive_buffer=receive_buffer) as client:
        await client.send(running.request(b"GET", target, *OFFER))
        assert (await client.head()).status == 101
        yield client, await ends.taken()


async def carries(source: Client, target: Client, data: bytes = b"some bytes") -> None:
    """Send at one end, and see it at the other."""
    await source.send(data)
    async with asyncio.timeout(PATIENCE):
        assert await target.reader.readexactly(len(data)) == data


async def rest_of(end: Client) -> bytes:
    """Everything up to a clean end."""
    async with asyncio.timeout(PATIENCE):
        return await end.reader.read()


class Flood:
    """Bytes without end from one end of a tunnel; it counts what it could hand over."""

    def __init__(self, source: Client) -> None:
        self.sent = 0
        self._source = source
        self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while True:
            self._source.writer.write(BLOCK)
            await self._source.writer.drain()
            self.sent += len(BLOCK)

    async def stuck(self) -> None:
        """Wait until it cannot go on."""
        seen = -1
        while seen != self.sent:
            seen = self.sent
            await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """Send no more; how much there is to come altogether."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return self.sent + len(BLOCK)  # the one it was at


BOUND = 16 << 20
"""Generous for the kernel's buffers of four sockets; what we hold ourselves is far less."""


# The handshake


async def test_b72_the_handshake_is_relayed_and_nothing_is_added(relay: Running, upstream: Upstream) -> None:
    """Hop-by-hop lines are our own, everything else is the peers'; to the byte."""
    ends = Ends(SWITCH.replace(b"\r\n\r\n", b"\r\nX-Case: Kept\r\nsec-websocket-protocol: chat\r\n\r\n"))
    upstream.script(ends)
    async with await relay.connect() as client:
        fields = (*OFFER, b"sec-websocket-Protocol: chat, superchat", b"Cookie: a=b", b"Keep-Alive: 5")
        await client.send(relay.request(b"GET", b"/chat?room=%41&x", *fields))
        head = await client.head()
        await ends.taken()
    assert head.raw == (
        b"HTTP/1.1 101 Switching Protocols\r\n" + ACCEPT + b"\r\nX-Case: Kept\r\nsec-websocket-protocol: chat"
        b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    assert upstream.requests[0].head.raw == (
        b"GET /chat?room=%41&x HTTP/1.1\r\nHost: " + upstream.url.removeprefix("http://").encode() + b"\r\n"
        + KEY + b"\r\nSec-WebSocket-Version: 13\r\nsec-websocket-Protocol: chat, superchat\r\nCookie: a=b"
        b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    "offer",
    [
        (b"upgrade: WebSocket", b"connection: upgrade"),
        (b"Upgrade: h2c, websocket", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk"),
        (b"Upgrade: h2c", b"Upgrade:\twebsocket", b"Connection: keep-alive", b"Connection: Upgrade"),
        (b"Upgrade: websocket", b"Connection: X-Private, keep-alive , UPGRADE", b"X-Private: 1"),
        (b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 0"),
        (b"Upgrade: websocket", b"Connection: Upgrade", b"TE: trailers"),
    ],
    ids=["case", "a list", "several lines", "other options", "an empty body", "TE"],
)
async def test_an_offer_has_many_spellings(
    relay: Running, upstream: Upstream, offer: tuple[bytes, ...]
) -> None:
    """The upstream sees one: no other protocol, and nothing that was meant for us."""
    ends = Ends()
    upstream.script(ends)
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/", *offer, KEY))
        assert (await client.head()).status == 101
        await carries(client, await ends.taken())
    [received] = upstream.requests
    assert received.values("Upgrade") == [b"websocket"]
    assert received.values("Connection")[0] == b"Upgrade"
    assert received.values("HTTP2-Settings") == received.values("X-Private") == []


BODY = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIZED = b"Content-Length: %d" % len(BODY)
SOCKET = (b"Upgrade: websocket", b"Connection: Upgrade")
ORDINARY: Mapping[str, tuple[bytes, tuple[bytes, ...], bytes]] = {
    "h2c": (b"GET", (b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AA"), b""),
    "h2c with a body": (b"POST", (b"Upgrade: h2c", b"Connection: Upgrade", SIZED), BODY),
    "another protocol": (b"GET", (b"Upgrade: websocket/2, x-websocket", b"Connection: Upgrade"), b""),
    "Upgrade not named": (b"GET", (b"Upgrade: websocket", b"Connection: keep-alive"), b""),
    "no Connection": (b"GET", (b"Upgrade: websocket",), b""),
    "no Upgrade": (b"GET", (b"Connection: Upgrade", KEY), b""),
    "POST": (b"POST", (*SOCKET, b"Content-Length: 0"), b""),
    "HEAD": (b"HEAD", SOCKET, b""),
    "a sized body": (b"GET", (*SOCKET, SIZED), BODY),
    "a chunked body": (b"GET", (*SOCKET, b"Transfer-Encoding: chunked"), BODY),
}


@pytest.mark.parametrize("name", ORDINARY)
async def test_what_is_no_offer_of_a_websocket_is_an_ordinary_request(
    relay: Running, upstream: Upstream, name: str
) -> None:
    """It goes up without its Upgrade and with its body; the connection carries the next request."""
    method, fields, body = ORDINARY[name]
    chunked = b"Transfer-Encoding: chunked" in fields
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    async with await relay.connect() as client:
        data = relay.request(method, b"/first", *fields, body=framed)
        assert (await client.ask(data, method.decode())).status == 200
        assert (await client.ask(relay.request(b"GET", b"/next"))).status == 200
    assert [received.head.target for received in upstream.requests] == [b"/first", b"/next"]
    first = upstream.requests[0]
    assert bytes(first.body) == body
    hop_by_hop = ("Upgrade", "Connection", "HTTP2-Settings")
    assert [value for field in hop_by_hop for value in first.values(field)] == []


async def test_http_1_0_cannot_offer(relay: Running, upstream: Upstream) -> None:
    """RFC 9110 section 7.8: an Upgrade in HTTP/1.0 is ignored."""
    answer = await relay.ask(b"GET / HTTP/1.0\r\nHost: localhost\r\n" + b"\r\n".join(OFFER) + b"\r\n\r\n")
    assert answer.status == 200
    assert upstream.requests[0].values("Upgrade") == []


async def test_an_offer_that_was_made_before_is_made_again(relay: Running, upstream: Upstream) -> None:
    """The same head twice on one connection, refused and then taken."""
    ends = Ends()
    upstream.script(OK, ends)
    async with await relay.connect() as client:
        offer = relay.request(b"GET", b"/", *OFFER)
        assert (await client.ask(offer)).body == b"ok"
        await client.send(offer)
        assert (await client.head()).status == 101
        await carries(client, await ends.taken())
    assert [received.values("Upgrade") for received in upstream.requests] == [[b"websocket"]] * 2


# The answer to it


@pytest.mark.parametrize("status", [200, 204, 400, 403, 426, 503])
async def test_a_refused_offer_is_an_ordinary_answer(relay: Running, upstream: Upstream, status: int) -> None:
    """It is relayed, and both connections carry the next request."""
    body = b"" if status == 204 else b"no"
    sized = b"Content-Length: 2\r\n" if body else b""
    upstream.script(b"HTTP/1.1 %d No\r\n%sUpgrade: websocket\r\n\r\n%s" % (status, sized, body))
    async with await relay.connect() as client:
        answer = await client.ask(relay.request(b"GET", b"/", *OFFER))
        assert (answer.status, answer.body) == (status, body)
        assert (await client.ask(relay.request(b"GET", b"/next"))).body == b"ok"
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: keep-alive",
        b"HTTP/1.1 101 S\r\nConnection: Upgrade",
        b"HTTP/1.1 101 S",
        b"HTTP/1.0 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked",
    ],
)
async def test_b72_a_switch_to_anything_else_is_malformed(
    relay: Running, upstream: Upstream, answer: bytes
) -> None:
    """502; the client's connection is still HTTP, the upstream's is closed."""
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(answer + b"\r\n\r\nhello")
        await exchange.peer_left()
        exchange.close()
        left.set()

    upstream.script(script)
    async with await relay.connect() as client, asyncio.timeout(PATIENCE):
        refused = await client.ask(relay.request(b"GET", b"/", *OFFER))
        assert (refused.status, b'"upstream_malformed"' in refused.body) == (502, True)
        await left.wait()
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_b72_a_switch_nobody_asked_for_is_malformed(
    relay: Running, upstream: Upstream, method: bytes
) -> None:
    """502, also for what was an offer until we took it away."""
    fields = (*SOCKET, b"Content-Length: 0") if method == b"POST" else ()
    upstream.script(closing(SWITCH + b"hello"))
    answer = await relay.ask(relay.request(method, b"/", *fields))
    assert (answer.status, b'"upstream_malformed"' in answer.body) == (502, True)


async def test_interim_answers_go_before_the_switch(relay: Running, upstream: Upstream) -> None:
    """They are relayed as ever."""
    ends = Ends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCH)
    upstream.script(ends)
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/", *OFFER))
        assert (await client.head()).values("Link") == [b"</a>"]
        assert (await client.head()).status == 101
        await carries(await ends.taken(), client)


async def test_bytes_behind_either_head_are_the_tunnels(relay: Running, upstream: Upstream) -> None:
    """A client that is early and an upstream that is quick lose nothing, whatever they send."""
    early, quick = BODY, b"HTTP/1.1 200 OK\r\n\r\n" + BLOCK * 4
    ends = Ends(SWITCH + quick)
    upstream.script(ends)
    async with await relay.connect() as client, asyncio.timeout(PATIENCE):
        await client.send(relay.request(b"GET", b"/", *OFFER) + early)
        far = await ends.taken()
        assert await far.reader.readexactly(len(early)) == early
        assert (await client.head()).status == 101
        assert await client.reader.readexactly(len(quick)) == quick
    assert len(upstream.requests) == 1


async def test_many_early_bytes_are_kept_within_bounds(relay: Running, upstream: Upstream) -> None:
    """The client is held up until the upstream has agreed; then everything arrives."""
    go = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await go.wait()
        await ends(exchange)

    ends = Ends()
    upstream.script(late)
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/", *OFFER))
        await upstream.reached(1)
        flood = Flood(client)
        await flood.stuck()
        assert 0 < flood.sent < BOUND
        size = await flood.stop()
        go.set()
        far = await ends.taken()
        async with asyncio.timeout(PATIENCE):
            assert await far.reader.readexactly(size) == BLOCK * (size // len(BLOCK))


async def test_early_bytes_of_a_refused_offer_are_the_next_request(
    relay: Running, upstream: Upstream
) -> None:
    """They were never in a tunnel: frames are refused, a pipelined request is answered."""
    upstream.script(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    async with await relay.connect() as client:
        assert (await client.ask(relay.request(b"GET", b"/", *OFFER) + b"\x81\x85frame")).status == 403
        assert (await client.answer()).status == 400
        assert await client.ending() == "closed"
    assert len(upstream.requests) == 1


async def test_b72_a_dead_pooled_connection_is_no_answer_to_an_offer(
    relay: Running, upstream: Upstream
) -> None:
    """The offer goes out again on a new connection, and is taken there."""
    ends = Ends()

    async def dying(exchange: Exchange) -> None:
        exchange.reset()

    upstream.script(OK, dying, ends)
    assert (await relay.get()).status == 200
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/", *OFFER))
        assert (await client.head()).status == 101
        await carries(client, await ends.taken())
    assert [received.connection for received in upstream.requests] == [1, 1, 2]


async def test_b72_early_bytes_wait_for_the_handshake_that_is_taken(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A healed 401 sends the offer twice, and what is behind it once."""
    ends = Ends()
    async with sidecar() as running:
        assert (await running.get()).status == 200
        authorization_server.revoke("canary-token-1")
        upstream.script(refusal(), ends)
        async with await running.connect() as client, asyncio.timeout(PATIENCE):
            await client.send(running.request(b"GET", b"/", *OFFER) + BODY)
            far = await ends.taken()
            assert (await client.head()).status == 101
            assert await far.reader.readexactly(len(BODY)) == BODY
            await carries(client, far)
    assert upstream.tokens == ["canary-token-1", "canary-token-1", "canary-token-2"]
    first, second = (received.head.raw for received in upstream.requests[1:])
    assert first.replace(b"token-1", b"token-2") == second


async def test_a_tunnel_is_one_of_the_upstreams_connections(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """`max_connections` holds; who waits in line goes on when a tunnel ends, however it does."""
    async with sidecar({**plain, "max_connections": 1}) as running:
        for broken in (False, True):
            async with tunnel(running, upstream) as (client, far):
                waiting = asyncio.create_task(running.get())
                await carries(client, far)
                assert not waiting.done()
                if broken:
                    client.reset()
                else:
                    await client.half_close()
                    await far.half_close()
                async with asyncio.timeout(PATIENCE):
                    assert (await waiting).body == b"ok"


async def test_a_page_of_another_site_opens_no_tunnel(relay: Running, upstream: Upstream) -> None:
    """Browsers let any page open WebSockets to anywhere, and say in Origin who it is."""
    foreign = await relay.get(b"/", *OFFER, b"Origin: https://evil.example")
    assert foreign.status == 403
    assert upstream.requests == []
    ends = Ends()
    upstream.script(ends)
    async with await relay.connect() as client:
        await client.send(relay.request(b"GET", b"/", *OFFER, b"Origin: http://localhost:3000"))
        assert (await client.head()).status == 101


async def test_a_tunnel_through_a_unix_socket(
    sidecar: Start, plain: Route, upstream: Upstream, tmp_path: Path
) -> None:
    """Both ways, and an end from either side."""
    async with sidecar(plain, listen=f"unix:{tmp_path}/s") as running:
        for first in (0, 1):
            async with tunnel(running, upstream) as ends:
                await carries(ends[0], ends[1], BLOCK)
                await carries(ends[1], ends[0], BLOCK)
                await ends[first].half_close()
                assert await rest_of(ends[1 - first]) == b""
                await ends[1 - first].close()
                assert await rest_of(ends[first]) == b""
        async with tunnel(running, upstream) as (client, far):
            far.reset()
            assert await client.ending() in ("closed", "reset")  # such a socket knows no reset


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
    """The upstream is not kept busy for nobody."""
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
    go = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await go.wait()
        await ends(exchange)

    ends = Ends()
    upstream.script(late)
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


# Over TLS a connection cannot stay half open


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


# Too much at once


@pytest.mark.parametrize("reader", ["client", "upstream"])
async def test_b72_a_slow_reader_slows_the_sender(relay: Running, upstream: Upstream, reader: str) -> None:
    """Whoever does not read holds up the other, not our memory; the other way still flows; nothing is lost."""
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


# Time


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
        await asyncio.sleep(0.05)  # nobody can ask for what is on its way between two sockets
        for _ in range(2):
            await running.clock.advance(PART)
            if reads:
                await take(client, 180_000)
                await asyncio.sleep(0.02)
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
        await asyncio.sleep(0.05)
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
        await relay.tunnel(await relay.send(pool, b"/", None, 10))
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
    route = {**plain, "timeouts": {"total": "300ms"}}
    async with sidecar(route) as running, tunnel(running, upstream) as (client, far):
        await carries(client, far)
        assert await client.ending() == "reset"
        assert await far.ending() == "reset"
    [line] = running.events("request")
    assert (line["status"], line["error"]) == (101, "upstream_timeout")


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
        await asyncio.sleep(0.1)  # longer than the quiet that ends a drain
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
