"""Answers of the sidecar's own: problem details (RFC 9457), Proxy-Status (RFC 9209).

Proxy-Status distinguishes our 502 from one of the upstream's. Details are the errors' own messages, which never hold a
secret. Nothing of an unexpected exception is repeated, because it may hold anything.
"""

import json
from http import HTTPStatus
from math import ceil
from typing import NamedTuple
from urllib.parse import quote

from sidecar.core.errors import (
    ForeignCall,
    MessageMalformed,
    NotListed,
    NotTheToken,
    RequestRefused,
    StillCooling,
    TokenRefused,
    TokenUnavailable,
    UnknownTenant,
    UpstreamTimeout,
    UpstreamUnreachable,
    WrongMethod,
    WrongVersion,
)


class Word(NamedTuple):
    """One kind of answer of our own. The reference of errors is generated from these."""

    status: int
    word: str
    """`error` in the body and in the access log."""
    proxy_error: str
    """The type in Proxy-Status (RFC 9209 section 2.3)."""
    meaning: str
    action: str
    """What to do about it."""


REFUSED: dict[int, Word] = {
    word.status: word
    for word in (
        Word(
            400,
            "bad_request",
            "http_request_error",
            "The request is not valid HTTP, has a path with dot segments, or names no tenant.",
            "Fix the client; `detail` names the fault.",
        ),
        Word(
            401,
            "bad_subject",
            "http_request_denied",
            "The route requires a caller's token. The request has none, or one that is malformed, "
            "expired, not verifiable or not accepted by the authorization server.",
            "Send a valid token; `detail` names the fault of this one.",
        ),
        Word(
            403,
            "cross_site",
            "http_request_denied",
            "A browser sent the request for a page of another site.",
            "Nothing: such pages have no access.",
        ),
        Word(
            404,
            "no_route",
            "destination_not_found",
            "No route matches host and path, or a browser requested the icon of an error page.",
            "Check `match` of the routes and the client's base URL.",
        ),
        Word(
            408,
            "request_timeout",
            "http_request_error",
            "The head of the request took longer than 10 s, or its body stopped arriving.",
            "Check the client.",
        ),
        Word(
            414,
            "target_too_long",
            "http_request_error",
            "The request line is longer than 16 KiB.",
            "Send the data in a body.",
        ),
        Word(
            417,
            "unknown_expectation",
            "http_request_error",
            "`Expect` is not `100-continue`.",
            "Remove the field.",
        ),
        Word(
            421,
            "foreign_host",
            "http_request_denied",
            "`Host` is neither a loopback name, nor the listen address, nor a route's host.",
            "Use `127.0.0.1`, or set `match.host` of the route.",
        ),
        Word(
            429,
            "too_many_identities",
            "http_request_denied",
            "The rate limit for new tenants, or for new subjects that are refused, is exceeded.",
            "Retry after `Retry-After`. List the tenants in `tenant.allow`, or find the client that invents them.",
        ),
        Word(
            431,
            "fields_too_large",
            "http_request_error",
            "The head of the request is longer than 64 KiB or has more than 200 fields.",
            "Send fewer fields, often cookies.",
        ),
    )
}

