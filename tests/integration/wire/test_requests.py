"""What the upstream sees of a request that is relayed: the same bytes, without the connection's own."""

import asyncio

import pytest

from tests.support.sidecar import Running
from tests.support.upstream import OK, Exchange, Upstream, when
from tests.support.wire_client import Fields

HOP_BY_HOP = (
    b"Connection: keep-alive, X-Hop",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"Proxy-Authorization: Basic x",
    b"TE: trailers",
    b"X-Hop: 1",
)


def end_to_end(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0].lower() != b"host"]


async def test_fields_arrive_byte_for_byte(relay: Running, upstream: Upstream) -> None:
    """Order, case, duplicates, empty and 8-bit values are kept; white space around values is not."""
    lines = (
        b"X-Zulu: 1",
        b"aCCEPT: */*",
        b"x-zulu:2",
        b"X-Zulu: \t 3 \t ",
        b"X-Empty:",
        b"X-8bit: \xe4\xff",
        b"X-Inside: a\t b  c",
        b"Cookie: a=1; b=2",
        b"cookie: c=3",
        b"!#$%&'*+-.^_`|~: odd",
        b"Accept-Encoding: gzip",
        b"User-Agent: probe",
    )
    assert (await relay.get(b"/a", *lines)).status == 200
    assert end_to_end(upstream.requests[0].head.fields) == [
        (b"X-Zulu", b"1"),
        (b"aCCEPT", b"*/*"),
        (b"x-zulu", b"2"),
        (b"X-Zulu", b"3"),
        (b"X-Empty", b""),
        (b"X-8bit", b"\xe4\xff"),
        (b"X-Inside", b"a\t b  c"),
        (b"Cookie", b"a=1; b=2"),
        (b"cookie", b"c=3"),
        (b"!#$%&'*+-.^_`|~", b"odd"),
        (b"Accept-Encoding", b"gzip"),
        (b"User-Agent", b"probe"),
    ]


async def test_host_is_the_upstreams(relay: Running, upstream: Upstream) -> None:
    """Whatever name the client used, the upstream is called by its own."""
    for host in (b"localhost", b"127.0.0.1:1", b"[::1]:9"):
        await relay.ask(b"GET / HTTP/1.1\r\nhOsT: %s\r\n\r\n" % host)
    await relay.ask(b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert {b"".join(received.values("Host")) for received in upstream.requests} == {
        b"127.0.0.1:%d" % upstream.port
    }
    assert [received.head.target for received in upstream.requests] == [b"/"] * 4


async def test_fields_of_the_connection_stay_on_it(relay: Running, upstream: Upstream) -> None:
    """Hop-by-hop fields, and those Connection names, end here (RFC 9110 section 7.6.1); TE is our own."""
    await relay.get(b"/", *HOP_BY_HOP, b"X-Kept: 1")
    received = upstream.requests[0]
    names = {name.lower() for name, _ in received.head.fields}
    assert names - {b"host", b"connection", b"te"} == {b"x-kept"}
    assert [value.lower() for value in received.values("Connection")] in ([], [b"te"])


@pytest.mark.parametrize("named", [b"Host", b"Content-Length", b"Transfer-Encoding, close", b"Authorization"])
async def test_connection_cannot_name_away_what_frames(
    relay: Running, upstream: Upstream, named: bytes
) -> None:
    """A Connection field that names Host or the framing changes neither."""
    answer = await relay.ask(
        relay.request(b"POST", b"/", b"Connection: " + named, b"Content-Length: 5") + b"hello"
    )
    assert answer.status in {200, 400}
    assert [bytes(received.body) for received in upstream.requests] in ([], [b"hello"])


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/a/b%20c;d=e/f?g=h&i",
        b"//double//slash/",
        b"/%2Fencoded%2fslash",
        b"/?q=..%2f../",
        b"/...",
        b"/a..b/.c/d.",
        b"/?",
        b"/a?b?c",
        b"/%zz%",
        b'/[]{}|^"<>`\\',
        b"/" + b"a" * 4000,
    ],
)
async def test_targets_keep_their_bytes(relay: Running, upstream: Upstream, target: bytes) -> None:
    """Nothing in a target is decoded, merged or sorted."""
    answer = await relay.get(target)
    assert answer.status == 200
    assert upstream.requests[0].head.target == target


