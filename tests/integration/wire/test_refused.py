"""What must be refused is answered, never reaches the upstream, and ends the connection, not the process."""

import pytest

from tests.support.sidecar import Running
from tests.support.upstream import Upstream
from tests.support.wire_client import TruncatedError

HOST = b"Host: localhost\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def head(*lines: bytes, first: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join((first, b"Host: localhost", *lines, b"", b""))


def chunked(body: bytes) -> bytes:
    return head(b"Transfer-Encoding: chunked") + body


FRAMING = {
    "length and coding": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "coding and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "two equal lengths": head(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
    "two different lengths": head(b"Content-Length: 5", b"Content-Length: 0") + b"hello",
    "listed lengths": head(b"Content-Length: 5, 5") + b"hello",
    "signed length": head(b"Content-Length: +5") + b"hello",
    "negative length": head(b"Content-Length: -1"),
    "hexadecimal length": head(b"Content-Length: 0x5") + b"hello",
    "underscored length": head(b"Content-Length: 1_0") + b"helloworld",
    "broken length": head(b"Content-Length: 5 5") + b"hello",
    "empty length": head(b"Content-Length:"),
    "length in words": head(b"Content-Length: five") + b"hello",
    "length near 2^63": head(b"Content-Length: 9223372036854775807") + b"hello",
    "length over 2^64": head(b"Content-Length: 18446744073709551621") + b"hello",
    "gzip, chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked, chunked": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunked, identity": head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "identity": head(b"Transfer-Encoding: identity", b"Content-Length: 5") + b"hello",
    "gzip": head(b"Transfer-Encoding: gzip") + b"hello",
    "xchunked": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked with a parameter": head(b"Transfer-Encoding: chunked;q=1") + b"0\r\n\r\n",
    "quoted chunked": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "vertical tab before chunked": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "empty coding": head(b"Transfer-Encoding:") + b"0\r\n\r\n",
    "coding twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "coding and an unknown one": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: cow")
    + b"0\r\n\r\n",
    "coding in HTTP/1.0": head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0") + b"0\r\n\r\n",
}
FIELDS = {
    "folded": head(b"X-A: 1\r\n 2"),
    "folded with a tab": head(b"X-A: 1\r\n\t2"),
    "folded before the first": b"GET / HTTP/1.1\r\n X: 1\r\n" + HOST + b"\r\n",
    "NUL in a value": head(b"X-A: 1\x002"),
    "CR in a value": head(b"X-A: 1\r2"),
    "control in a value": head(b"X-A: 1\x012"),
    "delete in a value": head(b"X-A: 1\x7f2"),
    "bare LF": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: localhost\nX-A: 1\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: localhost\r\n\n",
    "bare CR as line end": b"GET / HTTP/1.1\rHost: localhost\r\r\r\n\r\n",
    "space before the colon": head(b"X-A : 1"),
    "tab before the colon": head(b"X-A\t: 1"),
    "space before the colon of a length": head(b"Content-Length : 5") + b"hello",
    "space in a name": head(b"X A: 1"),
    "no name": head(b": 1"),
    "no colon": head(b"X-A"),
    "bracket in a name": head(b"X[A]: 1"),
    "8-bit name": head(b"X-\xe4: 1"),
    "NUL in a name": head(b"X-\x00A: 1"),
}
HOSTS = {
    "missing": b"GET / HTTP/1.1\r\nX: 1\r\n\r\n",
    "twice": head(b"Host: localhost"),
    "twice, different": head(b"Host: 127.0.0.1"),
    "empty": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "two words": b"GET / HTTP/1.1\r\nHost: local host\r\n\r\n",
    "user": b"GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n",
    "path": b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n",
    "port in words": b"GET / HTTP/1.1\r\nHost: localhost:http\r\n\r\n",
    "list": b"GET / HTTP/1.1\r\nHost: localhost, localhost\r\n\r\n",
    "open bracket": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "8-bit": b"GET / HTTP/1.1\r\nHost: localh\xf6st\r\n\r\n",
}
TARGETS = {
    "fragment": b"/a#b",
    "space": b"/a b",
    "parent": b"/../a",
    "parent inside": b"/a/../b",
    "parent at the end": b"/a/..",
    "here": b"/a/./b",
    "here at the end": b"/a/.",
    "encoded parent": b"/a/%2e%2e/b",
    "half encoded parent": b"/a/.%2E/b",
    "other half encoded parent": b"/a/%2E./b",
    "encoded here": b"/a/%2e/b",
    "parent after an encoded slash": b"/a%2f../b",
    "parent before an encoded slash": b"/a/..%2Fb",
    "parent between encoded slashes": b"/a%2F%2e%2e%2Fb",
    "parent after a backslash": b"/a\\..\\b",
    "parent after an encoded backslash": b"/a%5c..%5Cb",
    "authority": b"localhost:80",
    "asterisk": b"*",
    "no slash": b"a/b",
    "8-bit": b"/\xe4",
    "delete": b"/\x7f",
    "control": b"/\x01",
    "tab": b"/a\tb",
    "other scheme": b"ftp://localhost/",
    "https scheme": b"https://localhost/",
    "user in absolute-form": b"http://user@localhost/",
    "no host in absolute-form": b"http:///a",
    "fragment in absolute-form": b"http://localhost/a#b",
    "parent in absolute-form": b"http://localhost/a/../b",
}
LINES = {
    "two spaces before the target": b"GET  / HTTP/1.1",
    "two spaces after the target": b"GET /  HTTP/1.1",
    "space at the end": b"GET / HTTP/1.1 ",
    "space at the start": b" GET / HTTP/1.1",
    "tab": b"GET\t/\tHTTP/1.1",
    "HTTP/0.9": b"GET /",
    "HTTP/1.2": b"GET / HTTP/1.2",
    "HTTP/1.10": b"GET / HTTP/1.10",
    "HTTP/2.0": b"GET / HTTP/2.0",
    "HTTP/0.9 spelled out": b"GET / HTTP/0.9",
    "lower-case version": b"GET / http/1.1",
    "RTSP/1.0": b"DESCRIBE / RTSP/1.0",
    "RTSP/1.0 with GET": b"GET / RTSP/1.0",
    "ICE/1.0": b"SOURCE / ICE/1.0",
    "no version number": b"GET / HTTP/",
    "a method that is no token": b"GE(T / HTTP/1.1",
    "a long method": b"A" * 65 + b" / HTTP/1.1",
    "lower-case TRACE": b"trace / HTTP/1.1",
    "no method": b"/ HTTP/1.1",
    "TRACE": b"TRACE / HTTP/1.1",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1",
    "CONNECT with a path": b"CONNECT / HTTP/1.1",
    "OPTIONS *": b"OPTIONS * HTTP/1.1",
    "NUL in the method": b"G\x00ET / HTTP/1.1",
    "HTTP/2 preface": b"PRI * HTTP/2.0",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
TABLE = {
    **{f"framing: {name}": raw for name, raw in FRAMING.items()},
    **{f"field: {name}": raw for name, raw in FIELDS.items()},
    **{f"host: {name}": raw for name, raw in HOSTS.items()},
    **{f"target: {name}": head(first=b"GET %s HTTP/1.1" % target) for name, target in TARGETS.items()},
    **{f"line: {name}": head(first=line) for name, line in LINES.items()},
}
METHOD_OR_VERSION = {400, 405, 501, 505}


async def expect_refused(relay: Running, upstream: Upstream, raw: bytes, statuses: set[int]) -> None:
    async with await relay.connect() as client:
        answer = await client.refused(raw)
    assert answer.status in statuses
    assert answer.values("Content-Type") == [b"application/problem+json"]
    assert upstream.requests == []
    assert (await relay.get(b"/good")).status == 200


@pytest.mark.parametrize("name", TABLE)
async def test_malformed_heads_are_refused(relay: Running, upstream: Upstream, name: str) -> None:
    """One answer, a closed connection, nothing upstream, not even what follows in the same segment."""
    statuses = METHOD_OR_VERSION if name.startswith("line: ") else {400}
    await expect_refused(relay, upstream, TABLE[name] + NEXT, statuses)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (head(b"X-A: " + b"a" * 200_000), 431),
        (head(*(b"X-%d: a" % number for number in range(5_000))), 431),
        (head(b"a" * 200_000 + b": 1"), 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 300_000, 431),
        (head(first=b"GET /" + b"a" * 100_000 + b" HTTP/1.1"), 414),
        (b"GET /" + b"a" * 300_000, 414),
    ],
    ids=["long value", "many fields", "long name", "endless value", "long target", "endless target"],
)
async def test_heads_have_limits(relay: Running, upstream: Upstream, raw: bytes, status: int) -> None:
    """Too much before the body is refused as soon as it is too much."""
    await expect_refused(relay, upstream, raw, {status})


