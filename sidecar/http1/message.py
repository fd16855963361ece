"""Heads: which bytes are an acceptable message, and what it means.

Rule 1. A head ends at its first empty line. Only then does a fresh llhttp parser, which gets nothing else, check it as
        a whole: strict about line ends, names, values and obs-fold, without state. Only the very bytes of the head
        before it are not checked again.
Rule 2. The version is HTTP/1.1 or HTTP/1.0; the request line has exactly two spaces.
Rule 3. A request has exactly one Host. Its method is any token (RFC 9110 section 9.1) of at most MAX_METHOD bytes but
        CONNECT, which requests a tunnel, and TRACE, whose answer would show the token; both in any case, because some
        servers ignore it. llhttp knows a list of methods; it gets any other method as GET.
Rule 4. The body's length has one source: `Transfer-Encoding: chunked`, spelled just so and never in HTTP/1.0, or one
        plain decimal Content-Length, never both (RFC 9112 section 6.3). A response to HEAD, a 1xx, 204 and 304 have
        none. A response with neither lasts until its connection ends.
Rule 5. Every other field keeps its name, value, order and duplicates: but for the hop-by-hop ones, those `Connection`
        names (RFC 9110 section 7.6.1), and the client's Host.
"""

import re
from functools import lru_cache

import httptools

from sidecar.core.errors import MessageMalformed, RequestRefused
from sidecar.core.header_names import values
from sidecar.http1.foreign import malformed_answer
from sidecar.http1.headers import (
    HOP_BY_HOP,
    UNTIL_CLOSE,
    WEBSOCKET,
    Notes,
    field_pattern,
    length_of,
    persists,
    read_fields,
    removed_by_connection,
    tokens,
    upgrades,
)
from sidecar.http1.limits import MAX_FIELDS, MAX_HEAD, MAX_LINE, MAX_METHOD

REMEMBERED = 4096
"""Bytes of a head that a connection may keep to recognise a repeated one."""
_REST_OF_LINE = MAX_METHOD + len("  HTTP/1.1")
_FEW_FIELDS = 4 * MAX_FIELDS  # a head below this is too short to hold more: `a:` and CRLF each


_REQUEST_CUT = HOP_BY_HOP | {b"host"}
_REQUEST_READ = frozenset(
    b"content-length authorization expect origin sec-fetch-site traceparent tracestate x-request-id".split()
)


_REQUEST_FIELD = field_pattern(_REQUEST_CUT | _REQUEST_READ)
_RESPONSE_FIELD = field_pattern(HOP_BY_HOP | {b"content-length"})
_CONTENT_LENGTH = field_pattern(frozenset((b"content-length",)))
_BARE_LF = re.compile(rb"(?<!\r)\n")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE = re.compile(rb"(%b{1,%d}) ([^ \r\n]+) HTTP/1\.([01])(?=\r\n)" % (_TOKEN, MAX_METHOD))
_BEGINNING = re.compile(rb"%b{1,%d}(?: |\Z)" % (_TOKEN, MAX_METHOD))
"""What may become a request line."""
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?)")


class _NoCallbacks:
    """llhttp only checks a head; the lines that it accepts are read here."""


_NO_CALLBACKS = _NoCallbacks()


class Request:
    """A request's head as accepted."""

    __slots__ = (
        "asked",
        "block",
        "fields",
        "host",
        "http10",
        "keep_alive",
        "length",
        "method",
        "notes",
        "target",
    )

    method: bytes
    target: bytes
    block: bytes
    """All field lines as received, each with the CRLF before it."""
    host: bytes
    http10: bool
    keep_alive: bool
    length: int
    """Of the body: bytes, or CHUNKED."""
    fields: bytes
    """Those of them that are end-to-end."""
    notes: Notes
    asked: dict[bytes, bytes | None]
    """Results of `value`, for the next request with the same fields."""

    def value(self, name: bytes) -> bytes | None:
        """Return the value of a field (its name in lower case), several as a list; None where there is none."""
        if name not in self.asked:
            lines = values(self.block, name)
            self.asked[name] = b", ".join(lines) if lines else None
        return self.asked[name]


