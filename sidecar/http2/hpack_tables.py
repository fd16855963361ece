"""The static table of RFC 7541 appendix A, which both sides of every connection know."""

from typing import Final

_LINES: Final = """\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
"""


def _read() -> tuple[tuple[bytes, bytes], ...]:
    pairs = [line.partition(" ") for line in _LINES.splitlines()]
    return tuple((name.encode(), value.encode()) for name, _, value in pairs)


STATIC_TABLE: Final = _read()
"""Names and values; the entry at 0 has index 1."""


def _first_index() -> dict[bytes, int]:
    indices: dict[bytes, int] = {}
    for index, (name, _) in enumerate(STATIC_TABLE, 1):
        indices.setdefault(name, index)
    return indices


STATIC_NAMES: Final = _first_index()
"""The first index that has this name."""
STATIC_FIELDS: Final = {pair: index for index, pair in enumerate(STATIC_TABLE, 1)}
"""The index of this name with this value."""