FAILED: dict[type[Exception], Word] = {
    UnknownTenant: Word(
        400,
        "unknown_tenant",
        "http_request_denied",
        "The request names a tenant that is not in `tenant.allow`, or is not a tenant id.",
        "Fix the client, or add the tenant to `tenant.allow`. The access log has the name in `tenant`.",
    ),
    ForeignCall: Word(
        403,
        "foreign_call",
        "http_request_denied",
        "A request to the token API that a web page or a forwarded request could have sent.",
        "Send `Sidecar-Request: true` from the pod itself, without `Origin` or `X-Forwarded-*`.",
    ),
    NotListed: Word(
        404,
        "not_listed",
        "destination_not_found",
        "The token API has no such path, or does not hand out this entry of `tokens`.",
        "Check the path, or add the entry to `token_api.tokens`.",
    ),
    WrongMethod: Word(
        405,
        "wrong_method",
        "http_request_denied",
        "The path of the token API serves another method only.",
        "Use the method in `Allow`.",
    ),
    NotTheToken: Word(
        409,
        "not_the_token",
        "http_request_denied",
        "A program reported a refusal that another token would not help against, or of a token that the token API "
        "did not hand out.",
        "Read `detail`. Handle the refusal in the program, or get a token with `GET /token/{name}`.",
    ),
    StillCooling: Word(
        429,
        "cooling_down",
        "http_request_denied",
        "A program reported a refusal while new tokens are refused too.",
        "Retry after `Retry-After`. Read `refused` and `cooling_down` in the log.",
    ),
    TokenRefused: Word(
        502,
        "token_refused",
        "proxy_internal_response",
        "The authorization server refuses to issue a token, or there are no credentials.",
        "Read `token_fetch_failed` in the log (client id, secret, scope, audience), or `secret_unread`.",
    ),
    TokenUnavailable: Word(
        503,
        "token_unavailable",
        "proxy_internal_response",
        "The authorization server, AWS or the file with the credentials is unavailable.",
        "Retry after `Retry-After`. Read `token_fetch_failed` in the log.",
    ),
    WrongVersion: Word(
        502,
        "wrong_version",
        "http_protocol_error",
        "The request uses HTTP/2 and its route HTTP/1.1, or the reverse. The sidecar does not translate.",
        "Set `protocol` of the route to what the client and the upstream use.",
    ),
    UpstreamUnreachable: Word(
        502,
        "upstream_unreachable",
        "destination_unavailable",
        "The sidecar could not connect to the upstream, TLS failed, or the connection closed before a response.",
        "Check the address, the certificate and the network policy.",
    ),
    UpstreamTimeout: Word(
        504,
        "upstream_timeout",
        "http_response_timeout",
        "The upstream exceeded one of the route's `timeouts`.",
        "Check the upstream, or raise the limit.",
    ),
    MessageMalformed: Word(
        502,
        "upstream_malformed",
        "http_protocol_error",
        "The upstream's response is not valid, too large or incomplete. Or the upstream uses another protocol,"
        " such as TLS where `upstream` is an `http://` URL, or another version of HTTP than `protocol`.",
        "Read `detail`, also in the log: it describes the response.",
    ),
}
INTERNAL = Word(
    500,
    "internal_error",
    "proxy_internal_error",
    "The sidecar has a bug.",
    "Report the `failed` event in the log.",
)
_OF_UPSTREAM = frozenset((UpstreamUnreachable, UpstreamTimeout, MessageMalformed))
CONTENT_TYPE = "application/problem+json"
_BUG = "the sidecar failed; its log has a `failed` event with the place"


class Problem(NamedTuple):
    """An answer of our own. The server adds the framing fields."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    word: str
    """The access log's `error`, also a member of the body."""
    cause: str = ""
    """Its `detail`: the upstream's fault in words, "" if it is not the upstream's."""


def render(error: Exception, request_id: str) -> Problem:
    """Return the answer for an error. A MessageMalformed is the upstream's: the client's are RequestRefused."""
    detail = str(error)
    if type(error) in FAILED:
        answer = FAILED[type(error)]
    elif isinstance(error, RequestRefused):
        answer = REFUSED[error.status]
    else:
        answer, detail = INTERNAL, _BUG
    status, word = answer.status, answer.word
    fields = [
        (b"Content-Type", CONTENT_TYPE.encode()),
        (b"Cache-Control", b"no-store"),
        (b"Referrer-Policy", b"no-referrer"),  # a browser that shows it requests an icon: see core.cross_site
        (b"Proxy-Status", b"sidecar; error=%b" % answer.proxy_error.encode()),
    ]
    if status == 401:
        fields.append((b"WWW-Authenticate", b"Bearer"))
    if isinstance(error, WrongMethod):
        fields.append((b"Allow", error.allowed.encode()))
    if isinstance(error, TokenUnavailable | StillCooling):
        fields.append((b"Retry-After", b"%d" % max(1, ceil(error.retry_after))))
    elif status == 429:
        fields.append((b"Retry-After", b"1"))
    cause = detail if type(error) in _OF_UPSTREAM else ""
    return Problem(status, tuple(fields), _body(status, word, detail, request_id), word, cause)


def _body(status: int, word: str, detail: str, request_id: str) -> bytes:
    """`type` is about:blank, so `title` is the status phrase (RFC 9457 section 4.2.1); `error` is more specific."""
    members = details(status, detail=detail, instance=quote(request_id, safe=""), error=word)
    return json.dumps({"type": "about:blank", **members}).encode()


def details(status: int, **members: str) -> dict[str, object]:
    """Return a problem's members: the title is the status phrase (RFC 9457 section 4.2.1)."""
    return {"title": HTTPStatus(status).phrase, "status": status, **members}