class Response:
    """A response's head as accepted; immutable."""

    __slots__ = ("fields", "head", "judged", "keep_alive", "length", "method", "status", "status_line")

    head: bytes
    """The head's bytes as received."""
    method: bytes
    """Method of the request that it answers."""
    status: int
    judged: int
    """Status by which a refusal of the token is judged: 401 for a gRPC call with UNAUTHENTICATED, else `status`."""
    status_line: bytes
    """Code, space and reason."""
    keep_alive: bool
    """Whether the upstream's connection can carry another request after this answer."""
    length: int
    """Of the body: bytes, CHUNKED or UNTIL_CLOSE."""
    fields: bytes
    """The end-to-end field lines as received, each with the CRLF before it."""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of an end-to-end field."""
        return [match[2].rstrip(b" \t") for match in field_pattern(frozenset((name,))).finditer(self.fields)]


def judge_request(head: bytes) -> None:
    """Let llhttp check a whole request head. Raises MessageMalformed."""
    _judge(httptools.HttpRequestParser(_NO_CALLBACKS), head)


def _judge(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> None:
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # an offer; whether it is taken is decided elsewhere, the framing never depends on it
    except httptools.HttpParserError as error:
        raise MessageMalformed(f"malformed head: {error}") from None


def offers_websocket(request: Request) -> bool:
    """Return whether the client requests a tunnel (RFC 6455 section 4.1); any other Upgrade is ignored."""
    notes = request.notes
    return (
        b"upgrade" in notes
        and WEBSOCKET in tokens(notes[b"upgrade"])
        and upgrades(notes)
        and (request.method, request.length) == (b"GET", 0)
    )


def parse_request(head: bytes, before: Request | None = None) -> Request:
    """Read a request's head, empty line included. Raises RequestRefused.

    `before` is the connection's request before this one: applications repeat their fields to the byte, and
    what was read from them once need not be read again.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise RequestRefused(400, _line_fault(head))
    request = Request()
    request.method, request.target, minor = line.groups()
    if len(request.target) > MAX_LINE:
        raise RequestRefused(414, f"the target is longer than {MAX_LINE} bytes")
    usual = request.method in _USUAL_METHODS
    if not usual:
        _check_method(request.method)
    request.http10 = minor == b"0"
    request.block = block = head[line.end() : -4]
    if before is not None and (before.block, before.method, before.http10) == (
        block,
        request.method,
        request.http10,
    ):
        return _as_before(request, before)
    try:
        judged = head if usual else b"GET" + head[len(request.method) :]
        _judge(httptools.HttpRequestParser(_NO_CALLBACKS), judged)
        _read_block(request, block)
    except MessageMalformed as error:
        raise RequestRefused(400, str(error)) from None
    return request


def _as_before(request: Request, before: Request) -> Request:
    """Reuse what was read and checked; only the target is new, and `proxy.target` is stricter there than llhttp."""
    request.fields = before.fields
    request.notes = before.notes
    request.asked = before.asked
    request.host = before.host
    request.length = before.length
    request.keep_alive = before.keep_alive
    return request


def with_fields_kept(request: Request, names: frozenset[bytes]) -> bytes:
    """Return the end-to-end fields as if `Connection` could not remove these (in lower case)."""
    if removed_by_connection(request.notes).isdisjoint(names):
        return request.fields
    fields, _ = read_fields(request.block, _REQUEST_FIELD, _REQUEST_CUT, names)
    return _LATER_FIELD.sub(b"", fields) if request.http10 else fields


def _read_block(request: Request, block: bytes) -> None:
    if len(block) > _FEW_FIELDS and block.count(b"\r\n") > MAX_FIELDS:
        raise RequestRefused(431, f"more than {MAX_FIELDS} header fields")
    request.fields, notes = read_fields(block, _REQUEST_FIELD, _REQUEST_CUT)
    if b"host" not in notes:
        raise RequestRefused(400, "a request needs a Host")
    if request.http10:
        request.fields = _without_later_fields(request.fields, notes)
    elif b"expect" in notes and notes[b"expect"].lower() != b"100-continue":
        raise RequestRefused(417, "the only expectation known is 100-continue")
    request.notes = notes
    request.asked = {}
    request.host = notes[b"host"]
    request.length = length_of(notes, request.http10) or 0
    request.keep_alive = persists(notes, request.http10)


_USUAL_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_NOT_RELAYED = {
    b"CONNECT": "CONNECT is not relayed: the sidecar opens no tunnels; send the request itself",
    b"TRACE": "TRACE is not relayed: its answer would show the token that was sent; use another method",
}
_NO_REQUEST = "these bytes do not begin an HTTP/1.1 request"
_METHOD_FAULT = f"the method must be a token of at most {MAX_METHOD} bytes (RFC 9110 section 9.1)"


def _check_method(method: bytes) -> None:
    reason = _NOT_RELAYED.get(method.upper())
    if reason is not None:
        raise RequestRefused(400, reason)


