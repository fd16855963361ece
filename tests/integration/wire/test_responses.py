"""What the client sees of an answer: the same bytes; and what of an upstream that breaks the rules."""

import sys
from collections.abc import Mapping

import pytest

from tests.support.clock import settle
from tests.support.sidecar import Running, Start
from tests.support.upstream import OK, Exchange, Script, Upstream, closing, hang_up
from tests.support.wire_client import Fields, TruncatedError

HEADS = {
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
}


def without(fields: Fields, *names: bytes) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0].lower() not in names]


async def test_fields_arrive_byte_for_byte(relay: Running, upstream: Upstream) -> None:
    """Order, case, duplicates and 8-bit values are kept, and the status line's words."""
    upstream.script(
        b"HTTP/1.1 299 Quite \xe4 Reason\r\nSet-Cookie: a=1\r\nset-cookie:b=2\r\nX-Empty:\r\n"
        b"X-8bit:  \xff\t \r\n"
        b"Content-Encoding: gzip\r\nContent-LENGTH: 4\r\nDate: today\r\nServer: them\r\n\r\n"
        b"\x1f\x8b\x00\r"
    )
    answer = await relay.get()
    assert answer.head.line == b"HTTP/1.1 299 Quite \xe4 Reason"
    assert answer.head.fields == (
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"X-Empty", b""),
        (b"X-8bit", b"\xff"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-LENGTH", b"4"),
        (b"Date", b"today"),
        (b"Server", b"them"),
    )
    assert answer.body == b"\x1f\x8b\x00\r"


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.0 200 OK"])
async def test_the_status_line_is_ours(relay: Running, upstream: Upstream, line: bytes) -> None:
    """It says HTTP/1.1 and has both its spaces, whatever the upstream's looked like (RFC 9112 section 4)."""
    upstream.script(closing(line + b"\r\nContent-Length: 2\r\n\r\nok"))
    answer = await relay.get()
    assert (answer.status, answer.body) == (200, b"ok")


async def test_fields_of_the_connection_stay_on_it(relay: Running, upstream: Upstream) -> None:
    """Hop-by-hop fields, and those Connection names, do not reach the client."""
    upstream.script(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
        b"Proxy-Connection: keep-alive\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n"
    )
    answer = await relay.get()
    assert without(answer.head.fields, b"connection") == [(b"X-Kept", b"1"), (b"Content-Length", b"0")]


@pytest.mark.parametrize("code", [200, 201, 206, 302, 400, 401, 404, 418, 429, 500, 503, 599, 999])
async def test_statuses_are_relayed(relay: Running, upstream: Upstream, code: int) -> None:
    """No status is our business on a route without a token."""
    upstream.script(b"HTTP/1.1 %d Whatever\r\nRetry-After: 5\r\nContent-Length: 3\r\n\r\nyes" % code)
    answer = await relay.get()
    assert (answer.status, answer.body, answer.values("Retry-After")) == (code, b"yes", [b"5"])


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"],
)
@pytest.mark.parametrize("body", [b"", b"hello", b"a" * 300_000])
async def test_a_body_may_end_with_the_connection(
    relay: Running, upstream: Upstream, raw: bytes, body: bytes
) -> None:
    """A close-delimited answer reaches the client whole, with an end that it can detect."""
    upstream.script(closing(raw + body))
    assert (await relay.get()).body == body


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b'1;ext\r\nh\r\n04;a="b"\r\nello\r\n000\r\n\r\n', b"hello"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (300_000, b"b" * 300_000), b"b" * 300_000),
    ],
    ids=["empty", "one", "extensions", "both cases", "large"],
)
async def test_chunked_answers_are_relayed(
    relay: Running, upstream: Upstream, chunks: bytes, body: bytes
) -> None:
    """Chunks arrive as data; extensions do not."""
    upstream.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    async with await relay.connect() as client:
        assert (await client.ask(relay.request(b"GET", b"/"))).body == body
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
    assert upstream.connections == 1


