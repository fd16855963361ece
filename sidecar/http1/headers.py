"""Field lines: which are forwarded, and what they mean for the end of the message and of the connection.

`message` has the rules; those about lengths (4) and about fields kept or cut (5) are carried out here, the same
for requests and answers.
"""

import re
from functools import lru_cache

from sidecar.core.errors import MessageMalformed

CHUNKED = -1
"""Length of a body whose end its chunks define."""
UNTIL_CLOSE = -2
"""Length of a body that ends with the connection."""
WEBSOCKET = b"websocket"
"""The one protocol a connection can be switched to."""

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te transfer-encoding"
    b" upgrade".split()
)
_NEVER_NAMED = frozenset((b"host", b"content-length", b"authorization", b"expect"))
"""Fields a `Connection` option cannot remove: their absence would change what the message means."""
Notes = dict[bytes, bytes]
"""The values of the fields that we read, by lower-case name; several of one name are joined as a list."""
_ONCE = frozenset((b"host", b"content-length", b"transfer-encoding"))
_MAX_DIGITS = 18  # below 2**63, beyond which parsers begin to disagree


@lru_cache(256)  # names come from us or from the configuration
def field_pattern(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Match a field line of one of these names, the CRLF before it included: groups are name and value."""
    return re.compile(rb"\r\n(?i:(%b)):[ \t]*([^\r]*)" % b"|".join(map(re.escape, sorted(names))))


def tokens(value: bytes) -> frozenset[bytes]:
    """Read a list of tokens (RFC 9110 section 5.6.1), in lower case."""
    return frozenset(token.strip(b" \t").lower() for token in value.split(b","))


def read_fields(
    block: bytes, pattern: re.Pattern[bytes], cut: frozenset[bytes], spared: frozenset[bytes] = frozenset()
) -> tuple[bytes, Notes]:
    """Return the end-to-end lines of a block of lines, and what `pattern` notes of it (rule 5).

    `Connection` does not remove fields that are `spared`.

    One split finds all noted fields: kept, name, value, kept, name, value, …, kept. A loop over the lines would
    cost more than anything else that is done with a head. Raises MessageMalformed.
    """
    notes: Notes = {}
    parts = iter(pattern.split(block))
    kept = next(parts)
    for name in parts:
        value = next(parts)
        lower = name.lower()
        if lower in notes:
            if lower in _ONCE:
                raise MessageMalformed(f"{lower.decode()} is there more than once")
            notes[lower] += b", " + value.rstrip(b" \t")
        else:
            notes[lower] = value.rstrip(b" \t")
        if lower in cut:
            kept += next(parts)
        else:
            kept += b"\r\n%b: %b%b" % (name, value, next(parts))
    if b"connection" in notes and notes[b"connection"] not in USUAL_CONNECTION:
        kept = _without(kept, removed_by_connection(notes) - spared)
    return kept, notes


USUAL_CONNECTION = (b"keep-alive", b"close", b"Keep-Alive")
"""Values of `Connection` that name no field."""


def removed_by_connection(notes: Notes) -> frozenset[bytes]:
    """Return the names of the fields that `Connection` removes (RFC 9110 section 7.6.1)."""
    connection = notes.get(b"connection", b"close")
    return frozenset() if connection in USUAL_CONNECTION else tokens(connection) - _NEVER_NAMED


def _without(fields: bytes, names: frozenset[bytes]) -> bytes:
    lines = fields.split(b"\r\n")[1:]
    return b"".join(b"\r\n" + line for line in lines if line.partition(b":")[0].lower() not in names)


def length_of(notes: Notes, http10: bool) -> int | None:
    """Return the body's length by rule 4, None if no field defines it. Raises MessageMalformed."""
    if b"transfer-encoding" in notes:
        if http10 or b"content-length" in notes or notes[b"transfer-encoding"].lower() != b"chunked":
            raise MessageMalformed(
                "Transfer-Encoding must be exactly `chunked`, in HTTP/1.1, without Content-Length"
            )
        return CHUNKED
    if b"content-length" not in notes:
        return None
    length = notes[b"content-length"]
    if not length.isdigit() or len(length) > _MAX_DIGITS:
        raise MessageMalformed("Content-Length must be one plain decimal number")
    return int(length)


def persists(notes: Notes, http10: bool) -> bool:
    """Return whether the connection can carry another message after this one (RFC 9112 section 9.3)."""
    if b"connection" not in notes:
        return not http10
    connection = notes[b"connection"]
    if connection == b"keep-alive":
        return True
    options = tokens(connection)
    return b"close" not in options and (not http10 or b"keep-alive" in options)


def upgrades(notes: Notes) -> bool:
    """Return whether `Connection` names `Upgrade`, without which the field means nothing (RFC 9110 section 7.8)."""
    return b"upgrade" in tokens(notes.get(b"connection", b""))
