"""Redirects to the upstream's own origin, put right so that a client that follows them stays behind the sidecar.

An upstream writes URLs with its own address, its base path, and without the prefix that was taken off. In `Location`
and `Content-Location` a URL of the route's origin becomes the path at which the client finds the same resource. It
is relative to the URL that the client used, because only the client knows that.

Untouched stay relative references, other origins, paths outside the base path, and paths that would take another
route: there the sidecar would send the client to another upstream.
"""

import re
from copy import copy

from sidecar.core.addresses import DOT_SEGMENT
from sidecar.core.origin import place
from sidecar.core.tenants import split_path
from sidecar.http1.headers import field_pattern
from sidecar.http1.message import Request, Response
from sidecar.proxy.router import Router
from sidecar.proxy.routes import Route
from sidecar.proxy.target import split

_LOCATION = field_pattern(frozenset((b"location", b"content-location")))
_URL = re.compile(rb'(?:(https?):)?//([^/?#]+)(/[!"$->@-~]*)?([?#][!-~]*)?', re.IGNORECASE)
_DOT_SEGMENT = re.compile(DOT_SEGMENT.encode(), re.IGNORECASE)


def put_right(answer: Response, request: Request, route: Route, router: Router, *, by_path: bool) -> Response:
    """Return the answer with its locations as the client of this request finds them; see the head of this module.

    `by_path` tells whether the path names the tenant.
    """
    if _LOCATION.search(answer.fields) is None:
        return answer
    target = split(request.target)
    host = router.admit(target.authority or request.host)
    tenant = split_path(target.path)[0] if by_path else None
    before = b"" if tenant is None else b"/t/" + tenant

    def moved(match: re.Match[bytes]) -> bytes:
        found = client_path(match[2].rstrip(b" \t"), route)
        if found is None:
            return match[0]
        path, rest = found
        taken = router.match(host, path)
        reference = before + path + rest
        if taken is None or taken.name != route.name or reference.startswith((b"//", b"/\\")):
            return match[0]  # another route's, or what a client would take for another host
        return b"\r\n%b: %b" % (match[1], reference)

    changed = copy(answer)
    changed.fields = _LOCATION.sub(moved, answer.fields)
    return changed


def client_path(location: bytes, route: Route) -> tuple[bytes, bytes] | None:
    """Return the path to which the route would give this URL, and the URL's query and fragment; None for no such."""
    match = _URL.fullmatch(location)
    if match is None:
        return None
    scheme = (match[1] or route.origin.scheme.encode()).lower()
    named = place(match[2], scheme)
    if scheme.decode() != route.origin.scheme or named != (route.origin.host, route.origin.port):
        return None
    path, base, prefix = match[3] or b"/", route.base_path.encode(), route.prefix.encode()
    if (
        _DOT_SEGMENT.search(path)
        or not path.startswith(base)
        or path[len(base) : len(base) + 1] not in (b"", b"/")
    ):
        return None
    path = path[len(base) :]
    if route.strip_prefix and prefix != b"/":
        path = prefix + path
    return path or b"/", match[4] or b""