async def test_trailers_are_relayed_but_none_that_matter(relay: Running, upstream: Upstream) -> None:
    """Fields that frame or belong to the connection are no trailers."""
    upstream.script(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        b"X-Sum: 1\r\nTrailer: X\r\nWWW-Authenticate: Basic\r\nConnection: close\r\nX-sum: 2\r\n\r\n"
    )
    answer = await relay.get()
    assert answer.trailers == ((b"X-Sum", b"1"), (b"X-sum", b"2"))


@pytest.mark.parametrize("name", HEADS)
async def test_answers_without_a_body(relay: Running, upstream: Upstream, name: str) -> None:
    """204 and 304 end with their head, whatever their fields say; the connection goes on."""
    upstream.script(HEADS[name])
    async with await relay.connect() as client:
        answer = await client.ask(relay.request(b"GET", b"/"))
        assert (answer.status, answer.body) == (int(name[:3]), b"")
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
    assert upstream.connections == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 5000000", b"Transfer-Encoding: chunked", b"X: none"])
async def test_an_answer_to_head_has_no_body(relay: Running, upstream: Upstream, framing: bytes) -> None:
    """The fields of an answer to HEAD describe a body that does not come."""
    upstream.script(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % framing)
    async with await relay.connect() as client:
        answer = await client.ask(relay.request(b"HEAD", b"/"), "HEAD")
        name, _, value = framing.partition(b": ")
        if name == b"Content-Length":
            assert answer.values("Content-Length") == [value]
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"


async def test_interim_answers_are_relayed(relay: Running, upstream: Upstream) -> None:
    """103 reaches the client before the final answer, its fields kept, as often as it comes."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: X\r\nX: 1\r\n\r\n"
    upstream.script(hints + hints + b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
    answer = await relay.get()
    assert [head.status for head in answer.interim] == [103, 103, 102]
    assert without(answer.interim[0].fields, b"connection") == [(b"Link", b"</a>; rel=preload")]
    assert answer.body == b"ok"


async def test_a_client_of_http_1_0_gets_no_interim_answers(relay: Running, upstream: Upstream) -> None:
    """HTTP/1.0 does not know them (RFC 9110 section 15.2)."""
    upstream.script(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    answer = await relay.ask(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert (answer.interim, answer.body) == ((), b"ok")


BROKEN = {
    "garbage": b"garbage\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.0\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status in words": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "two different lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length in words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "length over 2^64": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "NUL in a field": b"HTTP/1.1 200 OK\r\nX: 1\x00\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "head cut short": b"HTTP/1.1 200 OK\r\nContent-Le",
    "endless field": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 400_000,
    "nothing": b"",
    "101 nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "an endless row of interim answers": b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BROKEN)
async def test_malformed_answers_are_502(relay: Running, upstream: Upstream, name: str) -> None:
    """What we cannot read for certain is not relayed, and the upstream's connection is not used again."""
    upstream.script(*[closing(BROKEN[name])] * 3)
    async with await relay.connect() as client:
        answer = await client.ask(relay.request(b"POST", b"/", b"Content-Length: 0"))
        assert answer.status == 502
        assert answer.values("Content-Type") == [b"application/problem+json"]
        assert b"sidecar" in b"".join(answer.values("Proxy-Status"))
        upstream.scripts.clear()
    assert (await relay.get()).status == 200
    assert upstream.requests[0].connection != upstream.requests[-1].connection


async def truncated(exchange: Exchange, start: bytes, *, hard: bool) -> None:
    await exchange.read()
    await exchange.send(start)
    exchange.reset() if hard else exchange.close()


STARTS = {
    "sized": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "large sized": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 200_000,
    "chunked, between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunked, inside a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhello",
    "chunked, inside the trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1",
    "chunked, no end after the data": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    "chunked, bare semicolon": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0;\r\n\r\n",
    "chunked, bracket in an extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;bad[=x\r\nhello\r\n",
    "chunked, 8-bit extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;\xe4\r\nhello\r\n",
    "chunked, nonsense": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
}


