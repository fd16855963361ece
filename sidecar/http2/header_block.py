"""Header blocks: which ones are a message, and what it means (RFC 9113 section 8).

Rule 1. Names and values are as `fields` demands; no field is specific to a connection; `te` is `trailers` or absent.
Rule 2. Pseudo-fields stand first, each once at most, none empty, and no others than those of the message: `:method`,
        `:scheme`, `:authority` and `:path` in a request, `:status` in a response, none in trailers.
Rule 3. A request has `:method`, `:scheme` and `:path`, and an authority: `:authority`, or Host if that is absent. Where
        both are there, they are equal. CONNECT has `:method` and `:authority` only.
Rule 4. A method is a token of at most MAX_METHOD bytes; a scheme begins with a letter; an authority has no userinfo; a
        path begins with a slash, or is `*`.
Rule 5. Content-Length is one plain decimal number of at most 18 digits, and stands once, as Host does.
Rule 6. A response has a `:status` of three digits, the first not 0. HTTP/2 knows no 101. A 1xx announces no body.
Rule 7. What breaks rules 1 to 6 is malformed: its stream ends with PROTOCOL_ERROR.
Rule 8. A well-formed request that HTTP/1.1's rules refuse with a status is refused with the same: CONNECT and TRACE,
        more than MAX_FIELDS fields, a target over MAX_LINE, an expectation other than 100-continue.

A head that was read from a block is remembered in the block, so a block that comes again is not read again.
"""

import re
from typing import Final

from sidecar.core.errors import RequestRefused
from sidecar.http1.limits import MAX_FIELDS, MAX_LINE, MAX_METHOD
from sidecar.http2.fields import (
    AUTHORITY,
    AUTHORIZATION,
    CONNECTION_SPECIFIC,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    MALFORMED,
    METHOD,
    ORIGIN,
    PATH,
    PSEUDO,
    SCHEME,
    SEC_FETCH_SITE,
    STATUS,
    TE,
    TRACEPARENT,
    TRACESTATE,
    X_REQUEST_ID,
    Block,
    Field,
)
from sidecar.http2.frames import ErrorCode, FrameFault
from sidecar.http2.heads import RequestHead, ResponseHead, Trailers

_NOTED: Final = (
    HOST
    | CONTENT_LENGTH
    | TE
    | EXPECT
    | AUTHORIZATION
    | ORIGIN
    | SEC_FETCH_SITE
    | TRACEPARENT
    | TRACESTATE
    | X_REQUEST_ID
)
_ONCE: Final = HOST | CONTENT_LENGTH
_REFUSED: Final = MALFORMED | CONNECTION_SPECIFIC | PSEUDO
_METHOD: Final = re.compile(rb"[!#$%%&'*+.^_`|~0-9A-Za-z-]{1,%d}" % MAX_METHOD)
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*")
_AUTHORITY: Final = re.compile(rb"[!-~]+")
_NO_AUTHORITY: Final = re.compile(rb"[/?#@\\]")
_STATUS: Final = re.compile(rb"[1-9][0-9][0-9]")
_MAX_DIGITS: Final = 18  # as HTTP/1.1's
_UNKNOWN: Final = -1
"""The length of a body that no field announces."""
_NOT_RELAYED: Final = {
    b"CONNECT": "CONNECT is not relayed: the sidecar opens no tunnels; send the request itself",
    b"TRACE": "TRACE is not relayed: its answer would show the token that was sent; use another method",
}
_GRPC: Final = b"application/grpc"


def request_head(block: Block, stream: int = 0) -> RequestHead:
    """Read a request's head. Raises FrameFault by rule 7, RequestRefused by rule 8."""
    known = block.head
    if isinstance(known, RequestHead):
        return known
    pseudo, seen, fields, kinds = _split(block.fields, METHOD | SCHEME | AUTHORITY | PATH, stream)
    head = RequestHead(fields, kinds)
    head.notes = _notes(fields, stream) if kinds & _NOTED else {}
    if not seen & METHOD:
        raise _malformed("a request needs :method", stream)
    head.method_field = pseudo[METHOD]
    head.method = method = head.method_field.value
    if _METHOD.fullmatch(method) is None:
        raise _malformed(f"the method must be a token of at most {MAX_METHOD} bytes", stream)
    if method == b"CONNECT":
        if seen != METHOD | AUTHORITY:
            raise _malformed("CONNECT has :method and :authority only", stream)
    else:
        _read_target(head, pseudo, seen, stream)
    head.authority = _authority(pseudo.get(AUTHORITY), head.notes.get(b"host"), stream)
    head.content_length = _length(head.notes.get(b"content-length"), stream)
    if kinds & TE and head.notes[b"te"].lower() != b"trailers":
        raise _malformed("te must be `trailers`", stream)
    head.is_grpc = bool(kinds & CONTENT_TYPE) and (head.value(b"content-type") or b"").lower().startswith(
        _GRPC
    )
    _refuse(head)
    head.request = None
    block.head = head
    return head


