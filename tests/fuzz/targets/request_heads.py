"""Heads of requests.

Oracles:

1. h11 and llhttp read the same method, target and fields from a head that is accepted.
2. No part of an accepted head is refused early, and what is refused early stays refused, wherever it is cut.
3. The head for the next hop is accepted by h11, has the same framing, the sidecar's Host and token once each, and
   nothing hop-by-hop.
4. That head, relayed again, is the same.
5. A head means the same after another head on its connection, and after itself.
"""

from contextlib import suppress

import h11
import httptools

from sidecar.core.errors import MessageMalformed, RequestRefused
from sidecar.http1.headers import CHUNKED, HOP_BY_HOP
from sidecar.http1.limits import MAX_HEAD
from sidecar.http1.message import Request, early_fault, parse_request
from sidecar.http1.next_hop import relayed_request
from tests.fuzz.target import Target, cuts
from tests.support.http1_readers import Field, lines, read_by_llhttp

TOKEN = b"Bearer fuzz"
BEFORE = parse_request(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
PARTS = ("method", "target", "host", "http10", "keep_alive", "length", "fields", "block", "notes")


def check(data: bytes) -> None:
    """Judge the head at the beginning of these bytes."""
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end] if end > 3 else data
    request = accepted(head) if end > 3 and len(head) <= MAX_HEAD else None
    check_prefixes(head[:-1] if end > 3 else head, whole=request is not None)
    if request is None:
        return
    check_reading(request, head)
    check_relayed(request)
    check_after(request, head)


def accepted(head: bytes, before: Request | None = None) -> Request | None:
    """Return the request, None if it is refused."""
    with suppress(RequestRefused):
        return parse_request(head, before)
    return None


def check_prefixes(partial: bytes, *, whole: bool) -> None:
    """Oracle 2."""
    for pieces in cuts(partial):
        held, judged, refused = b"", 0, False
        for piece in pieces:
            held += piece
            fault = early_fault(held, judged)
            assert not (whole and fault), f"refused early: {fault}"
            refused = refused or fault is not None
            if fault is None:
                judged = len(held)
        assert not refused or early_fault(partial) is not None, "a fault that a longer head does not have"


def check_reading(request: Request, head: bytes) -> None:
    """Oracle 1."""
    fields = lines(request.block)
    found = read_by_llhttp(httptools.HttpRequestParser, as_known(request, head))
    assert found == fields, "llhttp reads other fields"
    library = by_h11(head)
    if library is None:
        return
    assert (library.method, library.target) == (request.method, request.target)
    assert list(library.headers) == normalized(fields)
    assert library.http_version == (b"1.0" if request.http10 else b"1.1")


def normalized(fields: list[Field]) -> list[Field]:
    """Return the fields as h11 shows them."""
    lower = [(name.lower(), value) for name, value in fields]
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in lower]


def as_known(request: Request, head: bytes) -> bytes:
    """Return the head with a method that llhttp knows."""
    return b"GET" + head[len(request.method) :]


def by_h11(head: bytes) -> h11.Request | None:
    """Return what h11 reads, None if it refuses the head."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request), "h11 needs more bytes"
    return event


def check_relayed(request: Request) -> None:
    """Oracles 3 and 4."""
    written = relayed_request(request, b"/up?q", b"u:1", TOKEN)
    library = by_h11(written)
    assert library is not None, f"h11 refuses {written!r}"
    again = parse_request(written)
    assert (again.method, again.target, again.host) == (request.method, b"/up?q", b"u:1")
    assert again.length == request.length
    assert framing(library) == request.length
    names = [name for name, _ in library.headers]
    assert (names.count(b"host"), names.count(b"authorization")) == (1, 1)
    assert dict(library.headers)[b"authorization"] == TOKEN
    own = {b"transfer-encoding", b"connection", b"te", b"upgrade"}
    assert not (HOP_BY_HOP - own).intersection(names)
    assert relayed_request(again, b"/up?q", b"u:1", TOKEN) == reordered(written, again), (
        "relaying is not stable"
    )


def reordered(written: bytes, again: Request) -> bytes:
    """Return the head as it is written if the token is moved to its end: the fields keep their order."""
    kept: list[Field] = [pair for pair in lines(again.block) if pair[0].lower() != b"host"]
    mine = [name for name, _ in kept if name.lower() in HOP_BY_HOP | {b"authorization"}]
    assert mine[0] == b"Authorization", "a field of the sidecar's own precedes the token"
    return written


def framing(request: h11.Request) -> int:
    """Return the length that h11's fields announce."""
    fields = dict(request.headers)
    if b"transfer-encoding" in fields:
        return CHUNKED
    return int(fields.get(b"content-length", b"0"))


def check_after(request: Request, head: bytes) -> None:
    """Oracle 5."""
    for before in (BEFORE, request):
        after = parse_request(head, before)
        for part in PARTS:
            assert getattr(after, part) == getattr(request, part), part
    with suppress(RequestRefused, MessageMalformed):
        other = parse_request(b"GET /other HTTP/1.1" + head[head.find(b"\r\n") :])
        again = parse_request(head, other)
        for part in PARTS:
            assert getattr(again, part) == getattr(request, part), part


TARGET = Target(
    check,
    seeds=(
        b"GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: T\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"PUT http://h/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: X-A, close\r\nX-A: 1\r\nAuthorization: Basic a\r\n\r\n",
        b"QUERY / HTTP/1.1\r\nhOST:\th \r\nx:\r\nX: \xe9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\ntraceparent: 00-1-2-01\r\ntracestate: a=b\r\n\r\n",
    ),
    words=(
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"\x00",
            b" ",
            b"\t",
            b":",
            b": ",
            b",",
            b";",
            b" HTTP/1.1\r\n",
        ),
        *(
            b" HTTP/1.0\r\n",
            b"Host: h\r\n",
            b"Connection: ",
            b"close",
            b"keep-alive",
            b"Upgrade",
            b"websocket",
        ),
        *(
            b"Content-Length: 0\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"TE: trailers",
        ),
        *(
            b"Expect: 100-continue\r\n",
            b"Authorization: a\r\n",
            b"Origin: ",
            b"\r\n a",
            b"CONNECT ",
            b"TRACE ",
        ),
    ),
)
