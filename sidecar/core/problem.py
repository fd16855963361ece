"""What a client is told when the sidecar itself answers: problem details (RFC 9457), Proxy-Status (RFC 9209).

Proxy-Status is what tells our 502 from one the upstream sent. Details are the errors' own messages, which
never hold a secret; of an exception nobody foresaw nothing is repeated, for it may hold anything.
"""

import json
from http import HTTPStatus
from math import ceil
from typing import NamedTuple
from urllib.parse import quote

from sidecar.core.errors import (
    MessageMalformed,
    RequestRefused,
    TokenRefused,
    TokenUnavailable,
    UnknownTenant,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_REFUSED: dict[int, tuple[str, str]] = {
    400: ("bad_request", "http_request_error"),
    401: ("bad_subject", "http_request_denied"),
    403: ("cross_site", "http_request_denied"),
    404: ("no_route", "destination_not_found"),
    408: ("request_timeout", "http_request_error"),
    414: ("target_too_long", "http_request_error"),
    417: ("unknown_expectation", "http_request_error"),
    421: ("foreign_host", "http_request_denied"),
    429: ("too_many_identities", "http_request_denied"),
    431: ("fields_too_large", "http_request_error"),
}

_FAILED: dict[type[Exception], tuple[int, str, str]] = {
    UnknownTenant: (400, "unknown_tenant", "http_request_denied"),
    TokenRefused: (502, "token_refused", "proxy_internal_response"),
    TokenUnavailable: (503, "token_unavailable", "proxy_internal_response"),
    UpstreamUnreachable: (502, "upstream_unreachable", "destination_unavailable"),
    UpstreamTimeout: (504, "upstream_timeout", "http_response_timeout"),
    MessageMalformed: (502, "upstream_malformed", "http_protocol_error"),
}
_OF_UPSTREAM = frozenset((UpstreamUnreachable, UpstreamTimeout, MessageMalformed))
CONTENT_TYPE = "application/problem+json"
_BUG = "the sidecar failed; its log has a `failed` event with the place"


class Problem(NamedTuple):
    """An answer of our own. Framing fields are the server's business."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    word: str
    """The access log's `error`, also a member of the body."""
    cause: str = ""
    """Its `detail`: what an upstream did, in words, "" where it is no fault of the upstream's."""


def render(error: Exception, request_id: str) -> Problem:
    """Say in HTTP what went wrong. A MessageMalformed is the upstream's: the client's are RequestRefused."""
    detail = str(error)
    if type(error) in _FAILED:
        status, word, proxy_error = _FAILED[type(error)]
    elif isinstance(error, RequestRefused):
        status = error.status
        word, proxy_error = _REFUSED[status]
    else:
        status, word, proxy_error, detail = 500, "internal_error", "proxy_internal_error", _BUG
    fields = [
        (b"Content-Type", CONTENT_TYPE.encode()),
        (b"Cache-Control", b"no-store"),
        (b"Referrer-Policy", b"no-referrer"),  # a browser that shows it requests an icon: see core.cross_site
        (b"Proxy-Status", b"sidecar; error=%b" % proxy_error.encode()),
    ]
    if status == 401:
        fields.append((b"WWW-Authenticate", b"Bearer"))
    if isinstance(error, TokenUnavailable):
        fields.append((b"Retry-After", b"%d" % max(1, ceil(error.retry_after))))
    elif status == 429:
        fields.append((b"Retry-After", b"1"))
    cause = detail if type(error) in _OF_UPSTREAM else ""
    return Problem(status, tuple(fields), _body(status, word, detail, request_id), word, cause)


def _body(status: int, word: str, detail: str, request_id: str) -> bytes:
    """`type` is about:blank, so `title` is the status phrase (RFC 9457 section 4.2.1); `error` says more."""
    members = details(status, detail=detail, instance=quote(request_id, safe=""), error=word)
    return json.dumps({"type": "about:blank", **members}).encode()


def details(status: int, **members: str) -> dict[str, object]:
    """Return a problem's members: the title is the status phrase (RFC 9457 section 4.2.1)."""
    return {"title": HTTPStatus(status).phrase, "status": status, **members}
