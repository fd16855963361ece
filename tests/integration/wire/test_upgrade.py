"""The handshake of a WebSocket on the wire: what makes one, what travels, what an upstream may answer."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.sidecar import Running, Start
from tests.support.tunnels import (
    ACCEPT,
    BLOCK,
    BOUND,
    KEY,
    OFFER,
    SWITCH,
    Ends,
    Flood,
    Route,
    carries,
    rest_of,
    tunnel,
)
from tests.support.upstream import OK, Exchange, Upstream, closing, refusal, when
from tests.support.waiting import PATIENCE

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
    go, ends = asyncio.Event(), Ends()
    upstream.script(when(go, ends))
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
    """`max_connections` holds; a request in line goes on when a tunnel ends, however it does."""
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
    """Browsers let any page open WebSockets to any address, and name the page in Origin."""
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
