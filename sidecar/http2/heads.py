"""Heads: what was read from header blocks, and which of its fields are relayed to the next hop.

Rule 1. All fields are relayed as they came, in order, with duplicates. Exceptions are the fields that the sidecar
        replaces or hides, Host, and the fields for proxies; in a response `te`; in a 1xx or 204 Content-Length.
Rule 2. Trailing fields that could change framing, routing or authentication are not relayed (RFC 9110 section 6.5.1).
        For a gRPC call, whose trailers hold metadata of any name, the list of these fields is short.

The relayed fields are remembered with their head, for the next message with the same block.
"""

import re
from typing import Final

from sidecar.core.header_names import Hidden, folded
from sidecar.http1.next_hop import NEVER_TRAILERS
from sidecar.http2.fields import AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, PROXY, TE, Field


class Head:
    """What a header block holds besides its pseudo-fields."""

    __slots__ = ("_relayed", "_relayed_cut", "_relayed_hidden", "fields", "kinds")

    fields: list[Field]
    """The fields without pseudo-fields, as they came."""
    kinds: int
    """The kinds of all of them, together."""

    def __init__(self, fields: list[Field], kinds: int) -> None:
        self.fields = fields
        self.kinds = kinds
        self._relayed: bytes | None = None
        self._relayed_cut = 0
        self._relayed_hidden: Hidden | None = None

    def value(self, name: bytes) -> bytes | None:
        """Return the value of a field (its name in lower case), several as a list; None where there is none."""
        found = [field.value for field in self.fields if field.name == name]
        if not found:
            return None
        return found[0] if len(found) == 1 else (b"; " if name == b"cookie" else b", ").join(found)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field (its name in lower case)."""
        return [field.value for field in self.fields if field.name == name]

    def relayed(self, cut: int, hidden: Hidden | None) -> bytes:
        """Write the fields for the next hop, without the kinds that are `cut` and the fields that are `hidden`."""
        known = self._relayed
        if known is not None and cut == self._relayed_cut and hidden is self._relayed_hidden:
            return known
        fields = self.fields
        if self.kinds & cut:
            fields = [field for field in fields if not field.kind & cut]
        if hidden is not None and hidden.head is not None:
            fields = _visible(fields, hidden.head)
        relayed = b"".join([field.wire for field in fields])
        self._relayed = relayed
        self._relayed_cut = cut
        self._relayed_hidden = hidden
        return relayed


class RequestHead(Head):
    """A request's head as accepted."""

    __slots__ = (
        "authority",
        "content_length",
        "is_grpc",
        "method",
        "method_field",
        "notes",
        "path",
        "path_field",
        "request",
        "scheme",
    )

    method: bytes
    method_field: Field
    scheme: bytes
    authority: bytes
    path: bytes
    path_field: Field
    content_length: int
    """Bytes of the body; -1 if no field announces them."""
    notes: dict[bytes, bytes]
    """The values of the fields that the sidecar reads, by name; several of one name are joined as a list."""
    is_grpc: bool
    """Whether the client expects a gRPC status for an error."""
    request: object
    """What the relay made of this head, for the next request with the same block; None at first."""


class ResponseHead(Head):
    """A response's head as accepted."""

    __slots__ = ("bodiless", "content_length", "status", "status_field")

    status: int
    status_field: Field
    content_length: int
    """Bytes that Content-Length announces; -1 without it."""
    bodiless: bool
    """Whether this status has no body, whatever Content-Length announces."""

    def expected(self, method: bytes) -> int:
        """Return the bytes of DATA that must follow in an answer to `method`; -1 for any number."""
        return 0 if self.bodiless or method == b"HEAD" else self.content_length


class Trailers(Head):
    """Trailing fields as accepted."""

    __slots__ = ()


_ALWAYS_CUT: Final = HOST | PROXY


def relayed_request(head: RequestHead, cut: int, hidden: Hidden | None) -> bytes:
    """Write the fields of a request for the upstream, without pseudo-fields.

    `cut` are kinds of fields that the sidecar leaves out or replaces, such as AUTHORIZATION.
    """
    return head.relayed(cut | _ALWAYS_CUT, hidden)


def relayed_response(head: ResponseHead) -> bytes:
    """Write the fields of a response for the client, without `:status`."""
    none = head.status < 200 or head.status == 204
    return head.relayed(PROXY | TE | CONTENT_LENGTH if none else PROXY | TE, None)


_GRPC_CUT: Final = HOST | CONTENT_LENGTH | PROXY | TE | EXPECT | AUTHORIZATION


def relayed_trailers(head: Trailers, hidden: Hidden | None = None, *, grpc: bool) -> bytes:
    """Write the trailing fields for the next hop (rule 2), of a `grpc` call or another; b"" if none goes on."""
    if grpc and hidden is None:
        return head.relayed(_GRPC_CUT, None)
    never = frozenset[str]() if grpc else NEVER_TRAILERS
    if hidden is not None:
        never |= hidden.trailers
    fields = [field for field in head.fields if not field.kind & _GRPC_CUT]
    return b"".join([field.wire for field in fields if folded(field.name.decode()) not in never])


def _visible(fields: list[Field], pattern: re.Pattern[bytes]) -> list[Field]:
    """Leave out the fields that the pattern of `Hidden` matches, which is made for the lines of HTTP/1.1."""
    lines = [b"\r\n%b:" % field.name for field in fields]
    if pattern.search(b"".join(lines)) is None:
        return fields
    return [field for field, line in zip(fields, lines, strict=True) if pattern.match(line) is None]
