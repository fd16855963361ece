"""Redirects to the upstream's own origin, rewritten so that a client that follows them still goes through the sidecar.

An upstream writes URLs with its own address, its base path, and without the prefix that was taken off. In `Location`
and `Content-Location` a URL of the route's origin, with its address or only a path, becomes the path at which the
client finds the same resource. It is relative to the URL that the client used, because the sidecar does not know that
URL.

Not changed are references relative to a path, other origins, paths outside the base path, bare paths that begin with
the prefix already, and paths that would take another route: there the sidecar would send the client to another
upstream.
"""

import re
from collections.abc import Callable

from sidecar.core.addresses import DOT_SEGMENT
from sidecar.core.origin import place
from sidecar.core.tenants import split_path
from sidecar.http1.message import Request, Response
from sidecar.http1.next_hop import Moved, relocated
from sidecar.proxy.router import Router
from sidecar.proxy.routes import Route
from sidecar.proxy.target import split

_PATH = rb'/[!"$->@-~\x80-\xff]*'
_URL = re.compile(rb"(?:(https?):)?//([^/?#]+)(%b)?([?#][!-~\x80-\xff]*)?" % _PATH, re.IGNORECASE)
_PATH_ALONE = re.compile(rb"(?![/\\]{2})(%b)([?#][!-~\x80-\xff]*)?" % _PATH)
_DOT_SEGMENT = re.compile(DOT_SEGMENT.encode(), re.IGNORECASE)


def put_right(
    answer: Response,
    request: Request,
    route: Route,
    router: Router,
    *,
    by_path: bool,
    rewrite: Callable[[Response, Moved], Response] = relocated,
) -> Response:
    """Return the answer with its locations rewritten for the client; see the head of this module.

    `by_path`: whether the path names the tenant. `rewrite` replaces the values in the answer.
    """

    def moved(location: bytes) -> bytes | None:
        found = client_path(location, route)
        if found is None:
            return None
        path, rest = found
        target = split(request.target)
        taken = router.match(router.admit(target.authority or request.host), path)
        tenant = split_path(target.path)[0] if by_path else None
        reference = (b"" if tenant is None else b"/t/" + tenant) + path + rest
        if taken is None or taken.name != route.name or reference.startswith((b"//", b"/\\")):
            return None  # another route's, or what a client would take for another host
        return reference

    return rewrite(answer, moved)


def client_path(location: bytes, route: Route) -> tuple[bytes, bytes] | None:
    """Return the client's path for this URL, and the URL's query and fragment; None if it is not on the route."""
    found = _of_origin(location, route)
    if found is None:
        return None
    path, rest = found
    base, prefix = route.base_path.encode(), route.prefix.encode()
    if _DOT_SEGMENT.search(path) or not _is_under(path, base):
        return None
    path = path[len(base) :]
    if route.strip_prefix and prefix != b"/":
        path = prefix + path
    return path or b"/", rest


def _of_origin(location: bytes, route: Route) -> tuple[bytes, bytes] | None:
    """Return a URL's path, query and fragment, or None if the URL has another origin than the route."""
    alone = _PATH_ALONE.fullmatch(location)
    if alone is not None:
        known = route.strip_prefix and _is_under(
            alone[1], route.prefix.encode()
        )  # an upstream that was sent the prefix
        return None if known else (alone[1], alone[2] or b"")
    match = _URL.fullmatch(location)
    if match is None:
        return None
    scheme = (match[1] or route.origin.scheme.encode()).lower()
    named = place(match[2], scheme)
    if scheme.decode() != route.origin.scheme or named != (route.origin.host, route.origin.port):
        return None
    return match[3] or b"/", match[4] or b""


def _is_under(path: bytes, base: bytes) -> bool:
    return path.startswith(base) and path[len(base) : len(base) + 1] in (b"", b"/")
