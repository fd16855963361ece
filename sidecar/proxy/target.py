"""Request targets: which ones a client may request, and which of its bytes the upstream gets.

Rule 1. A target is in origin-form (`/path?query`) or in absolute-form with the scheme http (RFC 9112 section 3.2).
        Authority-form and asterisk-form are refused, `OPTIONS *` too: it concerns a whole server, and the sidecar has
        many upstreams.
Rule 2. It consists of visible ASCII without `#`: no controls, no space, no 8-bit bytes, no fragment.
Rule 3. The absolute-form has an authority without userinfo; it replaces Host. An empty path is `/`.
Rule 4. No segment of the path is a dot segment, in whatever way a next hop might come to read one: dots plain or
        percent-encoded once, in overlong UTF-8 and `%u002e` too, between slashes or backslashes, these plain or encoded
        too, with or without `;parameters` after the dots (servlet containers drop those first), before any encoded
        delimiter (`%3b`, `%23`, `%3f`), and beside encoded blanks and controls (some servers cut a segment there). Else
        a client could send our token outside the route's prefix, or outside the upstream's base path.
Rule 5. Everything else keeps its bytes: empty segments, parameters, case, odd and double percent-encodings.
"""

import re
from typing import NamedTuple

from sidecar.core.addresses import DOT_SEGMENT
from sidecar.core.errors import RequestRefused

_PATH = rb'/[!"$->@-~]*'
_QUERY = rb'\?[!"$-~]*'
_ORDINARY = re.compile(rb'(/[!"$&-\-/->@-~]*)(%b)?' % _QUERY)
"""Origin-form without a dot or a percent sign in its path: matches nearly all requests in one step."""
_ORIGIN_FORM = re.compile(rb"(%b)(%b)?" % (_PATH, _QUERY))
_ABSOLUTE_FORM = re.compile(rb'(?i:http)://([!"$-.0->A-~]+)(%b)?(%b)?' % (_PATH, _QUERY))
_VISIBLE = re.compile(rb"[!-~]+")
_DOT_SEGMENT = re.compile(DOT_SEGMENT.encode(), re.IGNORECASE)


class Target(NamedTuple):
    """A request target that may be relayed."""

    path: bytes
    """Starts with a slash."""
    query: bytes
    """With its question mark; empty when there was none."""
    authority: bytes
    """The authority of the absolute-form, used in place of Host (RFC 9112 section 3.2.2); empty if there was none."""


def split(target: bytes) -> Target:
    """Split a request target. Raises RequestRefused (400); see the rules at the head of this module."""
    match = _ORDINARY.fullmatch(target)
    if match is not None:
        return Target(match[1], match[2] or b"", b"")
    match = _ORIGIN_FORM.fullmatch(target)
    if match is not None:
        parts = Target(match[1], match[2] or b"", b"")
    else:
        match = _ABSOLUTE_FORM.fullmatch(target)
        if match is None:
            raise RequestRefused(400, _fault(target))
        parts = Target(match[2] or b"/", match[3] or b"", match[1])
    if _DOT_SEGMENT.search(parts.path):
        raise RequestRefused(400, "the target holds a dot segment: send the path it stands for")
    return parts


def _fault(target: bytes) -> str:
    """Return why a target is in neither form."""
    if not _VISIBLE.fullmatch(target):
        return "the target is empty or holds a space, control or 8-bit byte: percent-encode it"
    if b"#" in target:
        return "the target holds a fragment: leave it out"
    if target == b"*":
        return "the target `*` names no upstream; send a path"
    if b"://" in target.partition(b"?")[0]:
        return "the target is not an http URL with a host and without a user name"
    return "the target must start with a slash or be an http URL"