@pytest.mark.parametrize("hard", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("name", STARTS)
async def test_a_truncated_answer_never_ends_cleanly(
    sidecar: Start, plain: Mapping[str, object], upstream: Upstream, name: str, *, hard: bool
) -> None:
    """The client can detect that it has not got everything, and the log shows whose fault that was."""

    async def script(exchange: Exchange) -> None:
        await truncated(exchange, STARTS[name], hard=hard)

    upstream.script(script)
    async with sidecar(plain) as relay:
        async with await relay.connect() as client:
            await client.send(relay.request(b"POST", b"/", b"Content-Length: 0"))
            try:
                answer = await client.answer()
            except TruncatedError:
                pass
            else:
                assert answer.status == 502
        assert (await relay.get()).status == 200
    assert [line["error"] for line in relay.events("request")] == ["upstream_malformed", ""]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_reset_is_not_the_end_of_a_body(relay: Running, upstream: Upstream, version: bytes) -> None:
    """A close-delimited answer whose connection is reset is truncated, also for HTTP/1.0 clients."""

    async def script(exchange: Exchange) -> None:
        await truncated(exchange, b"HTTP/1.1 200 OK\r\n\r\nhello", hard=True)

    upstream.script(script)
    async with await relay.connect() as client:
        await client.send(b"POST / HTTP/%s\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % version)
        with pytest.raises(TruncatedError) as truncation:
            await client.answer()
        assert version == b"1.1" or truncation.value.reset


@pytest.mark.parametrize("ending", [b"rubbish", OK, b"\r\n\r\n"], ids=["rubbish", "answer", "empty lines"])
async def test_what_follows_an_answer_is_nobodys(relay: Running, upstream: Upstream, ending: bytes) -> None:
    """Bytes after an answer never become the next request's answer."""
    upstream.script(OK + ending)
    async with await relay.connect() as client:
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
        upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"mine"


async def test_connections_to_the_upstream_are_used_again(relay: Running, upstream: Upstream) -> None:
    """One after the other, requests share a connection, unless the upstream ends it."""
    for _ in range(3):
        await relay.get()
    upstream.script(closing(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"))
    async with await relay.connect() as client:
        for _ in range(2):
            assert (await client.ask(relay.request(b"GET", b"/"))).status == 200
    assert [received.connection for received in upstream.requests] == [1, 1, 1, 1, 2]


Retry = tuple[bytes, Script, int, int]
RETRIES: dict[str, Retry] = {
    "GET, nothing received": (b"GET", hang_up, 200, 3),
    "PUT, nothing received": (b"PUT", hang_up, 200, 3),
    "DELETE, nothing received": (b"DELETE", hang_up, 200, 3),
    "POST, nothing received": (b"POST", hang_up, 502, 2),
    "PATCH, nothing received": (b"PATCH", hang_up, 502, 2),
    "GET, a byte received": (b"GET", closing(b"H"), 502, 2),
    "GET, an interim answer received": (b"GET", closing(b"HTTP/1.1 103 Early Hints\r\n\r\n"), 502, 2),
}


@pytest.mark.parametrize("name", RETRIES)
async def test_a_dead_pooled_connection_is_retried_once(
    relay: Running, upstream: Upstream, name: str
) -> None:
    """Only where sending twice is harmless: an idempotent method, and no byte of an answer."""
    method, script, status, count = RETRIES[name]
    await relay.get()
    upstream.script(script)
    answer = await relay.ask(relay.request(method, b"/", b"Content-Length: 5") + b"hello")
    assert answer.status == status
    assert len(upstream.requests) == count
    assert {bytes(received.body) for received in upstream.requests[1:]} == {b"hello"}
    assert sys.exception() is None  # compiled coroutines share the thread's


async def test_a_new_connection_is_not_retried(relay: Running, upstream: Upstream) -> None:
    """An upstream that hangs up on a fresh connection said no."""
    upstream.script(hang_up)
    assert (await relay.get()).status == 502
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_idle_connections_the_upstream_closed_are_not_used(
    relay: Running, upstream: Upstream, method: bytes
) -> None:
    """A pooled connection that ended while idle makes no request fail."""
    async with await relay.connect() as client:
        await client.ask(relay.request(b"GET", b"/"))
        upstream.drop()
        await settle()
        assert (await client.ask(relay.request(method, b"/", b"Content-Length: 0"))).status == 200
