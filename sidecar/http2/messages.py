"""Requests and answers over HTTP/2 as the story reads them, and the blocks that are written for the next hop.

Rule 1. `:authority` is the request's host and `:path` its target: the story judges both by HTTP/1.1's rules.
Rule 2. A request to the upstream has the upstream's `:scheme` and `:authority`, and the story's target as `:path`. If
        the route has a token, there is exactly one `authorization`: the sidecar's, never indexed.
Rule 3. An `origin` that names the sidecar itself becomes the upstream's. The sidecar's `traceparent` replaces the
        client's, and a `tracestate` of another trace is removed, as in HTTP/1.1.
Rule 4. An answer of the sidecar's own is a problem. A gRPC client gets a status in a head that ends the stream, because
        such clients do not read other answers; after an answer's head, in trailers.
"""

import json
import re
from functools import lru_cache
from typing import Final, cast
from urllib.parse import quote

from sidecar.core.errors import RequestRefused
from sidecar.core.header_names import Hidden
from sidecar.core.origin import Origin
from sidecar.core.problem import Problem
from sidecar.http1.message import Request as BaseRequest
from sidecar.http1.message import Response
from sidecar.http1.next_hop import Moved, names_itself
from sidecar.http2.fields import AUTHORIZATION, ORIGIN, TRACEPARENT, TRACESTATE, Field, field
from sidecar.http2.heads import RequestHead, ResponseHead, Trailers, relayed_request, relayed_response

_NONE: Final[dict[bytes, bytes]] = {}
_LOCATIONS: Final = (b"location", b"content-location")
_SPACE_AT_END: Final = re.compile(r"\A | \Z")


class Request(BaseRequest):
    """A request's head as the story reads it."""

    __slots__ = ("head",)

    head: RequestHead

    def value(self, name: bytes) -> bytes | None:
        if name not in self.asked:
            self.asked[name] = self.head.value(name)
        return self.asked[name]


def request_of(head: RequestHead) -> Request:
    """Return the request of a head; the same one for the same head, because nothing changes it."""
    known = head.request
    if known is not None:
        return cast(Request, known)
    request = Request()
    request.head = head
    request.method = head.method
    request.target = head.path
    request.host = head.authority
    request.block = request.fields = b""
    request.http10 = False
    request.keep_alive = True
    request.length = head.content_length
    request.notes = head.notes
    request.asked = {}
    head.request = request
    return request


class Answer(Response):
    """An answer's head as the story reads it."""

    __slots__ = ("changes", "ends", "received", "trailers")

    received: ResponseHead
    trailers: Trailers | None
    """Those with which a gRPC call was refused; else None."""
    ends: bool
    """Whether nothing follows."""
    changes: dict[bytes, bytes]
    """Values that the client gets in place of the received ones, by name."""

    def values(self, name: bytes) -> list[bytes]:
        values = self.received.values(name)
        return values if self.trailers is None else values + self.trailers.values(name)


def answer_of(received: ResponseHead, *, ends: bool) -> Answer:
    """Return the answer of a head."""
    answer = Answer()
    answer.received = received
    answer.status = answer.judged = received.status
    answer.trailers = None
    answer.ends = ends
    answer.changes = _NONE
    return answer


def relocated(answer: Answer, moved: Moved) -> Answer:
    """Return the answer with its locations replaced by those of `moved`."""
    changed = answer_of(answer.received, ends=answer.ends)
    changed.judged, changed.trailers = answer.judged, answer.trailers
    changed.changes = {}
    for name in _LOCATIONS:
        for value in answer.received.values(name):
            reference = moved(value)
            if reference is not None:
                changed.changes[value] = reference
    return changed


def answer_block(answer: Answer) -> bytes:
    """Return the block of an answer for the client."""
    head = answer.received
    if not answer.changes:
        return head.status_field.wire + relayed_response(head)
    fields = [
        field(each.name, answer.changes[each.value])
        if each.name in _LOCATIONS and each.value in answer.changes
        else each
        for each in head.fields
    ]
    changed = ResponseHead(fields, head.kinds)
    changed.status = head.status
    return head.status_field.wire + relayed_response(changed)


def interim_block(head: ResponseHead) -> bytes:
    """Return the block of a 1xx answer for the client."""
    return head.status_field.wire + relayed_response(head)


def pseudo_fields(origin: Origin) -> bytes:
    """Return the pseudo-fields that all requests to an origin share, written."""
    scheme = field(b":scheme", origin.scheme.encode())
    return scheme.wire + field(b":authority", origin.authority).wire


@lru_cache(16)
def _authorization(value: bytes) -> bytes:
    return field(b"authorization", value, never=True).wire


def request_block(
    head: RequestHead,
    target: bytes,
    origin: Origin,
    pseudo: bytes,
    *,
    authorization: bytes | None,
    hidden: Hidden | None,
    traceparent: bytes,
) -> bytes:
    """Return the block of a request for the upstream (rules 2 and 3). `authorization` replaces the client's.

    Take `pseudo`, the `pseudo_fields` of the origin.
    Raises RequestRefused where that would leave more than one.
    """
    cut = 0
    own = b""
    if authorization is not None:
        cut |= AUTHORIZATION
        own = _authorization(authorization)
    elif head.kinds & AUTHORIZATION and len(head.values(b"authorization")) > 1:
        raise RequestRefused(400, "a request has one Authorization at most")
    if head.kinds & ORIGIN and names_itself(request_of(head)):
        cut |= ORIGIN
        own += field(b"origin", origin.serialized).wire
    if traceparent:
        cut |= TRACEPARENT
        if head.kinds & TRACESTATE and traceparent[3:35] not in head.notes.get(b"traceparent", b""):
            cut |= TRACESTATE
        own += field(b"traceparent", traceparent).wire
    path = head.path_field if target == head.path else field(b":path", target)
    relayed = relayed_request(head, cut, hidden)
    return b"%b%b%b%b%b" % (head.method_field.wire, pseudo, path.wire, relayed, own)


def own_answer(problem: Problem, *, grpc: bool, head_only: bool) -> tuple[bytes, bytes]:
    """Return the block and the body of an answer of the sidecar's own (rule 4)."""
    if grpc:
        head = [field(b":status", b"200"), field(b"content-type", b"application/grpc")]
        return _written(head) + own_trailers(problem), b""
    fields = [field(b":status", b"%d" % problem.status)]
    fields += [field(name.lower(), value) for name, value in problem.fields]
    fields.append(field(b"content-length", b"%d" % len(problem.body)))
    return _written(fields), b"" if head_only else problem.body


def own_trailers(problem: Problem) -> bytes:
    """Return the block that ends a gRPC call with the status of a problem."""
    message = _grpc_message(json.loads(problem.body)["detail"])
    return _written([field(b"grpc-status", b"%d" % problem.grpc), field(b"grpc-message", message)])


def _grpc_message(text: str) -> bytes:
    """Encode a message as gRPC requires: printable ASCII but the percent sign as it is, the rest as %XX in UTF-8.

    A space at either end is encoded too, because a field's value must not begin or end with one (RFC 9113 section
    8.2.1).
    """
    encoded = quote(text, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}")
    return _SPACE_AT_END.sub("%20", encoded).encode()


def _written(fields: list[Field]) -> bytes:
    return b"".join([each.wire for each in fields])
