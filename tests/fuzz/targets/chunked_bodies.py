"""Chunked bodies and their trailers.

Oracles:

1. All cuts of the same bytes yield the same: the same content, trailers and rest, or a fault, or neither yet.
2. What h11 and llhttp find in a body that is accepted is the same content.
3. A decoder holds no more than a size line and a trailer section, and no content that it has handed on.
4. The content, written in chunks of another size, is read back.
"""

import h11
import httptools

from sidecar.core.errors import MessageMalformed
from sidecar.http1.body import ChunkedBody
from sidecar.http1.next_hop import NEVER_TRAILERS, relayed_trailers
from tests.fuzz.target import Target, cuts
from tests.support.object_size import deep_size

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FEW = 2
"""Pieces after which the memory is measured, which takes long."""
MOST_HELD = 8 * 1024 + 512
"""A trailer section, or a size line; and a little for the objects."""

Read = tuple[bytes, list[bytes], bytes] | None
"""Content, trailers and what follows; None if the body has not ended."""


def read(pieces: list[bytes]) -> Read:
    """Decode a body in these pieces. Raises MessageMalformed."""
    body = ChunkedBody()
    content: list[bytes] = []
    for number, piece in enumerate(pieces):
        found, rest = body.feed(piece)
        content += found
        if rest is not None:
            return b"".join(content), body.trailers, rest + b"".join(pieces[number + 1 :])
        assert len(pieces) > FEW or deep_size(body) <= MOST_HELD, "too much is held"
    assert not body.ends_with_connection()
    return None


def judged(pieces: list[bytes]) -> Read | str:
    """Return what is read, or "malformed"."""
    try:
        return read(pieces)
    except MessageMalformed:
        return "malformed"


def check(data: bytes) -> None:
    """Decode the bytes as a body and what follows it."""
    whole = judged([data])
    for pieces in cuts(data):
        assert judged(pieces) == whole, f"cut in {len(pieces)} pieces"
    if whole is None or isinstance(whole, str):
        return
    content, trailers, rest = whole
    body = data[: len(data) - len(rest)]
    assert by_h11(body) in (content, None), "h11 reads other content"
    assert by_llhttp(body) in (content, None), "llhttp reads other content"
    kept = relayed_trailers(trailers)
    assert all(line.partition(b":")[0].decode().lower() not in NEVER_TRAILERS for line in kept)
    for size in (1, 1000):
        assert read([written(content, kept, size)]) == (content, kept, b"")


def written(content: bytes, trailers: list[bytes], size: int) -> bytes:
    """Return the body in chunks of this size."""
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"".join(
        (b"0\r\n", *(line + b"\r\n" for line in trailers), b"\r\n")
    )


def by_h11(body: bytes) -> bytes | None:
    """Return the content that h11 reads, None if it refuses the body."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=b"GET", target=b"/", headers=[(b"Host", b"h")]))
    connection.receive_data(HEAD + body)
    content = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "h11 needs more bytes"
            content += bytes(event.data) if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return None
    return content


class _Listener:
    """What llhttp reads."""

    def __init__(self) -> None:
        self.content = b""
        self.complete = False

    def on_body(self, content: bytes) -> None:
        """Take content."""
        self.content += content

    def on_message_complete(self) -> None:
        """Note the end."""
        self.complete = True


def by_llhttp(body: bytes) -> bytes | None:
    """Return the content that llhttp reads, None if it refuses the body."""
    listener = _Listener()
    try:
        httptools.HttpResponseParser(listener).feed_data(HEAD + body)
    except httptools.HttpParserError:
        return None
    assert listener.complete, "llhttp needs more bytes"
    return listener.content


TARGET = Target(
    check,
    seeds=(
        b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
        b'3;a=b;c="d\\"e"\r\nabc\r\n00002 ; x\r\nde\r\n0;y\r\nT: 1\r\nAge: 2\r\n\r\n',
        b"0\r\nContent-Length: 5\r\nTE: a\r\nX: \xe9\r\n\r\n",
        b"fffffffffffffff\r\n",
        b"A\r\n0123456789\r\n0\r\n",
    ),
    words=(
        *(
            b"\r\n",
            b"0\r\n\r\n",
            b"0\r\n",
            b"1\r\nx\r\n",
            b"\n",
            b"\r",
            b";",
            b'="',
            b'"',
            b"\\",
            b"=",
            b" ",
            b"\t",
        ),
        *(
            b"\x00",
            b"ffffffffffffffff",
            b"T: 1\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"\r\n ",
            b"0x1",
            b"+1",
            b"-1",
        ),
    ),
)
