"""Heads for the next hop: those that `message` read, with our own lines in place of the hop-by-hop ones."""

import re
from collections.abc import Callable, Iterable
from copy import copy
from http import HTTPStatus

from sidecar.core.errors import RequestRefused
from sidecar.core.header_names import Hidden, folded_name
from sidecar.core.origin import same_origin
from sidecar.core.problem import Problem
from sidecar.http1.headers import (
    CHUNKED,
    HOP_BY_HOP,
    UNTIL_CLOSE,
    USUAL_CONNECTION,
    Notes,
    field_pattern,
    tokens,
)
from sidecar.http1.message import Request, Response, offers_websocket, with_fields_kept

_AUTHORIZATION = field_pattern(frozenset((b"authorization",)))
_ORIGIN = field_pattern(frozenset((b"origin",)))
_TRACE_PARENT = field_pattern(frozenset((b"traceparent",)))
_TRACE_STATE = field_pattern(frozenset((b"tracestate",)))
_LOCATION = field_pattern(frozenset((b"location", b"content-location")))
_SWITCH = b"\r\nUpgrade: websocket\r\nConnection: Upgrade"
_NO_TRAILERS = (
    b"host content-length authorization expect content-encoding content-type content-range cookie set-cookie"
    b" trailer www-authenticate age cache-control date expires location retry-after vary"
)
NEVER_TRAILERS = frozenset(name.decode() for name in HOP_BY_HOP.union(_NO_TRAILERS.split()))
"""Names of fields that are not forwarded as trailers."""


def relayed_request(
    request: Request,
    target: bytes,
    authority: bytes,
    authorization: bytes | None,
    hidden: Hidden | None = None,
    *,
    origin: bytes = b"",
    traceparent: bytes = b"",
) -> bytes:
    """Write the request's head for the upstream. `authorization` replaces the client's; None leaves it.

    Fields that are `hidden` are left out, and `Connection` removes none of them. An `origin` replaces one that names
    the sidecar itself. A `traceparent` replaces the client's; without one that stays.

    Raises RequestRefused where that would leave more than one.
    """
    fields = request.fields if hidden is None else _visible(request, hidden)
    if authorization is None:
        if b"authorization" in request.notes and len(_AUTHORIZATION.findall(fields)) > 1:
            raise RequestRefused(400, "a request has one Authorization at most")
    else:
        if b"authorization" in request.notes:
            fields = _AUTHORIZATION.sub(b"", fields)
        fields = b"%b\r\nAuthorization: %b" % (fields, authorization)
    if b"origin" in request.notes and origin and names_itself(request):
        fields = _ORIGIN.sub(lambda _: b"\r\nOrigin: " + origin, fields)
    if traceparent:
        fields = _without_trace(fields, request.notes, traceparent)
        fields = b"%b\r\ntraceparent: %b" % (fields, traceparent)
    if request.length == CHUNKED:
        fields += b"\r\nTransfer-Encoding: chunked"
    if offers_websocket(request):
        fields += _SWITCH
    if b"te" in request.notes and b"trailers" in tokens(request.notes[b"te"]):
        fields += b"\r\nTE: trailers\r\nConnection: TE"
    return b"%b %b HTTP/1.1\r\nHost: %b%b\r\n\r\n" % (request.method, target, authority, fields)


def names_itself(request: Request) -> bool:
    """Return whether the Origin is the sidecar's own, as Host names it: the upstream has another name for itself."""
    return same_origin(request.notes.get(b"origin", b""), request.host, b"http")


def _visible(request: Request, hidden: Hidden) -> bytes:
    fields = request.fields
    if request.notes.get(b"connection", b"close") not in USUAL_CONNECTION:
        fields = with_fields_kept(request, hidden.names)
    return fields if hidden.head is None else hidden.head.sub(b"", fields)


def _without_trace(fields: bytes, notes: Notes, traceparent: bytes) -> bytes:
    """Take out the client's `traceparent`, and a `tracestate` that belongs to another trace than this one."""
    if b"traceparent" in notes:
        fields = _TRACE_PARENT.sub(b"", fields)
    if b"tracestate" in notes and traceparent[3:35] not in notes.get(b"traceparent", b""):
        fields = _TRACE_STATE.sub(b"", fields)
    return fields


def relayed_response(response: Response, request: Request, close: bool) -> tuple[bytes, int]:
    """Return the answer's head for the client, and how the body's length is declared there."""
    length = response.length
    ours = b""
    if length < 0:
        length = UNTIL_CLOSE if request.http10 else CHUNKED
        if length == CHUNKED:
            ours = b"\r\nTransfer-Encoding: chunked"
    if close or length == UNTIL_CLOSE:
        ours += b"\r\nConnection: close"
    elif request.http10:
        ours += b"\r\nConnection: keep-alive"
    return b"HTTP/1.1 %b%b%b\r\n\r\n" % (response.status_line, response.fields, ours), length


def relayed_interim(response: Response) -> bytes:
    """Write a 1xx answer's head for the client."""
    return b"HTTP/1.1 %b%b\r\n\r\n" % (response.status_line, response.fields)


def relayed_switch(response: Response) -> bytes:
    """Write a 101's head for the client."""
    return b"HTTP/1.1 %b%b%b\r\n\r\n" % (response.status_line, response.fields, _SWITCH)


def relayed_trailers(lines: Iterable[bytes]) -> list[bytes]:
    """Leave out trailing fields that could change framing, routing or authentication (RFC 9110 section 6.5.1)."""
    return [line for line in lines if folded_name(line) not in NEVER_TRAILERS]


Moved = Callable[[bytes], bytes | None]
"""Returns the client's reference for a URL of the upstream's, or None to leave it."""


def relocated(response: Response, moved: Moved) -> Response:
    """Return the answer with the values of `Location` and `Content-Location` replaced by those of `moved`."""
    if _LOCATION.search(response.fields) is None:
        return response

    def replaced(match: re.Match[bytes]) -> bytes:
        reference = moved(match[2].rstrip(b" \t"))
        return match[0] if reference is None else b"\r\n%b: %b" % (match[1], reference)

    changed = copy(response)
    changed.fields = _LOCATION.sub(replaced, response.fields)
    return changed


def own_answer(problem: Problem, *, close: bool) -> bytes:
    """Return the head of an answer of the sidecar's own."""
    lines = [b"HTTP/1.1 %d %b" % (problem.status, HTTPStatus(problem.status).phrase.encode())]
    lines += [b"%b: %b" % field for field in problem.fields]
    lines.append(b"Content-Length: %d" % len(problem.body))
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"