def _split(fields: list[Field], allowed: int, stream: int) -> tuple[dict[int, Field], int, list[Field], int]:
    """Separate the pseudo-fields, by kind, from the others; and return the kinds of both."""
    pseudo: dict[int, Field] = {}
    seen = 0
    for field in fields:
        kind = field.kind
        if not kind & PSEUDO:
            break
        if seen & kind or not kind & allowed or not field.value:
            raise _malformed(_pseudo_fault(field, seen), stream)
        seen |= kind
        pseudo[kind] = field
    rest = fields[len(pseudo) :]
    kinds = 0
    for field in rest:
        kinds |= field.kind
    if kinds & _REFUSED:
        raise _malformed(_field_fault(rest), stream)
    return pseudo, seen, rest, kinds


def _pseudo_fault(field: Field, seen: int) -> str:
    name = _shown(field.name)
    if seen & field.kind:
        return f"{name} is there more than once"
    return f"{name} does not belong into this message" if field.value else f"{name} is empty"


def _field_fault(fields: list[Field]) -> str:
    field = next(field for field in fields if field.kind & _REFUSED)
    name = _shown(field.name)
    if field.kind & PSEUDO:
        return f"{name} follows a field that is no pseudo-field"
    if field.kind & CONNECTION_SPECIFIC:
        return f"{name} is not allowed in HTTP/2"
    return f"the field {name} has a malformed name or value"


def _shown(name: bytes) -> str:
    return ascii(name[:64].decode("latin-1"))[1:-1]


def _malformed(text: str, stream: int) -> FrameFault:
    return FrameFault(ErrorCode.PROTOCOL_ERROR, text, stream)


def _notes(fields: list[Field], stream: int) -> dict[bytes, bytes]:
    notes: dict[bytes, bytes] = {}
    for field in fields:
        if field.kind & _NOTED:
            name = field.name
            if name not in notes:
                notes[name] = field.value
            elif field.kind & _ONCE:
                raise _malformed(f"{_shown(name)} is there more than once", stream)
            else:
                notes[name] += b", " + field.value
    return notes


def _read_target(head: RequestHead, pseudo: dict[int, Field], seen: int, stream: int) -> None:
    if not (seen & SCHEME and seen & PATH):
        raise _malformed("a request needs :scheme and :path", stream)
    head.scheme = pseudo[SCHEME].value
    if _SCHEME.fullmatch(head.scheme) is None:
        raise _malformed("the scheme is malformed", stream)
    head.path_field = pseudo[PATH]
    head.path = head.path_field.value
    if head.path[:1] != b"/" and head.path != b"*":
        raise _malformed("the path must begin with a slash", stream)


def _authority(field: Field | None, host: bytes | None, stream: int) -> bytes:
    if field is None:
        if not host:
            raise _malformed("a request needs :authority", stream)
        authority = host
    else:
        authority = field.value
        if host is not None and host != authority and host.lower() != authority.lower():
            raise _malformed("host differs from :authority", stream)
    if _AUTHORITY.fullmatch(authority) is None or _NO_AUTHORITY.search(authority):
        raise _malformed("the authority must be a host with or without a port", stream)
    return authority


def _length(value: bytes | None, stream: int) -> int:
    if value is None:
        return _UNKNOWN
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise _malformed("content-length must be one plain decimal number", stream)
    return int(value)


def _refuse(head: RequestHead) -> None:
    """Refuse what HTTP/1.1's rules refuse (rule 8)."""
    reason = _NOT_RELAYED.get(head.method.upper())
    if reason is not None:
        raise RequestRefused(400, reason)
    if len(head.path) > MAX_LINE:
        raise RequestRefused(414, f"the target is longer than {MAX_LINE} bytes")
    if len(head.fields) > MAX_FIELDS:
        raise RequestRefused(431, f"more than {MAX_FIELDS} header fields")
    if head.kinds & EXPECT and head.notes[b"expect"].lower() != b"100-continue":
        raise RequestRefused(417, "the only expectation known is 100-continue")


def response_head(block: Block, stream: int = 0) -> ResponseHead:
    """Read a response's head. Raises FrameFault by rule 7."""
    known = block.head
    if isinstance(known, ResponseHead):
        return known
    pseudo, seen, fields, kinds = _split(block.fields, STATUS, stream)
    if not seen:
        raise _malformed("a response needs :status", stream)
    if len(fields) > MAX_FIELDS:
        raise _malformed(f"more than {MAX_FIELDS} header fields", stream)
    head = ResponseHead(fields, kinds)
    head.status_field = pseudo[STATUS]
    if _STATUS.fullmatch(head.status_field.value) is None or head.status_field.value == b"101":
        raise _malformed("the status is malformed, or 101", stream)
    head.status = int(head.status_field.value)
    head.content_length = _UNKNOWN
    if kinds & CONTENT_LENGTH:
        lengths = head.values(b"content-length")
        if len(lengths) > 1:
            raise _malformed("content-length is there more than once", stream)
        head.content_length = _length(lengths[0], stream)
    if head.status < 200 and head.content_length > 0:
        raise _malformed("an interim response announces a body", stream)
    head.bodiless = head.status < 200 or head.status in (204, 304)
    block.head = head
    return head


def trailers(block: Block, stream: int = 0) -> Trailers:
    """Read trailing fields. Raises FrameFault by rule 7."""
    known = block.head
    if isinstance(known, Trailers):
        return known
    _, _, fields, kinds = _split(block.fields, 0, stream)
    head = Trailers(fields, kinds)
    block.head = head
    return head