async def test_empty_lines_before_a_request_are_few(relay: Running, upstream: Upstream) -> None:
    """An empty line before the request line is skipped (RFC 9112 section 2.2), an endless row is not."""
    assert (await relay.ask(b"\r\n" + NEXT)).status == 200
    async with await relay.connect() as client:
        try:
            answer = await client.refused(b"\r\n" * 100_000 + NEXT)
        except TruncatedError:
            return
        assert answer.status in {400, 431}
    assert len(upstream.requests) == 1


BODIES = {
    "size is no number": b"g\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-1\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "prefixed size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscored size": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "size over 2^64": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "endless size": b"0" * 100_000 + b"5\r\nhello\r\n0\r\n\r\n",
    "no end after the data": b"5\r\nhello0\r\n\r\n",
    "longer than it says": b"3\r\nhello\r\n0\r\n\r\n",
    "two other bytes after the data": b"5\r\nhelloXX0\r\n\r\n",
    "two line feeds after the data": b"5\r\nhello\n\n0\r\n\r\n",
    "two returns after the data": b"5\r\nhello\r\r0\r\n\r\n",
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "bare semicolon": b"5;\r\nhello\r\n0\r\n\r\n",
    "bracket in an extension": b"5;bad[=x\r\nhello\r\n0\r\n\r\n",
    "8-bit extension": b"5;\xe4\r\nhello\r\n0\r\n\r\n",
    "open quote in an extension": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "space after an extension": b"5;a \r\nhello\r\n0\r\n\r\n",
    "bare semicolon after the last size": b"5\r\nhello\r\n0;\r\n\r\n",
    "endless extension": b"5;" + b"a" * 400_000 + b"\r\nhello\r\n0\r\n\r\n",
    "many long extensions": (b"1;" + b"a" * 4_000 + b"\r\nh\r\n") * 500 + b"0\r\n\r\n",
    "folded trailer": b"0\r\nX-A: 1\r\n 2\r\n\r\n",
    "space before a trailer's colon": b"0\r\nX-A : 1\r\n\r\n",
    "NUL in a trailer": b"0\r\nX-A: \x00\r\n\r\n",
    "endless trailer": b"0\r\nX-A: " + b"a" * 400_000 + b"\r\n\r\n",
    "many trailers": b"0\r\n" + b"X-A: a\r\n" * 5_000 + b"\r\n",
}


