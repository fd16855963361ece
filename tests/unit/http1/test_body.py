"""Where bodies end, however their bytes are cut up on the way."""

from collections.abc import Iterable
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import MessageMalformed
from sidecar.http1.body import Body, ChunkedBody, SizedBody, UntilCloseBody, body_of
from sidecar.http1.headers import CHUNKED, UNTIL_CLOSE

NEXT = b"GET /next HTTP/1.1\r\n"

Read = tuple[bytes, bytes | None, list[bytes]]


def read(body: Body, pieces: Iterable[bytes]) -> Read:
    """Feed the pieces until the body ends: its content, all that follows it, and its trailers."""
    content, rest = b"", None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        found, rest = body.feed(piece)
        content += b"".join(found)
    return content, rest, body.trailers


def cuts(data: bytes) -> list[list[bytes]]:
    """The data in two parts, cut at every place, and byte by byte."""
    return [[data[:at], data[at:]] for at in range(1, len(data))] + [
        [data[at : at + 1] for at in range(len(data))]
    ]


CHUNKED_BODIES = {
    "empty": (b"0\r\n\r\n", b"", []),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "two chunks": (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", []),
    "upper-case size": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", []),
    "lower-case size": (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", []),
    "leading zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"hello", []),
    "extensions": (b'5;a;b=c;d="e f"\r\nhello\r\n0;last\r\n\r\n', b"hello", []),
    "space before an extension": (b"5 ;a\r\nhello\r\n0\t;a\r\n\r\n", b"hello", []),
    "space around an extension's parts": (b'5 \t; a \t=\t b ; c = "d"\r\nhello\r\n0\r\n\r\n', b"hello", []),
    "an extension of any token": (b"5;!#$%&'*+-.^_`|~09az=AZ\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "an extension of digits": (b"5;6=7\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "quoted delimiters": (b'5;a="; b=\\"c\\\\";d\r\nhello\r\n0;e=""\r\n\r\n', b"hello", []),
    "quoted 8-bit text and tabs": (b'5;a="\xe4\t\\\xff"\r\nhello\r\n0\r\n\r\n', b"hello", []),
    "a long extension": (b"5;" + b"a" * 255 + b"\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "content like an end": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n", []),
    "content of line ends": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", []),
    "trailers": (b"2\r\nhi\r\n0\r\nX-A: 1\r\nx-b:2\r\n\r\n", b"hi", [b"X-A: 1", b"x-b:2"]),
    "trailers of nothing": (b"0\r\nX-A: 1\r\n\r\n", b"", [b"X-A: 1"]),
}


@pytest.mark.parametrize("name", CHUNKED_BODIES)
@pytest.mark.parametrize("follows", [b"", NEXT, b"\r\n"], ids=["nothing", "a request", "an empty line"])
def test_chunks_are_read_alike_however_they_are_cut(name: str, follows: bytes) -> None:
    """At once, in two parts cut at every place, byte by byte: the same content, rest and trailers."""
    wire, content, trailers = CHUNKED_BODIES[name]
    data = wire + follows
    expected = (content, follows, trailers)
    assert read(ChunkedBody(), [data]) == expected
    for pieces in cuts(data):
        assert read(ChunkedBody(), pieces) == expected, pieces


@pytest.mark.parametrize("name", CHUNKED_BODIES)
def test_chunks_do_not_end_early(name: str) -> None:
    """Only the last byte of the wire ends the body; an end of the connection never does."""
    wire, content, _ = CHUNKED_BODIES[name]
    for end in range(len(wire)):
        body = ChunkedBody()
        found, rest, trailers = read(body, [wire[:end]])
        assert rest is None
        assert trailers == []
        assert content.startswith(found)
        assert not body.ends_with_connection()


MALFORMED = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "not hexadecimal": b"g\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "minus": b"-5\r\nhello\r\n",
    "underscore": b"1_0\r\n0123456789abcdef\r\n",
    "space before the size": b" 5\r\nhello\r\n",
    "space after the size": b"5 \r\nhello\r\n",
    "16 digits": b"0000000000000005\r\nhello\r\n",
    "an overflow": b"ffffffffffffffffff\r\n",
    "LF only after the size": b"5\nhello\r\n0\r\n\r\n",
    "CR only after the size": b"5\rhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;\x00\r\nhello\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n",
    "a comma for a semicolon": b"5,a\r\nhello\r\n",
    "an endless extension": b"5;" + b"a" * 300,
    "a long extension": b"5;" + b"a" * 300 + b"\r\nhello\r\n",
    "content longer than its size": b"4\r\nhello\r\n0\r\n\r\n",
    "content shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "LF only after the content": b"5\r\nhello\n0\r\n\r\n",
    "CR only after the content": b"5\r\nhello\r0\r\n\r\n",
    "no end of the content": b"5\r\nhello0\r\n\r\n",
    "LF only after the last chunk": b"0\n\n",
    "a folded trailer": b"0\r\nA: 1\r\n b\r\n\r\n",
    "a trailer without a colon": b"0\r\nrubbish\r\n\r\n",
    "a trailer with a space before its colon": b"0\r\nA : 1\r\n\r\n",
    "a trailer with LF only": b"0\r\nA: 1\nB: 2\r\n\r\n",
    "a trailer with NUL": b"0\r\nA: \x00\r\n\r\n",
    "a request where trailers should be": b"0\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "long trailers": b"0\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    "endless trailers": b"0\r\nA: " + b"a" * 9000,
}


EXTENSIONS = {
    "a semicolon alone": b";",
    "semicolon and space": b"; ",
    "two semicolons": b";;a",
    "semicolons between spaces": b" ; ;a",
    "a semicolon at the end": b";a;",
    "a space at the end": b";a ",
    "a tab after a value": b";a=b\t",
    "a space in a name": b";a b",
    "a space in a value": b";a=b c",
    "a bracket in a name": b";bad[=x",
    "a bracket in a value": b";a=[x]",
    "no name": b";=x",
    "no value": b";a=",
    "no value before the next": b";a=;b=c",
    "two equals signs": b";a==b",
    "two values": b";a=b=c",
    "a comma": b";a,b",
    "a colon": b";a:b",
    "a slash": b";a/b",
    "8 bits in a name": b";\xe4",
    "8 bits in a value": b";a=\xe4",
    "a quoted name": b';"a"',
    "a quote that is not closed": b';a="b',
    "an escaped quote at the end": b';a="b\\"',
    "a backslash at the end": b';a="b\\',
    "a quote in a value": b';a=b"c"',
    "text after a quote": b';a="b"c',
    "a single quote is no quote": b";a='b c'",
    "a NUL": b";a\x00",
    "a quoted NUL": b';a="\x00"',
    "an escaped NUL": b';a="\\\x00"',
    "a quoted delete": b';a="\x7f"',
    "a control": b";a=\x01",
    "a vertical tab before the semicolon": b"\x0b;a",
    "a return in a name": b";a\rb",
    "a return at the end": b";a\r",
    "a quoted return": b';a="\r"',
    "a line feed in a name": b";a\nb",
    "a quoted line feed": b';a="\n"',
    "a quoted line end": b';a="\r\n"',
    "an escaped line end": b';a="\\\r\n"',
}
"""What may not follow a chunk's size."""


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("name", EXTENSIONS)
def test_s7_extensions_outside_the_grammar_are_malformed(name: str, *, last: bool) -> None:
    """RFC 9112 section 7.1.1, for each chunk and however it is cut."""
    line = (b"5\r\nhello\r\n0%b\r\n\r\n" if last else b"5%b\r\nhello\r\n0\r\n\r\n") % EXTENSIONS[name]
    for pieces in ([line], *cuts(line)):
        with pytest.raises(MessageMalformed):
            read(ChunkedBody(), pieces)


@pytest.mark.parametrize("piece", [b";a", b" ;", b'"', b"\\", b" ", b";a=b", b';a="', b'\\"', b'";'])
def test_s7_no_size_line_takes_long_to_judge(piece: bytes) -> None:
    """Nested repetition is what makes patterns slow: as many steps as bytes, for the longest line that is read."""
    for start in (b"5", b"5;a", b'5;a="'):
        line = (start + piece * 300)[:260] + b"\x00\r\n"
        began = process_time()
        for _ in range(10):
            with pytest.raises(MessageMalformed):
                ChunkedBody().feed(line)
        assert process_time() - began < 1


@pytest.mark.parametrize(
    "trailers",
    [b"\n", b"\n\n", b"A: 1\n", b"A: 1\n\n", b"A: 1\r\n\n", b"A: 1\n\r\n", b"A: 1\r\nB: 2\n", b"\r\r\n"],
)
def test_h2_trailers_with_bare_line_ends_are_malformed_at_once(trailers: bytes) -> None:
    """A peer that ends its lines so has sent all of the body: to wait for its end would be to wait for a time-out."""
    wire = b"5\r\nhello\r\n0\r\n" + trailers
    for pieces in ([wire], *cuts(wire)):
        with pytest.raises(MessageMalformed):
            read(ChunkedBody(), pieces)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_chunks_are_refused_however_they_are_cut(name: str) -> None:
    """No cut makes them good, and they never end the body: byte by byte, or of the long ones a few bytes at a time."""
    wire = MALFORMED[name]
    size = 1 + len(wire) // 1000
    for pieces in ([wire], [wire[at : at + size] for at in range(0, len(wire), size)]):
        with pytest.raises(MessageMalformed):
            read(ChunkedBody(), pieces)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=20), st.data())
