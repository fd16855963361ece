"""What public conformance probes send: the inputs of Http11Probe that must be refused, and the cases of h1spec.

Those that `test_refused` has already are not repeated.
"""

import pytest

from tests.support.sidecar import Running
from tests.support.upstream import Upstream

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def two_lengths(length: bytes, coding: bytes = CHUNKED, inner: bytes = NEXT) -> bytes:
    """A request that one reader ends before `inner`, and another behind it."""
    body = b"0\r\n\r\n" + inner
    return POST + coding + b"Content-Length: %b\r\n\r\n%b" % (length.replace(b"N", b"%d" % len(body)), body)


HTTP11PROBE = {
    # request line
    "no target": b"GET HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no target, two spaces": b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no minor version": b"GET / HTTP/1\r\nHost: localhost\r\n\r\n",
    "zeros in the version": b"GET / HTTP/01.01\r\nHost: localhost\r\n\r\n",
    "a space in the version": b"GET / HTTP/ 1.1\r\nHost: localhost\r\n\r\n",
    "a return in the request line": b"GET / HTTP/1.1\rHost: localhost\r\n\r\n",
    "a tab after the method": b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in the target": b"GET /\x00test HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "UTF-8 in the target": b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "overlong UTF-8 in the target": b"GET /\xc0\xaf HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a fragment": b"GET /path#frag HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET *": b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long method": b"A" * 100_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "blanks alone": b"   \r\n\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "garbage": bytes(range(0x80, 0x100)) + b"\r\n\r\n",
    "TRACE with a body": b"TRACE / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
    # fields
    "blanks in place of a field": b"GET / HTTP/1.1\r\n \r\nHost: localhost\r\n\r\n",
    "controls in a value": GET + b"X-Test: abc\x07\x08\x0bdef\r\n\r\n",
    "UTF-8 in a name": GET + b"X-T\xc3\xabst: value\r\n\r\n",
    "a tab in a name": POST + b"Content-Length: 5\r\nContent\tLength: 9\r\n\r\nhello",
    "two hosts in one field": b"GET / HTTP/1.1\r\nHost: localhost, other.example.com\r\n\r\n",
    "an empty host": b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
    "another host in the target": b"GET http://other.example.com/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    # lengths
    "an octal length": POST + b"Content-Length: 0o5\r\n\r\nhello",
    "a length of minus zero": POST + b"Content-Length: -0\r\n\r\n",
    "different lengths in a list": POST + b"Content-Length: 5, 10\r\n\r\nhello",
    "three lengths in a list": POST + b"Content-Length: 5, 5, 5\r\n\r\nhello",
    "a second length with a space before its colon": POST
    + b"Content-Length: 5\r\nContent-Length : 4\r\n\r\nhello",
    # codings
    "chunked, gzip": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an empty coding first": POST + b"Transfer-Encoding: , chunked\r\nContent-Length: 5\r\n\r\nhello",
    "an empty coding last": POST + b"Transfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\nhello",
    "a form feed before the coding": POST
    + b"Transfer-Encoding: \x0cchunked\r\nContent-Length: 5\r\n\r\nhello",
    "NUL after the coding": POST + b"Transfer-Encoding: chunked\x00\r\nContent-Length: 5\r\n\r\nhello",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello",
    "a folded coding of OPTIONS": POST.replace(b"POST", b"OPTIONS")
    + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a coding with a space before its colon": POST
    + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello",
    "another word for identity": POST + b"Transfer-Encoding: nonsense\r\n\r\nhello",
    "a coding in HTTP/1.0 with a length": b"POST / HTTP/1.0\r\nHost: localhost\r\n"
    + CHUNKED
    + b"Content-Length: 5\r\n\r\nhello",
    # lengths and codings, with a request inside
    "a request behind both": two_lengths(b"N"),
    "a HEAD request behind both": two_lengths(
        b"N", inner=b"HEAD /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ),
    "a byte behind both": two_lengths(b"6", inner=b"X"),
    "a request behind both, the length signed": two_lengths(b"+N"),
    "a request behind both, the length with a letter": two_lengths(b"Nx"),
    "a request behind both, the coding folded": two_lengths(b"N", b"Transfer-Encoding:\r\n chunked\r\n"),
    "a request behind both, a space after the coding": two_lengths(b"N", b"Transfer-Encoding: chunked \r\n"),
    "a request behind both, the coding after a comma": two_lengths(b"N", b"Transfer-Encoding: , chunked\r\n"),
    "a request behind both, in capitals": two_lengths(b"N", b"Transfer-Encoding: Chunked\r\n"),
    "a request behind both, two codings": two_lengths(b"N", CHUNKED + b"Transfer-Encoding: identity\r\n"),
    "a request behind two lengths": two_lengths(b"N", b"Content-Length: 4\r\n"),
    "a request behind a longer length": two_lengths(b"30"),
}


@pytest.mark.parametrize("name", HTTP11PROBE)
async def test_s7_what_http11probe_wants_refused_reaches_no_upstream(
    relay: Running, upstream: Upstream, name: str
) -> None:
    """One refusal and the end of the connection, whatever is inside or follows."""
    async with await relay.connect() as client:
        answer = await client.refused(HTTP11PROBE[name] + NEXT)
    assert 400 <= answer.status < 600
    assert answer.values("Content-Type") == [b"application/problem+json"]
    assert upstream.requests == []


CHUNKS = {
    "size, then a return": b"5\rhello\r\n0\r\n\r\n",
    "more than the size": b"5\r\nhello!!\r\n0\r\n\r\n",
    "a size of 17 digits": b"FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n",
    "a size with a space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "a signed end": b"+0\r\n\r\nX",
    "NUL in an extension": b"5;\x00ext\r\nhello\r\n0\r\n\r\n",
    "a return in an extension": b"5;a\rX\r\nhello\r\n0\r\n\r\n",
    "64 KiB of extension": b"5;ext=" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n",
    "a line feed at the end": b"5\r\nhello\r\n0\r\n\n",
    "a letter for a size": b"Z\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
async def test_s7_its_malformed_chunks_end_no_request_upstream(
    relay: Running, upstream: Upstream, name: str
) -> None:
    """The head may have gone, a whole request never."""
    async with await relay.connect() as client:
        answer = await client.refused(POST + CHUNKED + b"\r\n" + CHUNKS[name] + NEXT)
    assert answer.status == 400
    assert not any(received.whole for received in upstream.requests)
    assert {received.head.target for received in upstream.requests} <= {b"/"}


WHOLE = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_s7_h1spec_a_fragment_is_waited_on(relay: Running, upstream: Upstream) -> None:
    """At whatever byte a request is cut, it is answered when the rest is here."""
    for end in range(1, len(WHOLE)):
        async with await relay.connect() as client:
            await client.send_in_pieces(WHOLE[:end], WHOLE[end:])
            assert (await client.answer()).status == 200
    assert {received.head.target for received in upstream.requests} == {b"/hello"}


ACCEPTED = {
    "GET": (GET + b"\r\n", b""),
    "blanks and empty values": (b"GET / HTTP/1.1\r\nhoSt:\tlocalhost\r\nempty:\r\n\r\n", b""),
    "an empty value": (GET + b"X-Empty: \r\n\r\n", b""),
    "absolute-form": (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    "an expectation without a body": (GET + b"Expect: 100-continue\r\n\r\n", b""),
    "a sized body": (POST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "a chunked body": (POST + CHUNKED + b"\r\nc\r\nHellO world1\r\n0\r\n\r\n", b"HellO world1"),
    "a long target": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    "a hundred fields": (
        GET + b"".join(b"X-H-%d: value\r\n" % number for number in range(101)) + b"\r\n",
        b"",
    ),
    "a long field": (GET + b"X-Big: " + b"x" * 9_000 + b"\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_s7_h1spec_what_is_valid_is_relayed(relay: Running, upstream: Upstream, name: str) -> None:
    """Twice on one connection."""
    raw, body = ACCEPTED[name]
    async with await relay.connect() as client:
        for _ in range(2):
            assert (await client.ask(raw)).status == 200
    assert [bytes(received.body) for received in upstream.requests] == [body, body]


REFUSED = {
    "no version": b"GET / \r\n\r\n",
    "no version, with fields": b"GET /\r\nHost: localhost\r\n\r\n",
    "brackets in a name": GET + b"X-Invalid[]: test\r\n\r\n",
    "no host, but a length": b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    "two hosts": GET + b"Host: example.org\r\n\r\n",
    "a host of two words": b"GET / HTTP/1.1\r\nHost: bad host\r\n\r\n",
    "a folded host": b"GET / HTTP/1.1\r\nHost: localhost\r\n  continued\r\n\r\n",
    "a space before the colon of the host": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "NUL in the host": b"GET / HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
    "a negative length that overflows": GET + b"Content-Length: -123456789123456789123456789\r\n\r\n",
    "a length of letters": GET + b"Content-Length: abc\r\n\r\n",
    "a bell in a value": GET + b"X-Bad-Control-Char: test\x07\r\n\r\n",
    "something before the method": b"Extra line" + GET + b"\r\n",
    "a return after the fields": GET + b"\rSome-Header: Test\r\n\r\n",
    "length and coding in mixed case": POST
    + b"content-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n",
    "on purpose: OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "on purpose: CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_s7_h1spec_what_is_invalid_is_refused(relay: Running, upstream: Upstream, name: str) -> None:
    """And `OPTIONS *` and CONNECT, which name no resource of the upstream's."""
    async with await relay.connect() as client:
        answer = await client.refused(REFUSED[name] + NEXT)
    assert 400 <= answer.status < 500
    assert upstream.requests == []