@pytest.mark.parametrize(
    "method",
    [
        b"GET",
        b"HEAD",
        b"POST",
        b"PUT",
        b"PATCH",
        b"DELETE",
        b"OPTIONS",
        b"PROPFIND",
        b"LIST",
        b"get",
        b"DESCRIBE",
    ],
)
async def test_methods_are_relayed(relay: Running, upstream: Upstream, method: bytes) -> None:
    """A request without a body stays without one."""
    upstream.script(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await relay.ask(relay.request(method, b"/"), method.decode())).status == 204
    received = upstream.requests[0]
    assert (received.head.method, bytes(received.body)) == (method, b"")
    assert received.values("Transfer-Encoding") == []


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_bodies_arrive_whole(relay: Running, upstream: Upstream, size: int, *, chunked: bool) -> None:
    """A body keeps its framing and every byte, also those that look like a request."""
    body = (b"\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n" * (size // 30 + 1))[:size]
    if chunked:
        chunk = b"%x\r\n%s\r\n" % (size, body) if size else b""
        data = relay.request(b"POST", b"/", b"Transfer-Encoding: chunked") + chunk + b"0\r\n\r\n"
    else:
        data = relay.request(b"POST", b"/", b"Content-Length: %d" % size) + body
    async with await relay.connect() as client:
        assert (await client.ask(data)).status == 200
        assert (await client.ask(relay.request(b"GET", b"/next"))).status == 200
    first, second = upstream.requests
    assert bytes(first.body) == body
    assert first.values("Content-Length") == ([] if chunked else [b"%d" % size])
    assert second.head.target == b"/next"


async def test_chunk_extensions_are_dropped(relay: Running, upstream: Upstream) -> None:
    """Extensions belong to the connection; the data behind them does not."""
    body = b'5;name=value;other="quoted;\\" text"\r\nhello\r\n00;last\r\n\r\n'
    assert (await relay.ask(relay.request(b"POST", b"/", b"Transfer-Encoding: chunked") + body)).status == 200
    assert bytes(upstream.requests[0].body) == b"hello"


async def test_trailers_are_relayed_but_none_that_matter(relay: Running, upstream: Upstream) -> None:
    """Fields that frame, route or authenticate are no trailers (RFC 9110 section 6.5.1)."""
    trailers = (
        b"X-Checksum: 1\r\nAuthorization: Bearer canary\r\nHost: evil\r\nCookie: a=1\r\n"
        b"Trailer: X\r\nTE: trailers\r\nConnection: close\r\nX-Checksum: 2\r\n"
    )
    head = relay.request(b"POST", b"/", b"Trailer: X-Checksum", b"Transfer-Encoding: chunked")
    async with await relay.connect() as client:
        assert (await client.ask(head + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n")).status == 200
        assert (await client.ask(relay.request(b"GET", b"/next"))).status == 200
    assert upstream.requests[0].trailers == ((b"X-Checksum", b"1"), (b"X-Checksum", b"2"))
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "trailer", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Content-Length: x"]
)
async def test_trailers_that_frame_are_refused_or_dropped(
    relay: Running, upstream: Upstream, trailer: bytes
) -> None:
    """A framing field after the body frames nothing."""
    head = relay.request(b"POST", b"/", b"Transfer-Encoding: chunked")
    answer = await relay.ask(head + b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n")
    assert answer.status in {200, 400}
    whole = [received for received in upstream.requests if received.whole]
    assert [received.trailers for received in whole] == ([()] if answer.status == 200 else [])


async def test_every_split_gives_the_same_request(relay: Running, upstream: Upstream) -> None:
    """Where the segments end changes nothing, byte by byte or in two pieces at every place."""
    data = (
        relay.request(b"POST", b"/a?b", b"X-A: 1", b"Transfer-Encoding: chunked")
        + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n"
    )
    async with await relay.connect() as client:
        for place in range(1, len(data)):
            await client.send_in_pieces(data[:place], data[place:])
            assert (await client.answer()).status == 200
        await client.send_in_pieces(*(data[place : place + 1] for place in range(len(data))))
        assert (await client.answer()).status == 200
    assert len(upstream.requests) == len(data)
    assert {
        (received.head.raw, bytes(received.body), received.trailers) for received in upstream.requests
    } == {(upstream.requests[0].head.raw, b"hello world", ((b"X-T", b"1"),))}


@pytest.mark.parametrize(
    "bad",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n 2\r\n\r\n",
        b"GET /a/../b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["length and coding", "folded", "parent"],
)
async def test_every_split_gives_the_same_refusal(relay: Running, upstream: Upstream, bad: bytes) -> None:
    """A bad request is as bad in two segments."""
    for place in range(1, len(bad)):
        async with await relay.connect() as client:
            await client.send_in_pieces(bad[:place])
            assert (await client.refused(bad[place:])).status == 400
    assert upstream.requests == []


async def test_pipelined_requests_are_answered_in_order(relay: Running, upstream: Upstream) -> None:
    """Fifty requests in one segment, the first one slow: fifty answers, each to its own request."""
    go = asyncio.Event()
    upstream.script(when(go, echo_target), *[echo_target] * 49)
    async with await relay.connect() as client:
        await client.send(b"".join(relay.request(b"GET", b"/%d" % number) for number in range(50)))
        await upstream.reached(1)
        go.set()
        answers = [await client.answer() for _ in range(50)]
    assert [answer.body for answer in answers] == [b"/%d" % number for number in range(50)]


async def echo_target(exchange: Exchange) -> None:
    await exchange.read()
    target = exchange.received.head.target
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))


async def test_pipelined_bodies_do_not_run_into_each_other(relay: Running, upstream: Upstream) -> None:
    """Sized, chunked and empty bodies in one segment keep their ends."""
    data = (
        relay.request(b"POST", b"/1", b"Content-Length: 5") + b"hello"
        + relay.request(b"POST", b"/2", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
        + relay.request(b"GET", b"/3") + relay.request(b"POST", b"/4", b"Content-Length: 0")
        + relay.request(b"POST", b"/5", b"Content-Length: 2") + b"\r\n"
    )  # fmt: skip
    async with await relay.connect() as client:
        await client.send(data)
        assert [(await client.answer()).status for _ in range(5)] == [200] * 5
    assert [(received.head.target, bytes(received.body)) for received in upstream.requests] == [
        (b"/1", b"hello"), (b"/2", b"abc"), (b"/3", b""), (b"/4", b""), (b"/5", b"\r\n"),
    ]  # fmt: skip


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_offer_to_upgrade_smuggles_nothing(
    relay: Running, upstream: Upstream, upgrade: bytes
) -> None:
    """A request that offers an upgrade and has a body is an ordinary one; its body is no request."""
    body = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    fields = (
        b"Upgrade: " + upgrade,
        b"Connection: Upgrade, HTTP2-Settings",
        b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    async with await relay.connect() as client:
        for framing, framed in (
            (b"Content-Length: %d" % len(body), body),
            (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
        ):
            assert (await client.ask(relay.request(b"POST", b"/", *fields, framing) + framed)).body == b"ok"
        assert (await client.ask(relay.request(b"GET", b"/next"))).status == 200
    assert [received.head.target for received in upstream.requests] == [b"/", b"/", b"/next"]
    assert [bytes(received.body) for received in upstream.requests] == [body, body, b""]


async def test_a_client_of_http_1_0_is_answered(relay: Running, upstream: Upstream) -> None:
    """HTTP/1.0 closes unless asked to keep the connection; the upstream sees HTTP/1.1."""
    async with await relay.connect() as client:
        assert (await client.ask(b"GET /1 HTTP/1.0\r\nHost: localhost\r\n\r\n")).body == b"ok"
        assert await client.ending() == "closed"
    async with await relay.connect() as client:
        for _ in range(2):
            keep = b"GET /2 HTTP/1.0\r\nHost: localhost\r\nConnection: Keep-Alive\r\n\r\n"
            answer = await client.ask(keep)
            assert answer.body == b"ok"
            assert [value.lower() for value in answer.values("Connection")] == [b"keep-alive"]
    assert {received.head.line for received in upstream.requests} == {b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"}


async def test_s8_an_expectation_of_http_1_0_is_dropped(relay: Running, upstream: Upstream) -> None:
    """RFC 9110 section 10.1.1: the upstream, which gets HTTP/1.1, must not wait for one to be met."""
    head = b"POST / HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nTE: trailers\r\nContent-Length: 5\r\n\r\n"
    assert (await relay.ask(head + b"hello", "POST")).status == 200
    (received,) = upstream.requests
    assert (received.head.line, bytes(received.body)) == (b"POST / HTTP/1.1", b"hello")
    assert [value for name in ("Expect", "TE", "Connection") for value in received.values(name)] == []


async def test_a_client_of_http_1_0_gets_no_chunks(relay: Running, upstream: Upstream) -> None:
    """A chunked answer is unwrapped and ends with the connection."""
    upstream.script(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    async with await relay.connect() as client:
        answer = await client.ask(b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
    assert (answer.body, answer.values("Transfer-Encoding")) == (b"abcde", [])


async def test_expectations_are_met_by_the_upstream(relay: Running, upstream: Upstream) -> None:
    """100-continue goes through: the client sends its body when the upstream asks for it."""

    async def polite(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await exchange.read()
        await exchange.send(OK)

    upstream.script(polite)
    async with await relay.connect() as client:
        await client.send(relay.request(b"POST", b"/", b"Expect: 100-Continue", b"Content-Length: 5"))
        assert (await client.head()).status == 100
        answer = await client.ask(b"hello")
    assert (answer.status, answer.interim) == (200, ())
    assert bytes(upstream.requests[0].body) == b"hello"


async def test_an_expectation_may_be_disappointed(relay: Running, upstream: Upstream) -> None:
    """A final answer instead of 100 is relayed, and the body the client keeps back is not waited for."""

    async def impolite(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        exchange.close()

    upstream.script(impolite)
    async with await relay.connect() as client:
        data = relay.request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5")
        answer = await client.ask(data)
        assert (answer.status, answer.interim) == (403, ())
    assert (await relay.get()).status == 200