def _line_fault(head: bytes | bytearray) -> str:
    """Return what is wrong with a request line."""
    line = bytes(head).partition(b"\r\n")[0]
    if _BEGINNING.match(line) is None:
        return _METHOD_FAULT
    version = line.rpartition(b" ")[2]
    if version.startswith(b"HTTP/") and version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return "the version must be HTTP/1.1 or HTTP/1.0"
    return "the request line must be `METHOD target HTTP/1.1` with single spaces"


_LATER = frozenset((b"expect", b"te", b"trailer", b"upgrade"))
"""Ignored in HTTP/1.0 (RFC 9110 sections 7.8 and 10.1.1; without chunks there are no trailers): upstream, in the
HTTP/1.1 request that is made of it, they would count."""
_LATER_FIELD = field_pattern(_LATER)


def _without_later_fields(fields: bytes, notes: Notes) -> bytes:
    """Leave out of an HTTP/1.0 request, and of its notes, the fields that only HTTP/1.1 gives a meaning."""
    for name in _LATER:
        notes.pop(name, None)
    return _LATER_FIELD.sub(b"", fields)


def early_fault(partial: bytes | bytearray, judged: int = 0) -> RequestRefused | None:
    """Return the fault of an incomplete request head, None while it may still become valid.

    Without this, bytes that can never become a head (TLS, bare line feeds, HTTP/0.9) would be waited on. The first
    `judged` bytes have been checked before.
    """
    if partial == b"\r":
        return None
    end = partial.find(b"\r\n")
    if (end if end >= 0 else len(partial)) > MAX_LINE + _REST_OF_LINE:
        return RequestRefused(414, f"the request line is longer than {MAX_LINE} bytes")
    if len(partial) > MAX_HEAD:
        return RequestRefused(431, f"the head is longer than {MAX_HEAD} bytes")
    reason = ""
    if _BEGINNING.match(partial) is None:
        reason = f"{_NO_REQUEST}: {_METHOD_FAULT}"
    elif _BARE_LF.search(partial, max(0, judged - 1)):
        reason = f"{_NO_REQUEST}: its lines must end in CRLF"
    elif end >= 0 and judged < end + 2 and _REQUEST_LINE.match(partial) is None:
        reason = _line_fault(partial)
    return RequestRefused(400, reason) if reason else None


def _read_status_line(line: bytes) -> tuple[bool, int, bytes]:
    """Return whether it is HTTP/1.0, the code, and code, space and reason."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise malformed_answer(line or b"\r\n")
    minor, rest, status = match.groups()
    return minor == b"0", int(status), rest if len(rest) > 3 else rest + b" "


_known_status_line = lru_cache(256)(_read_status_line)  # an upstream has few
_LONGEST_KNOWN = 128
"""Longest status line that is remembered (bytes), because status lines come from peers that are not trusted."""


def _switched(notes: Notes, http10: bool) -> int:
    """Return the length of what follows a 101 (RFC 9110 section 15.2.2): it belongs to the tunnel, to the end."""
    if http10 or notes.get(b"upgrade", b"").lower() != WEBSOCKET or not upgrades(notes):
        raise MessageMalformed("the upstream switched to another protocol than WebSocket")
    return UNTIL_CLOSE


def parse_response(head: bytes, method: bytes, before: Response | None = None) -> Response:
    """Read the head of an answer to `method`. Raises MessageMalformed.

    `before` is the connection's answer before this one: a busy upstream's heads are often the same for as long as
    their Date is, and the same head means the same.
    """
    if before is not None and before.head == head and before.method == method:
        return before
    end = head.find(b"\r\n")
    read = _known_status_line if end <= _LONGEST_KNOWN else _read_status_line
    http10, code, status_line = read(head[:end])
    if len(head) > _FEW_FIELDS and head.count(b"\r\n") > MAX_FIELDS + 2:
        raise MessageMalformed(f"more than {MAX_FIELDS} header fields")
    _judge(httptools.HttpResponseParser(_NO_CALLBACKS), head)
    response = Response()
    response.head = head
    response.method = method
    response.status = response.judged = code
    response.status_line = status_line
    response.fields, notes = read_fields(head[end:-4], _RESPONSE_FIELD, HOP_BY_HOP)
    length = length_of(notes, http10)
    keep_alive = persists(notes, http10)
    if length is None:
        length = UNTIL_CLOSE
    elif length and code < 200:
        raise MessageMalformed("an interim answer announces a body")
    elif length and code == 204:
        keep_alive = False  # its fields announce a body, which may follow
    if code < 200 or code == 204:
        response.fields = _CONTENT_LENGTH.sub(b"", response.fields)
        length = 0 if code != 101 else _switched(notes, http10)
    elif code == 304 or method == b"HEAD":
        length = 0
    response.length = length
    response.keep_alive = length != UNTIL_CLOSE and keep_alive
    return response