@pytest.mark.parametrize("name", BODIES)
async def test_malformed_bodies_never_end_upstream(relay: Running, upstream: Upstream, name: str) -> None:
    """A body that breaks off into nonsense is answered so, and never a whole request upstream."""
    async with await relay.connect() as client:
        answer = await client.refused(chunked(BODIES[name]) + NEXT)
    assert answer.status in {400, 431}
    assert not any(received.whole for received in upstream.requests)
    assert [received.head.target for received in upstream.requests] in ([], [b"/"])
    assert (await relay.get(b"/good")).status == 200


async def test_what_precedes_a_malformed_request_is_answered(relay: Running, upstream: Upstream) -> None:
    """Good requests before the bad one get their answers, in order; then comes one refusal."""
    good = b"GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with await relay.connect() as client:
        await client.send(good + TABLE["framing: length and coding"] + NEXT)
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await client.ending() == "closed"
    assert [received.head.target for received in upstream.requests] == [b"/1", b"/2"]


@pytest.mark.parametrize(
    ("authority", "host", "status"),
    [
        (b"localhost", b"evil.example", 421),
        (b"evil.example", b"localhost", 421),
        (b"localhost", b"user@localhost", 400),
        (b"localhost", b"127.0.0.1", 200),
    ],
    ids=["foreign field", "foreign target", "malformed field", "both ours"],
)
async def test_host_and_an_absolute_target_must_both_be_ours(
    relay: Running, upstream: Upstream, authority: bytes, host: bytes, status: int
) -> None:
    """A page of a rebound name says so in Host, whatever it makes of the target."""
    answer = await relay.ask(b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, host))
    assert answer.status == status
    assert len(upstream.requests) == (status == 200)


async def test_an_unknown_expectation_is_refused(relay: Running, upstream: Upstream) -> None:
    """Only 100-continue is an expectation we can meet (RFC 9110 section 10.1.1)."""
    await expect_refused(relay, upstream, head(b"Expect: 200-maybe", b"Content-Length: 5") + b"hello", {417})


async def test_nothing_after_the_last_request_is_read(relay: Running, upstream: Upstream) -> None:
    """Bytes after a request that asked to close the connection are no request."""
    async with await relay.connect() as client:
        await client.send(b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + NEXT)
        answer = await client.answer()
        assert answer.values("Connection") == [b"close"]
        assert await client.ending() == "closed"
    assert [received.head.target for received in upstream.requests] == [b"/last"]
