"""Heads of answers. The first byte of an input chooses the request's method and version.

Oracles:

1. h11 and llhttp read the same status and fields from a head that is accepted.
2. No part of an accepted head is refused early, wherever it is cut.
3. h11, as the client, accepts the head that is relayed, and finds the same framing; nothing hop-by-hop is left.
4. A head means the same after another head on its connection, and after itself.
"""

from contextlib import suppress

import h11
import httptools

from sidecar.core.errors import MessageMalformed
from sidecar.http1.foreign import check_beginning
from sidecar.http1.headers import CHUNKED, HOP_BY_HOP, UNTIL_CLOSE
from sidecar.http1.limits import MAX_HEAD
from sidecar.http1.message import Response, parse_request, parse_response
from sidecar.http1.next_hop import relayed_interim, relayed_response
from tests.fuzz.target import Target, cuts
from tests.fuzz.targets.request_heads import normalized
from tests.support.http1_readers import lines, read_by_llhttp

METHODS = (b"GET", b"HEAD", b"POST")
PARTS = ("status", "judged", "status_line", "keep_alive", "length", "fields", "method")
BEFORE = parse_response(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", b"GET")


def check(data: bytes) -> None:
    """Judge the head at the beginning of these bytes."""
    choice, data = data[:1], data[1:]
    method = METHODS[choice[0] % len(METHODS)] if choice else b"GET"
    http10 = bool(choice) and choice[0] >= 128
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end] if end > 3 else data
    response = accepted(head, method) if end > 3 and len(head) <= MAX_HEAD else None
    check_prefixes(head[:-1] if end > 3 else head, whole=response is not None)
    if response is None:
        return
    check_reading(response, head, method)
    check_relayed(response, method, http10=http10)
    for before in (BEFORE, response, accepted(head, b"PUT")):
        after = parse_response(head, method, before)
        assert [getattr(after, part) for part in PARTS] == [getattr(response, part) for part in PARTS]


def accepted(head: bytes, method: bytes) -> Response | None:
    """Return the answer, None if it is malformed."""
    with suppress(MessageMalformed):
        return parse_response(head, method)
    return None


def check_prefixes(partial: bytes, *, whole: bool) -> None:
    """Oracle 2."""
    for pieces in cuts(partial):
        held, judged = b"", 0
        for piece in pieces:
            held += piece
            if refused_early(held, judged):
                assert not whole, "refused early"
                break
            judged = max(0, len(held) - 3)  # as the connection counts


def refused_early(held: bytes, judged: int) -> bool:
    """Return whether a part of a head is refused."""
    try:
        check_beginning(held, judged)
    except MessageMalformed:
        return True
    return False


def by_h11(head: bytes, method: bytes) -> h11.Response | h11.InformationalResponse | None:
    """Return what h11 reads as the client, None if it refuses the head."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(
        h11.Request(method=method, target=b"/", headers=[(b"Host", b"h"), (b"Upgrade", b"websocket")])
    )
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Response | h11.InformationalResponse), "h11 needs more bytes"
    return event


def check_reading(response: Response, head: bytes, method: bytes) -> None:
    """Oracle 1."""
    fields = lines(head[head.find(b"\r\n") : -4])
    assert read_by_llhttp(httptools.HttpResponseParser, head) == fields, "llhttp reads other fields"
    library = by_h11(head, method)
    if library is not None:
        assert library.status_code == response.status
        assert list(library.headers) == normalized(fields)


def check_relayed(response: Response, method: bytes, *, http10: bool) -> None:
    """Oracle 3."""
    if response.status == 101:
        return  # what follows is a tunnel
    if response.status < 200:
        interim = by_h11(relayed_interim(response), method)
        assert isinstance(interim, h11.InformationalResponse)
        assert not HOP_BY_HOP.intersection(name for name, _ in interim.headers)
        return
    request = parse_request(b"%b / HTTP/1.%d\r\nHost: h\r\n\r\n" % (method, not http10))
    written, declared = relayed_response(response, request, close=False)
    library = by_h11(written, method)
    assert isinstance(library, h11.Response), f"h11 refuses {written!r}"
    assert library.status_code == response.status
    fields = dict(library.headers)
    assert not (HOP_BY_HOP - {b"transfer-encoding", b"connection"}).intersection(fields)
    bodiless = method == b"HEAD" or response.status in (204, 304)
    if bodiless:
        assert declared == 0
    elif b"transfer-encoding" in fields:
        assert declared == CHUNKED
    elif b"content-length" in fields:
        assert declared == int(fields[b"content-length"]) == response.length
    else:
        assert declared == UNTIL_CLOSE
    assert declared != UNTIL_CLOSE or fields[b"connection"] == b"close"
    read = parse_response(written, method)
    assert read.length == (declared if not bodiless else 0)


TARGET = Target(
    check,
    seeds=(
        b"\x01HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"\x00HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n",
        b"\x02HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x00HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
        b"\x00HTTP/1.1 204 No Content\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
        b"\x01HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"\x80HTTP/1.0 200\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nContent-Length: 1\r\n\r\n",
        b"\x00HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n",
        b"\x00HTTP/1.1 401 \xe9\r\nWWW-Authenticate: Bearer\r\nConnection: close, x-a\r\nx-a:b\r\n\r\n",
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
            b"HTTP/1.1 ",
            b"HTTP/1.0 ",
            b"HTTP/2.0 ",
        ),
        *(
            b"Connection: ",
            b"close",
            b"keep-alive",
            b"Upgrade: websocket\r\n",
            b"Content-Length: 0\r\n",
            b"101 ",
        ),
        *(
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"100 ",
            b"204 ",
            b"304 ",
            b"HTTP/1.1 200 OK\r\n",
        ),
    ),
)