def test_any_chunks_in_any_pieces(chunks: list[bytes], follows: bytes, data: st.DataObject) -> None:
    """Content and rest do not depend on chunks and cuts."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + follows
    places = data.draw(st.lists(st.integers(0, len(wire)), max_size=8).map(sorted))
    bounds = [0, *places, len(wire)]
    pieces = [wire[start:end] for start, end in pairwise(bounds)]
    assert read(ChunkedBody(), pieces) == (b"".join(chunks), follows, [])


@given(st.binary(max_size=60), st.data())
def test_rubbish_is_refused_or_read_alike(wire: bytes, data: st.DataObject) -> None:
    """Whatever comes, one cut more or less does not change what it means."""

    def outcome(pieces: list[bytes]) -> Read | None:
        try:
            return read(ChunkedBody(), pieces)
        except MessageMalformed:
            return None

    at = data.draw(st.integers(0, len(wire)))
    whole, cut = outcome([wire]), outcome([wire[:at], wire[at:]])
    assert whole == cut


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_sized_body_is_its_size(wire: bytes, data: st.DataObject) -> None:
    """So many bytes are content, the others follow."""
    size = data.draw(st.integers(1, len(wire)))
    for pieces in [[wire], *cuts(wire)]:
        body = SizedBody(size)
        assert read(body, pieces) == (wire[:size], wire[size:], [])
    assert not body.ends_with_connection()


@given(st.lists(st.binary(max_size=10)))
def test_a_body_until_the_close_is_everything(pieces: list[bytes]) -> None:
    """Nothing follows it, and an end of the connection is its own."""
    body = UntilCloseBody()
    assert read(body, pieces) == (b"".join(pieces), None, [])
    assert body.ends_with_connection()


def test_a_gigabyte_is_not_copied() -> None:
    """Content is handed on as the very bytes that were read."""
    piece = b"a" * 65_536
    for body in (SizedBody(1 << 30), UntilCloseBody()):
        found, _ = body.feed(piece)
        assert found[0] is piece


@pytest.mark.parametrize(
    ("length", "kind"), [(5, SizedBody), (CHUNKED, ChunkedBody), (UNTIL_CLOSE, UntilCloseBody)]
)
def test_a_length_tells_the_kind_of_body(length: int, kind: type) -> None:
    """As heads declare it."""
    assert isinstance(body_of(length), kind)
